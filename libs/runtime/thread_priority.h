// How a thread stands back behind others of the machine when processors are short.
#pragma once

namespace higgs::runtime {

/// Of the calling thread alone: 0 is everybody's, 19 the least (sched(7), "The nice value"). What cannot be set stays.
void set_thread_nice(int nice) noexcept;
int thread_nice() noexcept;

}  // namespace higgs::runtime

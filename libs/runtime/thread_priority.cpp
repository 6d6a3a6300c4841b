#include "runtime/thread_priority.h"

#include <sys/resource.h>
#include <unistd.h>

namespace higgs::runtime {

// POSIX gives a process one nice value; Linux gives each thread its own, by its id.
void set_thread_nice(int nice) noexcept { ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), nice); }
int thread_nice() noexcept { return ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid())); }

}  // namespace higgs::runtime

// How much memory this process has, and may have.
#pragma once

#include <cstddef>

namespace higgs::runtime {

/// Resident bytes of this process; 0 where the system does not say.
std::size_t resident_bytes() noexcept;
/// What the machine has, or what its control group leaves, whichever is less.
std::size_t machine_bytes() noexcept;
/// Gives back what was freed. Takes milliseconds on a large heap.
void return_free_memory() noexcept;

}  // namespace higgs::runtime

// What a program that holds keys does about its own process.
#pragma once

namespace higgs::runtime {

/// No core dump and no tracing by others of the same user (PR_SET_DUMPABLE, RLIMIT_CORE): keys stay in memory.
/// Its /proc files then belong to root.
void protect_process_memory() noexcept;

/// Raises the soft limit of open files to the hard one.
void raise_file_limit() noexcept;

/// Blocks of 1 MiB and more go back to the system when they are freed, for a program that needs some now and then, such
/// as those in which passwords are hashed. glibc would keep them from the second on (mallopt(3), M_MMAP_THRESHOLD).
void return_large_blocks() noexcept;

}  // namespace higgs::runtime

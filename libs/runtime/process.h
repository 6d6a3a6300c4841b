// What a program that holds keys does about its own process.
#pragma once

#include <string>
#include <system_error>
#include <vector>

namespace higgs::runtime {

/// No core dump and no tracing by others of the same user (PR_SET_DUMPABLE, RLIMIT_CORE): keys stay in memory.
/// Its /proc files then belong to root.
void protect_process_memory() noexcept;

/// The program that runs here, to begin anew in its own place: the process keeps its id, so that whoever started it
/// (systemd, launchd, a container, a shell) sees the same process go on.
class ProgramImage {
 public:
  /// Early in main(): a program that was replaced on disk since is then the new one.
  explicit ProgramImage(char** arguments);
  /// Never returns if it can be done. Files that are open are closed, signals are as at a fresh start. Everything must
  /// have been given back before: no destructor runs.
  std::error_code begin_anew() const;

 private:
  std::string path_;
  std::vector<std::string> arguments_;
};

/// Raises the soft limit of open files to the hard one.
void raise_file_limit() noexcept;

/// Blocks of 1 MiB and more go back to the system when they are freed, for a program that needs some now and then, such
/// as those in which passwords are hashed. glibc would keep them from the second on (mallopt(3), M_MMAP_THRESHOLD).
void return_large_blocks() noexcept;

}  // namespace higgs::runtime

// Runs a program of the system (iptables-restore, resolvectl) and waits for it: no shell, a clean environment, a
// deadline, bounded output. Blocking: some tens of milliseconds as a rule; from the control thread or a blocking pool.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace higgs::tunnel {

struct CommandResult {
  bool found = true;       ///< false: no such program in PATH or the system's directories
  bool timed_out = false;  ///< killed at the deadline
  int exit_code = -1;      ///< -1 if it did not start or was ended by a signal
  std::string out, err;    ///< at most kCommandOutputBytes each; the rest is read and dropped

  bool ok() const noexcept { return exit_code == 0; }
};

inline constexpr std::size_t kCommandOutputBytes = 16 * 1024 * 1024;
inline constexpr std::chrono::milliseconds kCommandDeadline{15000};

/// `arguments[0]` is looked for in PATH and then in /usr/sbin, /sbin, /usr/bin, /bin. LC_ALL is C.
CommandResult run_command(const std::vector<std::string>& arguments, std::string_view input = {},
                          std::chrono::milliseconds deadline = kCommandDeadline);

/// The same as a value, so that a test can stand in for the system.
using CommandRunner = std::function<CommandResult(const std::vector<std::string>& arguments, std::string_view input)>;

}  // namespace higgs::tunnel

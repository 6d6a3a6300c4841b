// The state directory, taken by one process at a time: keys, prefixes, journal, lock, control socket.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>

#include "runtime/files.h"
#include "tunnel/undo_journal.h"

namespace higgs::node {

/// Why the node cannot start, for people, and the program's exit code.
class StartError : public std::runtime_error {
 public:
  explicit StartError(const std::string& what, int exit_code = 1) : std::runtime_error(what), exit_code_(exit_code) {}
  int exit_code() const noexcept { return exit_code_; }

 private:
  int exit_code_;
};

inline constexpr int kExitFailure = 1, kExitUsage = 2, kExitPrivileges = 6;

class StateDirectory {
 public:
  /// Makes it if need be and takes its lock. Throws StartError, which says who holds it.
  explicit StateDirectory(std::filesystem::path path);

  const std::filesystem::path& path() const noexcept { return path_; }
  tunnel::UndoJournal& journal() noexcept { return journal_; }
  static std::filesystem::path control_socket(const std::filesystem::path& path) { return path / "control.sock"; }
  std::filesystem::path control_socket() const { return control_socket(path_); }

 private:
  std::filesystem::path path_;
  runtime::LockFile lock_;
  tunnel::UndoJournal journal_;
};

}  // namespace higgs::node

// What must be undone on this machine, written down and synced to disk BEFORE each change, so that the next start (or
// `cleanup`, `disconnect`) puts everything back after a crash. Used for sysctls, routes, rules, firewall, resolv.conf.
//
//   journal.record({"sysctl", {{"name", name}, {"value", old}}});   // durable from here on
//   write(path, new);
//   …
//   journal.undo(handlers);                                         // newest first; struck out one by one
//
// Undoing must be idempotent: after a crash between a record and its change, or between an undo and its strike-out, a
// step is undone that was never done, or twice. File: JSON lines, mode 0600, appended; a torn last line is ignored,
// since its change was never made. Threads: one at a time. One process at a time: the owner of the state directory's
// lock.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace higgs::tunnel {

enum class JournalError {
  kUnreadable = 1,
  kUnwritable,
  kDamaged,  ///< a line other than the last is not ours
  kFull,
};

struct UndoStep {
  std::string kind;                           ///< which handler undoes it
  std::map<std::string, std::string> fields;  ///< any bytes in the values

  friend bool operator==(const UndoStep&, const UndoStep&) = default;
};

/// Undoes a step; an error leaves it in the journal. "Nothing there to undo" is success.
using UndoHandler = std::function<Result<void>(const UndoStep& step)>;
using UndoHandlers = std::map<std::string, UndoHandler>;

struct UndoFailure {
  UndoStep step;
  std::string what;
};

class UndoJournal {
 public:
  static constexpr std::size_t kMaxSteps = 10000;

  /// Reads what a crash left; the file need not exist, its directory must.
  static Result<UndoJournal> open(std::filesystem::path file);
  UndoJournal(UndoJournal&&) noexcept;
  UndoJournal& operator=(UndoJournal&&) noexcept;
  ~UndoJournal();

  /// Steps not undone yet, oldest first.
  std::vector<UndoStep> steps() const;
  bool empty() const noexcept { return standing_.empty(); }
  /// Durable when it returns without an error. A step equal to a standing one is not written again.
  Result<void> record(const UndoStep& step);
  /// Undoes standing steps, newest first, but for those that `keep` wants to stay. What fails stays and is reported.
  /// The file goes when nothing is left.
  std::vector<UndoFailure> undo(const UndoHandlers& handlers,
                                const std::function<bool(const UndoStep&)>& keep = nullptr);

 private:
  struct Numbered {
    std::uint64_t number = 0;
    UndoStep step;
  };
  explicit UndoJournal(std::filesystem::path file) : file_(std::move(file)) {}
  Result<void> load();
  Result<void> append(const std::string& line);
  void close() noexcept;

  std::filesystem::path file_;
  int fd_ = -1;
  std::uint64_t next_ = 1;
  std::vector<Numbered> standing_;
};

/// Records the value of a sysctl (path under /proc/sys, with slashes: "net/ipv4/ip_forward") and sets it. Nothing is
/// done or recorded if it has that value already.
Result<void> set_sysctl(UndoJournal& journal, const std::string& name, const std::string& value);
/// Records the value of a sysctl that the kernel changes along with another. `follows`: what it is when that one has
/// been undone. Nothing is recorded of a sysctl that is not there.
Result<void> remember_sysctl(UndoJournal& journal, const std::string& name, const std::string& follows);
/// The handler of kind "sysctl". Undoes only what is as we left it: what somebody else has set meanwhile stays, and so
/// does everything after the machine was started anew, since no sysctl outlives that. One that is gone (its interface
/// went) counts as undone.
UndoHandler sysctl_undo_handler();

}  // namespace higgs::tunnel

HIGGS_ERROR_ENUM(higgs::tunnel, JournalError)

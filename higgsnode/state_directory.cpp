#include "higgsnode/state_directory.h"

namespace higgs::node {
namespace {

runtime::LockFile take_lock(const std::filesystem::path& path) {
  if (auto made = runtime::make_private_directory(path); !made) {
    const bool privileges = made.error() == boost::system::errc::permission_denied;
    throw StartError("the state directory " + path.string() + " cannot be used: " + made.error().message() +
                         "; it must be writable by its owner alone",
                     privileges ? kExitPrivileges : kExitFailure);
  }
  auto lock = runtime::LockFile::acquire(path / "lock");
  if (lock) return std::move(*lock);
  if (lock.error() == runtime::FileError::kInUse) {
    const auto holder = runtime::LockFile::holder(path / "lock");
    throw StartError("another higgsnode uses " + path.string() +
                     (holder ? " (process " + std::to_string(*holder) + ")" : std::string()) +
                     "; stop it, or choose another --state-dir");
  }
  const bool privileges = lock.error() == boost::system::errc::permission_denied;
  throw StartError("the lock in " + path.string() + " cannot be taken: " + lock.error().message(),
                   privileges ? kExitPrivileges : kExitFailure);
}

tunnel::UndoJournal open_journal(const std::filesystem::path& path) {
  auto journal = tunnel::UndoJournal::open(path / "undo.journal");
  if (!journal) throw StartError("the journal in " + path.string() + " cannot be read: " + journal.error().message());
  return std::move(*journal);
}

}  // namespace

StateDirectory::StateDirectory(std::filesystem::path path)
    : path_(std::move(path)), lock_(take_lock(path_)), journal_(open_journal(path_)) {}

}  // namespace higgs::node

// Files of a program's own state: private, written whole or not at all, and one instance at a time.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/result.h"

namespace higgs::runtime {

enum class FileError {
  kInUse = 1,  ///< another process holds the lock
  kTooLarge,
  kOpenToOthers,  ///< see check_private()
};

/// Errors of the system as they are (boost::system::system_category), and kTooLarge.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t most_bytes = 1024 * 1024);
/// As read_file, but a missing file is nullopt and no error.
Result<std::optional<std::string>> read_file_if_there(const std::filesystem::path& path,
                                                      std::size_t most_bytes = 1024 * 1024);
/// Whether a secret of this file is its owner's: kOpenToOthers where others may read it, or its group do more than
/// that. The group may read it, since that is how Kubernetes hands secrets to programs that are not root.
Result<void> check_private(const std::filesystem::path& path);
/// The file holds the old or the new content whatever happens: written beside, synced, renamed, directory synced.
Result<void> write_file_atomic(const std::filesystem::path& path, std::string_view content, mode_t mode = 0600);
/// Removes the file and syncs the directory; a missing file is no error.
Result<void> remove_file(const std::filesystem::path& path);
/// Makes the directory, and those above it, with mode 0700; refuses one that others may write to.
Result<void> make_private_directory(const std::filesystem::path& path);

/// An exclusive lock on a file for as long as it lives; the kernel gives it back when the process dies.
class LockFile {
 public:
  /// kInUse if another process holds it. The file keeps the holder's process id. Where that process is dead, and only
  /// a child it was about to turn into a command still has its descriptors, waits up to kOrphanWait for the child.
  static constexpr std::chrono::milliseconds kOrphanWait{3000};
  static Result<LockFile> acquire(const std::filesystem::path& path);
  /// The process id in the file if someone holds the lock.
  static std::optional<pid_t> holder(const std::filesystem::path& path);
  LockFile(LockFile&& other) noexcept;
  LockFile& operator=(LockFile&& other) noexcept;
  ~LockFile();

 private:
  explicit LockFile(int fd) noexcept : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace higgs::runtime

HIGGS_ERROR_ENUM(higgs::runtime, FileError)

#include "runtime/files.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/descriptor.h"

HIGGS_ERROR_CATEGORY(higgs::runtime, FileError, "runtime.files") {
  switch (error) {
    case FileError::kInUse:
      return "another process is using it";
    case FileError::kTooLarge:
      return "the file is larger than it may be";
    case FileError::kOpenToOthers:
      return "it is open to others: chmod 600 it";
  }
  return "unknown error";
}

namespace higgs::runtime {
namespace {

std::filesystem::path directory_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

Result<void> sync_directory(const std::filesystem::path& path) {
  const Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || ::fsync(directory.get()) != 0) return errno_code();
  return {};
}

Result<void> write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const auto written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno_code();
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t most_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return errno_code();
  std::string content;
  std::array<char, 4096> buffer;
  for (;;) {
    const auto count = ::read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_code();
    if (count == 0) return content;
    content.append(buffer.data(), static_cast<std::size_t>(count));
    if (content.size() > most_bytes) return make_error_code(FileError::kTooLarge);
  }
}

Result<std::optional<std::string>> read_file_if_there(const std::filesystem::path& path, std::size_t most_bytes) {
  auto content = read_file(path, most_bytes);
  if (content) return std::optional<std::string>(std::move(*content));
  if (content.error() == boost::system::errc::no_such_file_or_directory) return std::optional<std::string>();
  return content.error();
}

Result<void> check_private(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return errno_code();
  if ((status.st_mode & (S_IRWXO | S_IWGRP | S_IXGRP)) != 0) return FileError::kOpenToOthers;
  return {};
}

Result<void> write_file_atomic(const std::filesystem::path& path, std::string_view content, mode_t mode) {
  auto beside = path;
  beside += ".new";
  // What a crash left behind may be someone's with wider rights.
  if (::unlink(beside.c_str()) != 0 && errno != ENOENT) return errno_code();
  {
    const Descriptor file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (file.get() < 0 || ::fchmod(file.get(), mode) != 0) return errno_code();
    if (auto written = write_all(file.get(), content); !written) return written;
    if (::fsync(file.get()) != 0) return errno_code();
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) return errno_code();
  return sync_directory(directory_of(path));
}

Result<void> remove_file(const std::filesystem::path& path) {
  if (::unlink(path.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return errno_code();
  }
  return sync_directory(directory_of(path));
}

Result<void> make_private_directory(const std::filesystem::path& path) {
  std::filesystem::path so_far;
  for (const auto& part : path) {
    so_far /= part;
    if (::mkdir(so_far.c_str(), 0700) == 0 || errno == EEXIST || errno == EISDIR) continue;
    // Above a mount point that may not be written to: what matters is whether the whole is there.
    if ((errno == EROFS || errno == EACCES || errno == EPERM) && ::access(so_far.c_str(), F_OK) == 0) continue;
    return errno_code();
  }
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return errno_code();
  if (!S_ISDIR(status.st_mode)) return errno_code(ENOTDIR);
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) return errno_code(EPERM);
  return {};
}

namespace {

std::optional<pid_t> read_pid(int fd) {
  std::array<char, 32> text{};
  const auto count = ::pread(fd, text.data(), text.size(), 0);
  pid_t pid = 0;
  if (count <= 0 || std::from_chars(text.data(), text.data() + count, pid).ec != std::errc{} || pid <= 0) {
    return std::nullopt;
  }
  return pid;
}

bool is_dead(pid_t pid) { return ::kill(pid, 0) != 0 && errno == ESRCH; }

}  // namespace

Result<LockFile> LockFile::acquire(const std::filesystem::path& path) {
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() < 0) return errno_code();
  const auto end = std::chrono::steady_clock::now() + kOrphanWait;
  while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return errno_code();
    const auto pid = read_pid(file.get());
    if (!pid || !is_dead(*pid) || std::chrono::steady_clock::now() >= end) return make_error_code(FileError::kInUse);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (::ftruncate(file.get(), 0) != 0) return errno_code();
  if (auto written = write_all(file.get(), std::to_string(::getpid()) + "\n"); !written) return written.error();
  return LockFile(file.release());
}

std::optional<pid_t> LockFile::holder(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 || ::flock(file.get(), LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK) return std::nullopt;
  return read_pid(file.get());
}

LockFile::LockFile(LockFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
LockFile& LockFile::operator=(LockFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
LockFile::~LockFile() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace higgs::runtime

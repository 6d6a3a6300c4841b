#include "higgsvpn/detach.h"

#include <cerrno>
#include <cstdio>
#include <utility>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace higgs::vpn {
namespace {

void write_all(int fd, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t count = ::write(fd, data, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    data += count;
    size -= static_cast<std::size_t>(count);
  }
}

std::string read_all(int fd) {
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
  }
}

// First byte: the exit code; the rest: the text. Nothing: the child died.
int repeat(const std::string& told, const std::filesystem::path& log) {
  if (told.empty()) {
    std::fprintf(stderr, "connect ended unexpectedly; see %s\n", log.c_str());
    return 1;
  }
  const int code = static_cast<unsigned char>(told.front());
  std::FILE* out = code == 0 ? stdout : stderr;
  std::fwrite(told.data() + 1, 1, told.size() - 1, out);
  std::fflush(out);
  return code;
}

void leave_terminal(const std::filesystem::path& log) {
  ::setsid();
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (null >= 0) ::dup2(null, STDIN_FILENO);
  if (out >= 0) {
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
  }
  if (null > STDERR_FILENO) ::close(null);
  if (out > STDERR_FILENO) ::close(out);
}

}  // namespace

DetachedParent::DetachedParent(DetachedParent&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
DetachedParent& DetachedParent::operator=(DetachedParent&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
DetachedParent::~DetachedParent() {
  if (fd_ >= 0) ::close(fd_);
}

void DetachedParent::tell(int exit_code, const std::string& text) {
  if (fd_ < 0) return;
  const std::string message = std::string(1, static_cast<char>(exit_code)) + text;
  write_all(fd_, message.data(), message.size());
  ::close(std::exchange(fd_, -1));
}

int run_detached(const std::filesystem::path& log, const std::function<int(DetachedParent parent)>& work) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    std::perror("pipe");
    return 1;
  }
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) {
    std::perror("fork");
    return 1;
  }
  if (child == 0) {
    ::close(ends[0]);
    leave_terminal(log);
    const int code = work(DetachedParent(ends[1]));
    std::fflush(nullptr);
    ::_exit(code);
  }
  ::close(ends[1]);
  const std::string told = read_all(ends[0]);
  ::close(ends[0]);
  const int code = repeat(told, log);
  // A child that failed is about to end; one that works goes on without us.
  if (code != 0) ::waitpid(child, nullptr, 0);
  return code;
}

}  // namespace higgs::vpn

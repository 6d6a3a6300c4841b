#include "tools/higgs-wg/daemon.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace higgs::wg {

Daemon::~Daemon() {
  if (parent_ >= 0) ::close(parent_);
}

void Daemon::fork() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  const pid_t child = ::fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child == 0) {
    ::close(ends[0]);
    parent_ = ends[1];
    ::setsid();
    return;
  }
  ::close(ends[1]);
  char byte = 0;
  ssize_t length = 0;
  while ((length = ::read(ends[0], &byte, 1)) < 0 && errno == EINTR) {
  }
  if (length == 1) ::_exit(0);
  int status = 0;
  ::waitpid(child, &status, 0);
  ::_exit(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1);
}

void Daemon::ready(bool keep_output) {
  if (parent_ < 0) return;
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (nowhere >= 0) {
    ::dup2(nowhere, STDIN_FILENO);
    if (!keep_output) {
      ::dup2(nowhere, STDOUT_FILENO);
      ::dup2(nowhere, STDERR_FILENO);
    }
    ::close(nowhere);
  }
  [[maybe_unused]] const int moved = ::chdir("/");  // not to hold a mount
  [[maybe_unused]] const ssize_t told = ::write(parent_, "r", 1);
  ::close(std::exchange(parent_, -1));
}

}  // namespace higgs::wg

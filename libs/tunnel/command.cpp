#include "tunnel/command.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace higgs::tunnel {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;

class Pipe {
 public:
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) == 0) {
      reader = ends[0];
      writer = ends[1];
    }
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close_end(reader);
    close_end(writer);
  }
  bool ok() const noexcept { return reader >= 0; }
  static void close_end(int& end) noexcept {
    if (end >= 0) ::close(end);
    end = -1;
  }
  int reader = -1, writer = -1;
};

std::optional<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    return ::access(name.c_str(), X_OK) == 0 ? std::optional(name) : std::nullopt;
  }
  const char* from_environment = std::getenv("PATH");
  std::string path = from_environment != nullptr ? from_environment : "";
  path += ":/usr/sbin:/sbin:/usr/bin:/bin";
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find(':', start), path.size());
    if (end > start) {
      std::string candidate = path.substr(start, end - start) + "/" + name;
      if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    }
    start = end + 1;
  }
  return std::nullopt;
}

// The caller's environment, but for the locale: messages are compared.
std::vector<std::string> child_environment() {
  std::vector<std::string> result;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (!text.starts_with("LC_") && !text.starts_with("LANG")) result.emplace_back(text);
  }
  result.emplace_back("LC_ALL=C");
  return result;
}

// In the child between vfork and exec, in the parent's memory: only system calls.
[[noreturn]] void become(const char* program, char* const* argv, char* const* envp, const Pipe& in, const Pipe& out,
                         const Pipe& err, pid_t parent) {
  // Killed with the parent: a command that outlived it could make its change after the next start has cleaned up.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  // A group of its own: Ctrl-C in the terminal must not end it half way through a change.
  ::setpgid(0, 0);
  ::dup2(in.reader, STDIN_FILENO);
  ::dup2(out.writer, STDOUT_FILENO);
  ::dup2(err.writer, STDERR_FILENO);
  // What the caller blocks, ignores or handles must reach the command as usual, and no handler of ours may run here.
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve(program, argv, envp);
  ::_exit(127);
}

pid_t spawn(const std::string& program, const std::vector<std::string>& arguments, const Pipe& in, const Pipe& out,
            const Pipe& err) {
  std::vector<char*> argv, envp;
  std::vector<std::string> environment = child_environment();
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  for (std::string& entry : environment) envp.push_back(entry.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  const pid_t parent = ::getpid();
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  // Not fork: copying a large parent takes time, in which the copy would hold the parent's locks beyond its death.
  const pid_t child = ::vfork();
  if (child == 0) become(program.c_str(), argv.data(), envp.data(), in, out, err, parent);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return child;
}

void read_some(int& end, std::string& into) {
  std::array<char, kReadBytes> buffer;
  const ssize_t count = ::read(end, buffer.data(), buffer.size());
  if (count > 0) {
    const std::size_t room = kCommandOutputBytes - into.size();
    into.append(buffer.data(), std::min(room, static_cast<std::size_t>(count)));
  } else if (count == 0 || errno != EINTR) {
    Pipe::close_end(end);
  }
}

void write_some(int& end, std::string_view& rest) {
  const ssize_t count = ::write(end, rest.data(), rest.size());
  if (count > 0) rest.remove_prefix(static_cast<std::size_t>(count));
  if (rest.empty() || (count < 0 && errno != EINTR && errno != EAGAIN)) Pipe::close_end(end);
}

// Feeds and drains until both outputs end; false at the deadline.
bool converse(Pipe& in, Pipe& out, Pipe& err, std::string_view input, CommandResult& result,
              std::chrono::steady_clock::time_point deadline) {
  ::fcntl(in.writer, F_SETFL, O_NONBLOCK);
  if (input.empty()) Pipe::close_end(in.writer);
  while (out.reader >= 0 || err.reader >= 0) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) return false;
    std::array<pollfd, 3> waits{pollfd{out.reader, POLLIN, 0}, pollfd{err.reader, POLLIN, 0},
                                pollfd{in.writer, POLLOUT, 0}};
    if (::poll(waits.data(), waits.size(), static_cast<int>(left)) < 0 && errno != EINTR) return false;
    if (waits[0].revents != 0) read_some(out.reader, result.out);
    if (waits[1].revents != 0) read_some(err.reader, result.err);
    if (waits[2].revents != 0) write_some(in.writer, input);
  }
  return true;
}

}  // namespace

CommandResult run_command(const std::vector<std::string>& arguments, std::string_view input,
                          std::chrono::milliseconds deadline) {
  CommandResult result;
  const auto program = find_program(arguments.at(0));
  if (!program) {
    result.found = false;
    return result;
  }
  Pipe in, out, err;
  if (!in.ok() || !out.ok() || !err.ok()) {
    result.err = std::strerror(errno);
    return result;
  }
  // A child that ends early must cost an error, not our life.
  sigset_t pipe_signal, before;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  const pid_t pid = spawn(*program, arguments, in, out, err);
  Pipe::close_end(in.reader);
  Pipe::close_end(out.writer);
  Pipe::close_end(err.writer);
  if (pid > 0) {
    if (!converse(in, out, err, input, result, std::chrono::steady_clock::now() + deadline)) {
      result.timed_out = true;
      ::kill(pid, SIGKILL);
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!result.timed_out && WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  }
  const timespec no_wait{};
  while (::sigtimedwait(&pipe_signal, nullptr, &no_wait) > 0) {
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return result;
}

}  // namespace higgs::tunnel

#include "higgsvpn/network_lock.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace higgs::vpn {
namespace {

constexpr std::string_view kName = "higgsvpn/connect";
constexpr std::chrono::milliseconds kPatience{5000};
constexpr std::chrono::milliseconds kPatienceWithTheLiving{500};  // a process that is killed dies while it is seen
constexpr std::chrono::milliseconds kRetry{10};

struct Name {
  sockaddr_un address{};
  socklen_t bytes = 0;
  const sockaddr* get() const { return static_cast<const sockaddr*>(static_cast<const void*>(&address)); }
};

// Abstract: the first byte of the path is zero, and it ends with the address.
Name name() {
  Name name;
  name.address.sun_family = AF_UNIX;
  std::copy(kName.begin(), kName.end(), name.address.sun_path + 1);
  name.bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + kName.size());
  return name;
}

int open_socket() { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

/// Who listens there; nullopt: nobody any more, or it cannot be told.
std::optional<ucred> holder() {
  const int fd = open_socket();
  if (fd < 0) return std::nullopt;
  const Name at = name();
  ucred who{};
  socklen_t bytes = sizeof who;
  const bool told =
      ::connect(fd, at.get(), at.bytes) == 0 && ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) == 0;
  ::close(fd);
  return told ? std::optional(who) : std::nullopt;
}

Failure in_use(const std::optional<ucred>& who) {
  Failure failure;
  failure.message = "another connect runs in this network";
  // In another process namespace the number says nothing (0).
  if (who && who->pid > 0) failure.message += fmt::format(", process {} of user {}", who->pid, who->uid);
  failure.remedy = "end that one first: higgsvpn disconnect --state-dir DIRECTORY, with its directory";
  return failure;
}

}  // namespace

Outcome<NetworkLock> NetworkLock::take() {
  const auto began = std::chrono::steady_clock::now();
  for (;;) {
    const int fd = open_socket();
    if (fd < 0) return Failure::of(errno_code(), "cannot make a socket");
    NetworkLock lock(fd);
    const Name at = name();
    if (::bind(fd, at.get(), at.bytes) == 0 && ::listen(fd, SOMAXCONN) == 0) return lock;
    if (errno != EADDRINUSE) return Failure::of(errno_code(), "cannot lock the network");
    const auto who = holder();
    const bool alive = who && who->pid > 0 && (::kill(who->pid, 0) == 0 || errno == EPERM);
    const auto patience = alive ? kPatienceWithTheLiving : kPatience;
    if (std::chrono::steady_clock::now() - began > patience) return in_use(who);
    std::this_thread::sleep_for(kRetry);
  }
}

NetworkLock::NetworkLock(NetworkLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
NetworkLock& NetworkLock::operator=(NetworkLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
NetworkLock::~NetworkLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace higgs::vpn

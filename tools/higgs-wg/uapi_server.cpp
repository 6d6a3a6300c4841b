#include "tools/higgs-wg/uapi_server.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <boost/system/error_code.hpp>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/secret.h"

namespace higgs::wg {

namespace {

/// 0, or an errno.
int bind_private(int fd, const sockaddr_un& address) {
  const mode_t before = ::umask(0177);
  const auto* raw = static_cast<const sockaddr*>(static_cast<const void*>(&address));
  const int failed = ::bind(fd, raw, sizeof(address)) == 0 ? 0 : errno;
  ::umask(before);
  return failed;
}

bool somebody_listens(const sockaddr_un& address) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const auto* raw = static_cast<const sockaddr*>(static_cast<const void*>(&address));
  const bool listens = ::connect(fd, raw, sizeof(address)) == 0 || errno == EAGAIN;
  ::close(fd);
  return listens;
}

}  // namespace

/// One connection. Requests are answered one at a time: the next is read when the answer is out.
class UapiServer::Client : public net::FdHandler {
 public:
  Client(UapiServer& server, int fd) : server_(server), fd_(fd) { server_.loop_.add(fd, EPOLLIN, *this); }
  ~Client() override {
    server_.loop_.remove(fd_);
    ::close(fd_);
    // Both may hold private keys.
    secure_wipe(std::as_writable_bytes(std::span(input_)));
    secure_wipe(std::as_writable_bytes(std::span(output_)));
  }

  void on_events(std::uint32_t) override {
    if (!flush() || (output_.empty() && !read())) server_.drop(fd_);  // which destroys this
  }

 private:
  bool read() {
    std::array<char, 16384> buffer;
    const ssize_t length = ::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (length < 0) return errno == EAGAIN || errno == EINTR;
    if (length == 0) return false;
    input_.append(buffer.data(), static_cast<std::size_t>(length));
    secure_wipe(std::as_writable_bytes(std::span(buffer).first(static_cast<std::size_t>(length))));
    return answer();
  }

  bool answer() {
    while (output_.empty()) {
      // Only what is new needs to be looked at; the newline before it may be old.
      const std::size_t end = input_.find("\n\n", searched_ == 0 ? 0 : searched_ - 1);
      if (end == std::string::npos) {
        searched_ = input_.size();
        return input_.size() <= kRequestBytes;
      }
      output_ = server_.answer_(std::string_view(input_).substr(0, end + 1));
      input_.erase(0, end + 2);
      searched_ = 0;
      if (!flush()) return false;
    }
    return true;
  }

  bool flush() {
    while (sent_ < output_.size()) {
      const ssize_t length = ::send(fd_, output_.data() + sent_, output_.size() - sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (length < 0 && errno == EAGAIN) {
        server_.loop_.modify(fd_, EPOLLOUT);
        return true;
      }
      if (length <= 0) return false;
      sent_ += static_cast<std::size_t>(length);
    }
    if (output_.empty()) return true;
    secure_wipe(std::as_writable_bytes(std::span(output_)));
    output_.clear();
    sent_ = 0;
    server_.loop_.modify(fd_, EPOLLIN);
    return true;
  }

  UapiServer& server_;
  int fd_;
  std::string input_, output_;
  std::size_t searched_ = 0, sent_ = 0;
};

Result<std::unique_ptr<UapiServer>> UapiServer::open(net::EventLoop& loop, const std::string& path, Answer answer) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return errno_code(ENAMETOOLONG);
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);

  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno_code();
  int failed = bind_private(fd, address);
  if (failed == EADDRINUSE && !somebody_listens(address)) {
    ::unlink(path.c_str());
    failed = bind_private(fd, address);
  }
  if (failed == 0 && ::listen(fd, 16) != 0) failed = errno;
  if (failed != 0) {
    ::close(fd);
    return errno_code(failed);
  }
  return std::unique_ptr<UapiServer>(new UapiServer(loop, path, fd, std::move(answer)));
}

UapiServer::UapiServer(net::EventLoop& loop, std::string path, int listener, Answer answer)
    : loop_(loop),
      path_(std::move(path)),
      listener_(listener),
      watcher_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)),
      answer_(std::move(answer)),
      accept_ready_(*this, &UapiServer::accept),
      watch_ready_(*this, &UapiServer::watch) {
  loop_.add(listener_, EPOLLIN, accept_ready_);
  // Where inotify has run out only this convenience is missing.
  if (watcher_ < 0) return;
  ::inotify_add_watch(watcher_, path_.c_str(), IN_ATTRIB | IN_DELETE_SELF);
  loop_.add(watcher_, EPOLLIN, watch_ready_);
}

UapiServer::~UapiServer() {
  clients_.clear();
  loop_.remove(listener_);
  ::close(listener_);
  if (watcher_ >= 0) {
    loop_.remove(watcher_);
    ::close(watcher_);
  }
  ::unlink(path_.c_str());
}

void UapiServer::accept() {
  const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  if (clients_.size() >= kClients) {
    ::close(fd);
    return;
  }
  clients_.emplace(fd, std::make_unique<Client>(*this, fd));
}

void UapiServer::watch() {
  std::array<char, 4096> buffer;
  while (::read(watcher_, buffer.data(), buffer.size()) > 0) {
  }
  struct stat status {};
  if (::stat(path_.c_str(), &status) != 0 && errno == ENOENT && on_removed_) on_removed_();
}

void UapiServer::drop(int fd) { clients_.erase(fd); }

}  // namespace higgs::wg

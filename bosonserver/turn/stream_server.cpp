#include "bosonserver/turn/stream_server.h"

#include <cerrno>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/tls_accept.h"
#include "net/udp_message.h"

namespace higgs::boson {

namespace {

constexpr int kBacklog = 256;
constexpr int kAcceptsPerTurn = 32;
constexpr std::chrono::seconds kIdleSweepInterval{1};
/// How long nothing is accepted where the process has no descriptor left.
constexpr std::chrono::milliseconds kPause{100};

std::optional<Endpoint> local_of(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return std::nullopt;
  auto endpoint = net::endpoint_of(storage);
  if (endpoint) endpoint->address = endpoint->address.unmapped();
  return endpoint;
}

IpAddress source_of(const IpAddress& address) {
  return address.is_v4() ? address : IpPrefix::make(address, 64)->address();
}

}  // namespace

Result<std::unique_ptr<StreamServer>> StreamServer::listen(const Endpoint& where, std::optional<net::TlsContext> tls,
                                                           StreamLimits limits) {
  const bool v6 = where.address.is_v6();
  const int fd = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno_code();
  const int on = 1, off = 0;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (v6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  const auto address = net::socket_address(where);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0 ||
      ::listen(fd, kBacklog) != 0) {
    const auto error = errno_code();
    ::close(fd);
    return error;
  }
  const auto local = local_of(fd).value_or(where);
  return std::unique_ptr<StreamServer>(new StreamServer(fd, local, std::move(tls), limits));
}

StreamServer::StreamServer(int fd, const Endpoint& local, std::optional<net::TlsContext> tls, StreamLimits limits)
    : fd_(fd), local_(local), tls_(std::move(tls)), limits_(limits) {}

StreamServer::~StreamServer() { ::close(fd_); }

void StreamServer::attach(net::EventLoop& loop, Owner& owner) {
  loop_ = &loop;
  owner_ = &owner;
  loop.add(fd_, EPOLLIN, *this);
  end_of_turn_ = loop.add_end_of_turn([this] { bury(); });
  arm_sweep();
}

void StreamServer::detach() noexcept {
  if (loop_ == nullptr) return;
  loop_->remove(fd_);
  loop_->remove_end_of_turn(end_of_turn_);
  connections_.clear();
  loop_ = nullptr;
}

// --- accepting ---------------------------------------------------------------------------------------------------

void StreamServer::on_events(std::uint32_t) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    sockaddr_storage storage{};
    socklen_t length = sizeof(storage);
    const int fd = ::accept4(fd_, reinterpret_cast<sockaddr*>(&storage), &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) pause();
      return;
    }
    const auto remote = net::endpoint_of(storage);
    if (remote) {
      take(fd, {remote->address.unmapped(), remote->port});
    } else {
      ::close(fd);
    }
  }
}

/// The queue of the kernel stays readable: without a pause the loop would spin.
void StreamServer::pause() {
  ++counters_.refused;
  loop_->modify(fd_, 0);
  loop_->after(kPause, [this] {
    if (loop_ != nullptr) loop_->modify(fd_, EPOLLIN);
  });
}

void StreamServer::take(int fd, const Endpoint& remote) {
  const auto source = source_of(remote.address);
  const auto local = local_of(fd);
  const auto held = sources_.find(source);
  if (!local || connections_.size() >= limits_.connections ||
      (held != sources_.end() && held->second >= limits_.connections_per_source)) {
    ++counters_.refused;
    ::close(fd);
    return;
  }
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  const turn::FiveTuple client{tls_ ? turn::Transport::kTls : turn::Transport::kTcp, remote, *local};
  auto connection = std::make_unique<StreamConnection>(net::accept_tls(fd, tls_ ? &*tls_ : nullptr, remote), client,
                                                       *loop_, static_cast<StreamConnection::Owner&>(*this));
  connection->idle_since = loop_->now().monotonic;
  // The kernel has given the port away only after the connection before it was closed by us: its end is to be buried.
  if (const auto old = connections_.find(client); old != connections_.end()) old->second->end();
  bury();
  connections_[client] = std::move(connection);
  ++sources_[source];
  ++counters_.accepted;
}

// --- what connections say ----------------------------------------------------------------------------------------

bool StreamServer::connection_message(const turn::FiveTuple& client, ByteView message) {
  const bool taken = owner_->on_stream_message(client, message);
  if (!taken) ++counters_.malformed;
  return taken;
}

void StreamServer::connection_ended(const turn::FiveTuple& client) { ended_.push_back(client); }

void StreamServer::connection_has_more(const turn::FiveTuple& client) {
  loop_->after(std::chrono::nanoseconds(0), [this, client] {
    if (const auto found = connections_.find(client); found != connections_.end() && !found->second->ended())
      found->second->on_readable();
  });
}

void StreamServer::send(const turn::FiveTuple& client, ByteView message) {
  const auto found = connections_.find(client);
  if (found == connections_.end() || !found->second->send(message)) ++counters_.dropped_full;
}

/// Connections end inside calls of their own: they go when nobody is in them any more.
void StreamServer::bury() {
  for (const auto& client : std::exchange(ended_, {})) {
    if (connections_.erase(client) == 0) continue;
    const auto held = sources_.find(source_of(client.client.address));
    if (held != sources_.end() && --held->second == 0) sources_.erase(held);
    owner_->on_stream_gone(client);
  }
}

// --- time --------------------------------------------------------------------------------------------------------

void StreamServer::arm_sweep() {
  loop_->after(kIdleSweepInterval, [this] {
    if (loop_ == nullptr) return;
    sweep();
    arm_sweep();
  });
}

void StreamServer::sweep() {
  const Instant now = loop_->now().monotonic;
  for (const auto& [client, connection] : connections_) {
    if (owner_->stands(client)) {
      connection->idle_since = now;
    } else if (now - connection->idle_since > limits_.idle && !connection->ended()) {
      ++counters_.timeouts;
      connection->end();
    }
  }
}

}  // namespace higgs::boson

#include "tunnel/turn_socket.h"

#include <algorithm>

#include <sys/epoll.h>

namespace higgs::tunnel {

namespace {
constexpr int kReceives = 8;  ///< a turn
}

Result<std::unique_ptr<TurnSocket>> TurnSocket::open(net::EventLoop& loop, const Endpoint& server, std::uint32_t mark,
                                                     std::function<void(std::span<const MutableBytes>)> received) {
  net::UdpSocket::Options options;
  options.mark = mark;
  auto socket = net::UdpSocket::open(options);
  if (!socket) return socket.error();
  if ((server.address.is_v4() ? socket->fd_v4() : socket->fd_v6()) < 0)
    return make_error_code(boost::system::errc::address_family_not_supported);
  return std::unique_ptr<TurnSocket>(new TurnSocket(loop, std::move(*socket), server, std::move(received)));
}

TurnSocket::TurnSocket(net::EventLoop& loop, net::UdpSocket socket, const Endpoint& server,
                       std::function<void(std::span<const MutableBytes>)> received)
    : loop_(loop),
      socket_(std::move(socket)),
      server_(server),
      fd_(server.address.is_v4() ? socket_.fd_v4() : socket_.fd_v6()),
      received_(std::move(received)) {
  loop_.add(fd_, EPOLLIN, *this);
}

TurnSocket::~TurnSocket() { loop_.remove(fd_); }

void TurnSocket::send(std::span<const ByteView> packets) { socket_.send(server_, packets); }

void TurnSocket::on_events(std::uint32_t) {
  for (int i = 0; i < kReceives; ++i) {
    const auto batch = socket_.receive(fd_);
    if (batch.empty()) return;
    datagrams_.clear();
    for (const auto& received : batch) {
      if (received.from != server_) continue;
      for (std::size_t at = 0; at < received.bytes.size(); at += received.segment_bytes) {
        datagrams_.push_back(received.bytes.subspan(at, std::min(received.segment_bytes, received.bytes.size() - at)));
      }
    }
    if (!datagrams_.empty()) received_(datagrams_);
  }
}

}  // namespace higgs::tunnel

// A UDP socket of its own for one TURN allocation, beside the shared port: the server knows an allocation by the
// 5-tuple (RFC 8656, section 3.1), and what comes from one is a mix of peers. Loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "net/event_loop.h"
#include "net/udp_socket.h"

namespace higgs::tunnel {

class TurnSocket : private net::FdHandler {
 public:
  /// `received` gets each datagram that came from `server`; it may be changed in place.
  static Result<std::unique_ptr<TurnSocket>> open(net::EventLoop& loop, const Endpoint& server, std::uint32_t mark,
                                                  std::function<void(std::span<const MutableBytes>)> received);
  ~TurnSocket() override;

  void send(std::span<const ByteView> packets);
  /// A request: where the last one was not answered, the local address is not insisted on.
  void expect_answer() { socket_.expect_answer(server_); }
  Result<void> set_mark(std::uint32_t mark) { return socket_.set_mark(mark); }
  void forget_sources() { socket_.forget_sources(); }
  const Endpoint& server() const noexcept { return server_; }

 private:
  TurnSocket(net::EventLoop& loop, net::UdpSocket socket, const Endpoint& server,
             std::function<void(std::span<const MutableBytes>)> received);
  void on_events(std::uint32_t events) override;

  net::EventLoop& loop_;
  net::UdpSocket socket_;
  Endpoint server_;
  int fd_;
  std::function<void(std::span<const MutableBytes>)> received_;
  std::vector<MutableBytes> datagrams_;
};

}  // namespace higgs::tunnel

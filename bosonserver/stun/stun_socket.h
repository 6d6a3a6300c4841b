// One UDP port of the STUN server, with batched system calls. On the loop's thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/result.h"
#include "net/event_loop.h"
#include "net/udp_message.h"

namespace higgs::boson {

struct StunSocketCounters {
  std::atomic<std::uint64_t> received{0}, truncated{0}, send_failures{0};
};

class StunSocket final : private net::FdHandler {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    /// `local`: the address and port that the datagram was sent to. IPv4 is told as IPv4 on a port of both families
    /// too.
    virtual void on_datagram(StunSocket& socket, const Endpoint& source, const Endpoint& local,
                             MutableBytes datagram) = 0;
  };

  /// Errors: errno in the generic category. Everything handed in outlives the socket.
  static Result<std::unique_ptr<StunSocket>> open(const Endpoint& listen, net::EventLoop& loop, Owner& owner,
                                                  StunSocketCounters& counters);
  ~StunSocket() override;

  Endpoint local() const noexcept { return local_; }
  /// From this port and address `from`. Sent with others at the end of the batch or turn; one that the socket does not
  /// take is dropped and counted.
  void send(const IpAddress& from, const Endpoint& to, ByteView bytes);

 private:
  static constexpr unsigned kBatch = 32;
  /// Above what arrives unfragmented on an Ethernet.
  static constexpr std::size_t kDatagramBytes = 2048;

  struct Outgoing {
    ByteArray<kDatagramBytes> bytes;
    std::size_t size = 0;
    net::SocketAddress to;
    std::optional<net::UdpSource> source;
    net::ControlBuffer control;
  };

  StunSocket(int fd, const Endpoint& local, net::EventLoop& loop, Owner& owner, StunSocketCounters& counters);
  void on_events(std::uint32_t events) override;
  bool receive_batch();
  void flush();

  int fd_;
  Endpoint local_;
  net::EventLoop& loop_;
  Owner& owner_;
  StunSocketCounters& counters_;
  std::uint64_t end_of_turn_ = 0;
  std::array<ByteArray<kDatagramBytes>, kBatch> received_;
  std::array<sockaddr_storage, kBatch> sources_;
  std::array<net::ControlBuffer, kBatch> controls_;
  std::array<Outgoing, kBatch> outgoing_;
  unsigned queued_ = 0;
};

}  // namespace higgs::boson

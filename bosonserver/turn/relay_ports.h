// The relayed UDP ports of the TURN server, received from in batches. On the loop's thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>

#include <sys/socket.h>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/random.h"
#include "net/event_loop.h"
#include "turn/turn_server.h"

namespace higgs::boson {

/// Both inclusive.
struct PortRange {
  std::uint16_t first = 49152, last = 65535;
};

struct RelayPortCounters {
  std::uint64_t no_port = 0;  ///< nothing free was found in the range
  std::uint64_t send_failures = 0, truncated = 0;
};

class RelayPorts {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void on_peer_packet(turn::RelayId relay, const Endpoint& peer, ByteView payload) = 0;
  };

  RelayPorts(PortRange range, net::EventLoop& loop, RandomSource& random, Owner& owner);
  ~RelayPorts();

  /// A random port of `bind`, which peers see as `announced`. `even`, `reserve`: as in turn::ServerOutput.
  std::optional<turn::ServerOutput::Opened> open(const IpAddress& bind, const IpAddress& announced, bool even,
                                                 bool reserve);
  std::optional<Endpoint> claim(turn::RelayId id);
  void close(turn::RelayId id);
  void send(turn::RelayId id, const Endpoint& peer, ByteView bytes, bool dont_fragment);
  const RelayPortCounters& counters() const noexcept { return counters_; }

 private:
  struct Port;
  static constexpr unsigned kBatch = 32;
  static constexpr std::size_t kDatagramBytes = 2048;  ///< as StunSocket's

  std::unique_ptr<Port> bind_port(const IpAddress& bind, const IpAddress& announced, std::uint16_t number);
  turn::RelayId add(std::unique_ptr<Port> port);
  bool receive(Port& port);

  PortRange range_;
  net::EventLoop& loop_;
  RandomSource& random_;
  Owner& owner_;
  RelayPortCounters counters_;
  turn::RelayId last_ = 0;
  std::unordered_map<turn::RelayId, std::unique_ptr<Port>> ports_;
  std::array<ByteArray<kDatagramBytes>, kBatch> buffers_;
  std::array<sockaddr_storage, kBatch> sources_;
};

}  // namespace higgs::boson

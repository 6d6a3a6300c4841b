// One end in the simulated world: a path::Traversal with what a tunnel device does around it — the shared UDP port, a
// TURN socket, the relay link, STUN servers that are asked again and again — and small data packets instead of a
// tunnel.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "path/traversal.h"
#include "sim/best_path.h"
#include "tunnel/reflexive_monitor.h"

namespace higgs::sim {

/// What leaves a host. Sockets: 0 is the shared port, 1 the one for TURN.
class HostOutput {
 public:
  virtual ~HostOutput() = default;
  virtual void send_udp(unsigned host, unsigned socket, const Endpoint& to, ByteView bytes) = 0;
  virtual void send_relayed(unsigned host, ByteView packet) = 0;
  virtual void send_signal(unsigned host, relay::PeerMessage message) = 0;
  /// Data packet number `id` of the other end has come.
  virtual void delivered(unsigned host, std::uint64_t id) = 0;
};

class TraversalHost {
 public:
  struct Options {
    unsigned number = 0;
    std::uint64_t seed = 1;
    path::TraversalOptions traversal;
    std::vector<Endpoint> stun_servers;
    std::optional<int> port_step;  ///< as behaviour discovery would have found it
  };
  TraversalHost(Instant now, Options options, HostOutput& output);

  void set_addresses(Instant now, std::vector<Endpoint> host);
  void set_relay(Instant now, bool up);
  void on_udp(Instant now, unsigned socket, const Endpoint& from, Bytes& datagram);
  void on_relayed(Instant now, ByteView packet);
  void on_signal(Instant now, const relay::PeerMessage& message);
  /// False: there is no path to send it on.
  bool send_data(Instant now, std::uint64_t id);

  void handle_timeout(Instant now);
  Instant due() const { return due_; }
  const std::vector<Endpoint>& addresses() const { return local_.host; }
  path::TraversalReport report(Instant now) const { return traversal_.report(now); }
  path::Traversal& traversal() { return traversal_; }
  const tunnel::ReflexiveMonitor& monitor() const { return monitor_; }

  static std::optional<std::uint64_t> data_id(ByteView packet);

 private:
  void send_on(const path::Hop& hop, ByteView packet);
  void received(Instant now, const path::Hop& hop, ByteView packet);
  /// Carries out what traversal and monitor ask for.
  void flush(Instant now);

  Options options_;
  HostOutput& output_;
  SeededRandom random_;
  path::Traversal traversal_;
  tunnel::ReflexiveMonitor monitor_;
  path::LocalAddresses local_;
  bool was_direct_ = false;
  Instant due_{};
};

}  // namespace higgs::sim

// NAT traversal of this node's sessions: each peer of the tunnel gets a traversal that follows the client's lead, and
// the device learns what they need of this host: addresses, STUN servers, ports that the router maps to us.
//
// Stands between the sessions and the interface (PeerTable). Control thread, but for the events, which post.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "base/ip.h"
#include "higgsnode/peer_table.h"
#include "net/port_mapper.h"
#include "tunnel/network_monitor.h"
#include "tunnel/tunnel_driver.h"

namespace higgs::node {

/// Of all sessions since the start.
struct TraversalCounters {
  std::map<path::Kind, std::uint64_t> paths;  ///< how often a session moved to a path of that kind
  std::uint64_t direct_sessions = 0;          ///< sessions that had a direct path
  std::chrono::milliseconds to_direct_sum{0}, to_direct_last{0};
  std::uint64_t fallbacks = 0;  ///< direct paths that were lost to a path of another kind
  std::uint64_t signals_sent = 0, signals_received = 0, signals_refused = 0;
};

class NatTraversalEngine final : public PeerTable, private tunnel::TraversalEvents {
 public:
  struct Options {
    bool traversal = true;     ///< false: the relay carries everything
    bool port_mapping = true;  ///< ask the router for the tunnel's port
    std::uint16_t port = 0;    ///< the tunnel's UDP port
  };
  /// To be sent to the peer over the relay.
  using Signal = std::function<void(const crypto::PublicKey& peer, relay::PeerMessage message)>;
  using PathChanged = std::function<void(const crypto::PublicKey& peer, const path::TraversalReport& report)>;

  NatTraversalEngine(boost::asio::any_io_executor executor, PeerTable& peers, tunnel::TunnelDriver& driver,
                     Options options);
  /// Gives the mapped ports back.
  ~NatTraversalEngine() override;

  void set_events(Signal signal, PathChanged path_changed);
  /// Asks the router from here on, if that is wanted.
  void start_port_mapping();
  /// Gives the mapped ports back; waits at most two seconds.
  void stop_port_mapping() { mapper_.reset(); }

  Result<void> add(const crypto::PublicKey& key, const std::vector<IpPrefix>& addresses,
                   const wireguard::PeerAddress& where) override;
  Result<void> move(const crypto::PublicKey& key, const wireguard::PeerAddress& where) override;
  Result<void> remove(const crypto::PublicKey& key) override;
  std::optional<wireguard::PeerStatus> status(const crypto::PublicKey& key) override;
  void relay_lost(const crypto::PublicKey& key) override;
  bool carried_without_relay(const crypto::PublicKey& key) override;

  void handle_signal(const crypto::PublicKey& key, const relay::PeerMessage& message);

  void set_stun_servers(std::vector<Endpoint> servers);
  void set_network(const tunnel::HostNetwork& network, bool moved);
  /// Of a symmetric NAT that counts.
  void set_port_step(std::optional<int> step);

  std::optional<path::TraversalReport> report(const crypto::PublicKey& key);
  std::vector<Endpoint> reflexive_addresses();
  const tunnel::TraversalNetwork& network() const noexcept { return network_; }
  std::optional<net::PortMapperStatus> port_mapping() const;
  const TraversalCounters& counters() const noexcept { return counters_; }
  bool enabled() const noexcept { return options_.traversal; }

 private:
  struct Peer {
    std::optional<path::Kind> path;
    bool was_direct = false;
  };
  void on_signal(const wireguard::PublicKey& peer, relay::PeerMessage message) override;
  void on_path_changed(const wireguard::PublicKey& peer, path::TraversalReport report) override;

  void note_path(const crypto::PublicKey& key, const path::TraversalReport& report);
  void take_mappings(const net::PortMapperStatus& status);
  void update(bool moved);

  boost::asio::any_io_executor executor_;
  PeerTable& peers_;
  tunnel::TunnelDriver& driver_;
  Options options_;
  Signal signal_;
  PathChanged path_changed_;
  tunnel::TraversalNetwork network_;
  std::map<crypto::PublicKey, Peer> paths_;
  TraversalCounters counters_;
  std::unique_ptr<net::PortMapper> mapper_;
  /// What was posted from other threads asks whether we are still there.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

/// Where a mapped port is reached from the internet: each endpoint once, without those behind a second NAT. Pure.
std::vector<Endpoint> usable_mappings(const net::PortMapperStatus& status);

}  // namespace higgs::node

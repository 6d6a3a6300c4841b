// One session's tunnel: the WireGuard interface with a key of its own, the node as its only peer, the relay link, and
// the traversal that finds better paths than it. The key is made for this session and ends with it: never stored, never
// used again.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "api/routing.h"
#include "crypto/x25519.h"
#include "higgsvpn/failure.h"
#include "higgsvpn/local_network.h"
#include "higgsvpn/traversal_renewal.h"
#include "path/traversal.h"
#include "tunnel/network_monitor.h"
#include "tunnel/tunnel_driver.h"

namespace higgs::vpn {

class TunnelSession {
 public:
  struct Options {
    std::vector<IpAddress> dns;  ///< instead of the route's
    path::Policy policy = path::Policy::kAuto;
    std::vector<Endpoint> stun_servers;
    std::optional<path::TurnAccess> turn;
  };
  /// Makes the interface; the route must have passed NodeTrust. No packet can pass before attach(). `events`: of the
  /// traversal, called on the device's thread.
  static Outcome<std::unique_ptr<TunnelSession>> create(const api::SelectedRoute& route,
                                                        const crypto::PrivateKey& private_key, Options options,
                                                        std::unique_ptr<tunnel::TraversalEvents> events);
  ~TunnelSession();

  const api::SelectedRoute& route() const noexcept { return route_; }
  const std::string& token() const noexcept { return token_; }
  void set_token(std::string token) { token_ = std::move(token); }
  TunnelAddresses addresses() const;

  /// The relay path moves to this link; the one before is closed. The first one starts handshake and traversal.
  Outcome<void> attach(net::UpgradedSocket socket, tunnel::RelayLinkEvents& events);
  std::optional<tunnel::LinkId> link() const noexcept { return link_; }
  /// Closes the link, or clears away one that has closed itself.
  void detach();
  void restart_handshake();

  /// The host's network, as it is from now on. `port_step`: of a symmetric NAT that counts.
  void set_network(const tunnel::HostNetwork& network, bool moved, std::optional<int> port_step);
  /// To the node, over the link; lost without one, and told again when there is one.
  void send_signal(const relay::PeerMessage& message);
  /// From the node.
  void take_signal(const relay::PeerMessage& message);
  /// The server passes nothing on to the node, until on_ready().
  void on_node_away() noexcept { renewal_.node_away(); }
  /// session-ready: where the node lost its state, the traversal begins anew too.
  Outcome<void> on_ready(bool fresh);

  std::optional<wireguard::PeerStatus> peer_status();
  std::optional<tunnel::LinkStatus> link_status();
  std::optional<path::TraversalReport> path_report();
  tunnel::TraversalCounters traversal_counters();

 private:
  TunnelSession(const api::SelectedRoute& route, Options options, std::unique_ptr<tunnel::TraversalEvents> events,
                std::unique_ptr<tunnel::TunnelDriver> driver);
  Outcome<void> start_traversal();
  const crypto::PublicKey& node_key() const noexcept { return route_.node_endpoint.wireguard_config.public_key; }

  api::SelectedRoute route_;
  Options options_;
  std::string token_;
  bool traversing_ = false;
  TraversalRenewal renewal_;
  std::unique_ptr<tunnel::TraversalEvents> events_;  ///< outlives the driver
  std::unique_ptr<tunnel::TunnelDriver> driver_;
  std::optional<tunnel::LinkId> link_;
};

}  // namespace higgs::vpn

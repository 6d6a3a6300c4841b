// One WireGuard interface of this machine, whoever runs the protocol: the userspace engine on a TUN device here, the
// kernel in a later driver. Calls are made on the control thread and may wait a moment for the device's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "net/websocket_connection.h"
#include "path/traversal.h"
#include "wireguard/engine.h"

namespace higgs::tunnel {

enum class TunnelError {
  kNoTun = 1,  ///< /dev/net/tun is missing or closed to us
  kNotPermitted,
  kNameTaken,
  kPortTaken,
  kNoSuchPeer,
  kNoSuchLink,
  kLimit,
  kSystem,
};

struct InterfaceConfig {
  std::string name;  ///< "higgs%d" lets the kernel choose the number
  std::uint32_t mtu = 1420;
  wireguard::PrivateKey private_key;
  std::optional<std::uint16_t> listen_port;  ///< unset or 0: a free one
  std::uint32_t fwmark = 0;                  ///< on the UDP sockets; 0: none
  std::vector<IpPrefix> addresses;           ///< given to the interface, with the prefix length as it is
};

/// A relay link inside the device. Ids are never reused within a process.
using LinkId = std::uint32_t;

/// The address of a peer behind channel `channel` of a relay link (wireguard::PeerAddress::path).
inline wireguard::PeerAddress relay_address(LinkId link, std::uint32_t channel) {
  return {(std::uint64_t{link} << 32) | channel, {}};
}

/// Told of a link's control traffic; called on the device's thread, so an implementation posts to its own.
class RelayLinkEvents {
 public:
  virtual ~RelayLinkEvents() = default;
  virtual void on_control(LinkId link, std::string message) = 0;
  virtual void on_link_closed(LinkId link, std::uint16_t code, std::string reason) = 0;
  /// What was sent has not been answered for a second. The link may yet recover, or on_link_closed() follows.
  virtual void on_link_doubtful(LinkId link) = 0;
};

/// Told of a peer's traversal; called on the device's thread, so an implementation posts to its own.
class TraversalEvents {
 public:
  virtual ~TraversalEvents() = default;
  /// To be sent to the peer as a control message of the relay link; lost while none stands.
  virtual void on_signal(const wireguard::PublicKey& peer, relay::PeerMessage message) = 0;
  virtual void on_path_changed(const wireguard::PublicKey& peer, path::TraversalReport report) = 0;
};

/// What every peer's traversal needs to know of this host.
struct TraversalNetwork {
  std::vector<Endpoint> stun_servers;  ///< asked from the shared port for the reflexive addresses; at most 4 are used
  // Of this host's interfaces, without the tunnel's own (tunnel/network_monitor.h finds them).
  std::vector<IpAddress> addresses;
  std::vector<IpPrefix> networks;
  std::vector<Endpoint> mapped;  ///< by the port mapper
  std::optional<int> port_step;  ///< of a symmetric NAT that counts (stun::PortAllocation::kSequential)
  friend bool operator==(const TraversalNetwork&, const TraversalNetwork&) = default;
};

struct LinkStatus {
  std::uint64_t sent_packets = 0, received_packets = 0, sent_bytes = 0, received_bytes = 0;
  std::uint64_t dropped_packets = 0;  ///< by the queue's limits
  std::uint64_t malformed = 0;
  std::optional<std::chrono::microseconds> round_trip;
};

/// Of all traversals of an interface, since it came up.
struct TraversalCounters {
  std::uint64_t no_route = 0;    ///< packets for a peer that no path leads to just now
  std::uint64_t duplicated = 0;  ///< packets sent over a second path too
  std::uint64_t malformed_signals = 0;
  std::uint64_t stun_for_nobody = 0;  ///< STUN of no known user or transaction
  std::uint64_t checks_held = 0;      ///< not sent: over the budget of the whole device
  std::uint64_t stray = 0;            ///< datagrams that are neither WireGuard nor STUN
};

struct InterfaceStatus {
  std::string name;
  std::uint16_t listen_port = 0;
  std::uint32_t mtu = 0;
  std::vector<wireguard::PeerStatus> peers;
  wireguard::EngineCounters counters;
  TraversalCounters traversal;
};

class TunnelDriver {
 public:
  virtual ~TunnelDriver() = default;

  virtual const std::string& name() const = 0;
  /// While the peer's traversal runs, an address given here is that of its relay path.
  virtual Result<void> set_peer(const wireguard::PeerConfig& peer) = 0;
  virtual Result<void> remove_peer(const wireguard::PublicKey& key) = 0;
  virtual Result<void> restart_handshake(const wireguard::PublicKey& key) = 0;
  virtual Result<InterfaceStatus> status() = 0;
  /// Without allowed ips and keys: cheap enough for every second.
  virtual Result<std::optional<wireguard::PeerStatus>> peer_status(const wireguard::PublicKey& key) = 0;

  /// Gives an upgraded relay connection to the data path. Liveness (proto/relay.md) is kept there.
  virtual Result<LinkId> attach_link(net::UpgradedSocket socket, RelayLinkEvents& events) = 0;
  virtual Result<void> send_control(LinkId link, std::string message) = 0;
  /// Nothing of `events` is called once this has returned.
  virtual Result<void> detach_link(LinkId link) = 0;
  virtual Result<LinkStatus> link_status(LinkId link) = 0;

  // --- traversal: direct and TURN paths beside the relay ---------------------------------------------------------
  /// From here on the peer's packets go where its path manager says, and no packet that arrives moves the peer.
  /// `relay`: its channel on a relay link. The kernel driver hands only a settled direct path to the kernel.
  virtual Result<void> start_traversal(const wireguard::PublicKey& peer, const wireguard::PeerAddress& relay,
                                       path::TraversalOptions options, TraversalEvents& events) = 0;
  /// Ends with remove_peer() too. Nothing of `events` is called for this peer once this has returned.
  virtual Result<void> stop_traversal(const wireguard::PublicKey& peer) = 0;
  /// Another link or channel carries the relay path; unset: none does just now.
  virtual Result<void> set_traversal_relay(const wireguard::PublicKey& peer,
                                           std::optional<wireguard::PeerAddress> relay) = 0;
  virtual Result<void> traversal_signal(const wireguard::PublicKey& peer, const relay::PeerMessage& message) = 0;
  virtual Result<std::optional<path::TraversalReport>> traversal_report(const wireguard::PublicKey& peer) = 0;
  /// A changed set of addresses counts as a change of network. `moved`: so does this call whatever it says (the
  /// default route went elsewhere).
  virtual Result<void> set_traversal_network(const TraversalNetwork& network, bool moved) = 0;
  /// As STUN saw the shared port last, IPv4 and IPv6.
  virtual Result<std::vector<Endpoint>> reflexive_addresses() = 0;
};

/// Opens the TUN device, gives it its addresses and brings it up; the interface goes with the driver.
Result<std::unique_ptr<TunnelDriver>> make_userspace_driver(const InterfaceConfig& config);

}  // namespace higgs::tunnel

HIGGS_ERROR_ENUM(higgs::tunnel, TunnelError)

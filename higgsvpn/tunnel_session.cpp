#include "higgsvpn/tunnel_session.h"

#include <algorithm>
#include <utility>

#include "higgsvpn/marks.h"

namespace higgs::vpn {
namespace {

// IPv6 needs 1280 (RFC 8200, section 5); above 9000 no node's network goes.
constexpr std::uint32_t kLeastMtu = 1280, kMostMtu = 9000;
constexpr std::uint32_t kMostKeepaliveSeconds = 120;

Failure bad_answer(const std::string& what) {
  return {ExitCode::kFailure,
          "the server's route cannot be used: " + what,
          "is it a Higgs server of this version?",
          false,
          {}};
}

}  // namespace

TunnelSession::TunnelSession(const api::SelectedRoute& route, Options options,
                             std::unique_ptr<tunnel::TraversalEvents> events,
                             std::unique_ptr<tunnel::TunnelDriver> driver)
    : route_(route),
      options_(std::move(options)),
      token_(route.session_token),
      events_(std::move(events)),
      driver_(std::move(driver)) {}

TunnelSession::~TunnelSession() { detach(); }

Outcome<std::unique_ptr<TunnelSession>> TunnelSession::create(const api::SelectedRoute& route,
                                                              const crypto::PrivateKey& private_key, Options options,
                                                              std::unique_ptr<tunnel::TraversalEvents> events) {
  const api::WireguardConfig& wireguard = route.node_endpoint.wireguard_config;
  if (wireguard.address.empty()) return bad_answer("it names no tunnel address");
  tunnel::InterfaceConfig config;
  config.name = "higgs%d";
  config.mtu = std::clamp(wireguard.mtu, kLeastMtu, kMostMtu);
  config.private_key = private_key;
  config.fwmark = kFirewallMark;
  config.addresses = wireguard.address;
  auto driver = tunnel::make_userspace_driver(config);
  if (!driver) {
    const bool no_tun = driver.error() == tunnel::make_error_code(tunnel::TunnelError::kNoTun);
    return Failure::of(driver.error(), "cannot make the tunnel interface",
                       no_tun ? "load the module (modprobe tun), or give the container /dev/net/tun" : "");
  }
  if (options.dns.empty()) options.dns = wireguard.dns;
  return std::unique_ptr<TunnelSession>(
      new TunnelSession(route, std::move(options), std::move(events), std::move(*driver)));
}

TunnelAddresses TunnelSession::addresses() const {
  TunnelAddresses result{driver_->name(), {}, options_.dns};
  for (const IpPrefix& prefix : route_.node_endpoint.wireguard_config.address) {
    result.addresses.push_back(prefix.address());
  }
  return result;
}

Outcome<void> TunnelSession::attach(net::UpgradedSocket socket, tunnel::RelayLinkEvents& events) {
  const api::WireguardConfig& wireguard = route_.node_endpoint.wireguard_config;
  const auto attached = driver_->attach_link(std::move(socket), events);
  if (!attached) return Failure::of(attached.error(), "cannot use the relay link");
  wireguard::PeerConfig peer;
  peer.public_key = wireguard.public_key;
  peer.address = tunnel::relay_address(*attached, 0);
  peer.persistent_keepalive =
      std::chrono::seconds(std::clamp(wireguard.persistent_keepalive, 1u, kMostKeepaliveSeconds));
  peer.replace_allowed_ips = true;
  // Everything, whatever the server says: less would be a leak that it decided on.
  peer.allowed_ips = {*IpPrefix::parse("0.0.0.0/0"), *IpPrefix::parse("::/0")};
  const auto set = driver_->set_peer(peer);
  if (link_) (void)driver_->detach_link(*link_);
  link_ = *attached;
  if (!set) return Failure::of(set.error(), "cannot set up the WireGuard peer");
  if (traversing_) return {};
  return start_traversal();
}

Outcome<void> TunnelSession::start_traversal() {
  path::TraversalOptions options;
  options.leads = true;
  options.policy = options_.policy;
  options.turn = options_.turn;
  const auto started =
      driver_->start_traversal(node_key(), tunnel::relay_address(*link_, 0), std::move(options), *events_);
  if (!started) return Failure::of(started.error(), "cannot look for a direct path");
  traversing_ = true;
  return {};
}

void TunnelSession::detach() {
  if (!link_) return;
  if (traversing_) (void)driver_->set_traversal_relay(node_key(), std::nullopt);
  (void)driver_->detach_link(*link_);
  link_.reset();
}

void TunnelSession::restart_handshake() { (void)driver_->restart_handshake(node_key()); }

void TunnelSession::set_network(const tunnel::HostNetwork& network, bool moved, std::optional<int> port_step) {
  if (options_.policy == path::Policy::kRelayOnly) return;
  tunnel::TraversalNetwork told;
  told.stun_servers = options_.stun_servers;
  told.addresses = network.addresses;
  told.networks = network.networks;
  told.port_step = port_step;
  (void)driver_->set_traversal_network(told, moved);
}

void TunnelSession::send_signal(const relay::PeerMessage& message) {
  if (!link_) return;
  (void)driver_->send_control(*link_, relay::encode_control({route_.session_id, relay::Direction::kToNode, message}));
}

void TunnelSession::take_signal(const relay::PeerMessage& message) {
  if (traversing_) (void)driver_->traversal_signal(node_key(), message);
}

Outcome<void> TunnelSession::on_ready(bool fresh) {
  const auto need = renewal_.on_ready(fresh);
  if (!link_ || !traversing_) return {};
  if (need == TraversalRenewal::Need::kBeginAnew) return start_traversal();
  if (need == TraversalRenewal::Need::kTellAgain) {
    // A relay path that opens is told everything.
    (void)driver_->set_traversal_relay(node_key(), std::nullopt);
    (void)driver_->set_traversal_relay(node_key(), tunnel::relay_address(*link_, 0));
  }
  return {};
}

std::optional<wireguard::PeerStatus> TunnelSession::peer_status() {
  auto status = driver_->peer_status(node_key());
  return status ? *status : std::nullopt;
}

std::optional<tunnel::LinkStatus> TunnelSession::link_status() {
  if (!link_) return std::nullopt;
  auto status = driver_->link_status(*link_);
  return status ? std::optional(*status) : std::nullopt;
}

std::optional<path::TraversalReport> TunnelSession::path_report() {
  auto report = driver_->traversal_report(node_key());
  return report ? *report : std::nullopt;
}

tunnel::TraversalCounters TunnelSession::traversal_counters() {
  const auto status = driver_->status();
  return status ? status->traversal : tunnel::TraversalCounters();
}

}  // namespace higgs::vpn

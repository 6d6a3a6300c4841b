#include "higgsvpn/tunnel_session.h"

#include <algorithm>

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

TunnelSession::TunnelSession(const api::SelectedRoute& route, std::vector<IpAddress> dns,
                             std::unique_ptr<tunnel::TunnelDriver> driver)
    : route_(route), dns_(std::move(dns)), token_(route.session_token), driver_(std::move(driver)) {}

TunnelSession::~TunnelSession() { detach(); }

Outcome<std::unique_ptr<TunnelSession>> TunnelSession::create(const api::SelectedRoute& route,
                                                              const crypto::PrivateKey& private_key,
                                                              const std::vector<IpAddress>& dns) {
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
  return std::unique_ptr<TunnelSession>(
      new TunnelSession(route, dns.empty() ? wireguard.dns : dns, std::move(*driver)));
}

TunnelAddresses TunnelSession::addresses() const {
  TunnelAddresses result{driver_->name(), {}, dns_};
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
  return {};
}

void TunnelSession::detach() {
  if (link_) (void)driver_->detach_link(*link_);
  link_.reset();
}

void TunnelSession::restart_handshake() {
  (void)driver_->restart_handshake(route_.node_endpoint.wireguard_config.public_key);
}

std::optional<wireguard::PeerStatus> TunnelSession::peer_status() {
  auto status = driver_->peer_status(route_.node_endpoint.wireguard_config.public_key);
  return status ? *status : std::nullopt;
}

std::optional<tunnel::LinkStatus> TunnelSession::link_status() {
  if (!link_) return std::nullopt;
  auto status = driver_->link_status(*link_);
  return status ? std::optional(*status) : std::nullopt;
}

}  // namespace higgs::vpn

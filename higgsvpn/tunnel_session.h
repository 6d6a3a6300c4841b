// One session's tunnel: the WireGuard interface with a key of its own, the node as its only peer, and the relay link
// that carries it. The key is made for this session and ends with it: never stored, never used again.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "api/routing.h"
#include "crypto/x25519.h"
#include "higgsvpn/failure.h"
#include "higgsvpn/local_network.h"
#include "tunnel/tunnel_driver.h"

namespace higgs::vpn {

class TunnelSession {
 public:
  /// Makes the interface; the route must have passed NodeTrust. No packet can pass before attach().
  static Outcome<std::unique_ptr<TunnelSession>> create(const api::SelectedRoute& route,
                                                        const crypto::PrivateKey& private_key,
                                                        const std::vector<IpAddress>& dns);
  ~TunnelSession();

  const api::SelectedRoute& route() const noexcept { return route_; }
  const std::string& token() const noexcept { return token_; }
  void set_token(std::string token) { token_ = std::move(token); }
  TunnelAddresses addresses() const;

  /// The peer moves to this link; the one before is closed. The first one starts the handshake.
  Outcome<void> attach(net::UpgradedSocket socket, tunnel::RelayLinkEvents& events);
  std::optional<tunnel::LinkId> link() const noexcept { return link_; }
  /// Closes the link, or clears away one that has closed itself.
  void detach();
  void restart_handshake();

  std::optional<wireguard::PeerStatus> peer_status();
  std::optional<tunnel::LinkStatus> link_status();

 private:
  TunnelSession(const api::SelectedRoute& route, std::vector<IpAddress> dns,
                std::unique_ptr<tunnel::TunnelDriver> driver);

  api::SelectedRoute route_;
  std::vector<IpAddress> dns_;
  std::string token_;
  std::unique_ptr<tunnel::TunnelDriver> driver_;
  std::optional<tunnel::LinkId> link_;
};

}  // namespace higgs::vpn

// A tunnel driver without packets: keeps what it is told, the sockets and what is sent.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "relay/control.h"
#include "tunnel/tunnel_driver.h"

namespace higgs::node::testing_support {

class FakeDriver final : public tunnel::TunnelDriver {
 public:
  const std::string& name() const override { return name_; }
  Result<void> set_peer(const wireguard::PeerConfig& peer) override {
    peers[peer.public_key] = peer.address.value_or(wireguard::PeerAddress{});
    return {};
  }
  Result<void> remove_peer(const wireguard::PublicKey& key) override {
    peers.erase(key);
    return {};
  }
  Result<void> restart_handshake(const wireguard::PublicKey&) override { return {}; }
  Result<tunnel::InterfaceStatus> status() override { return tunnel::InterfaceStatus{}; }
  Result<std::optional<wireguard::PeerStatus>> peer_status(const wireguard::PublicKey&) override {
    return std::optional<wireguard::PeerStatus>();
  }
  Result<tunnel::LinkId> attach_link(net::UpgradedSocket socket, tunnel::RelayLinkEvents& told) override {
    events = &told;
    links.emplace(++last, std::move(socket));
    return last;
  }
  Result<void> send_control(tunnel::LinkId link, std::string message) override {
    if (!links.contains(link)) return make_error_code(tunnel::TunnelError::kNoSuchLink);
    sent.push_back(relay::parse_control(message).value());
    return {};
  }
  Result<void> detach_link(tunnel::LinkId link) override {
    links.erase(link);
    return {};
  }
  Result<tunnel::LinkStatus> link_status(tunnel::LinkId) override { return tunnel::LinkStatus{}; }
  Result<void> start_traversal(const wireguard::PublicKey& peer, const wireguard::PeerAddress& relay,
                               path::TraversalOptions options, tunnel::TraversalEvents& told) override {
    if (refuse_traversal) return make_error_code(tunnel::TunnelError::kLimit);
    traversals[peer] = relay;
    leads = options.leads;
    traversal_events = &told;
    return {};
  }
  Result<void> stop_traversal(const wireguard::PublicKey& peer) override {
    traversals.erase(peer);
    return {};
  }
  Result<void> set_traversal_relay(const wireguard::PublicKey& peer,
                                   std::optional<wireguard::PeerAddress> relay) override {
    traversals[peer] = relay;
    return {};
  }
  Result<void> traversal_signal(const wireguard::PublicKey&, const relay::PeerMessage& message) override {
    signals.push_back(message);
    return {};
  }
  Result<std::optional<path::TraversalReport>> traversal_report(const wireguard::PublicKey&) override { return report; }
  Result<void> set_traversal_network(const tunnel::TraversalNetwork& told, bool moved) override {
    networks.push_back({told, moved});
    return {};
  }
  Result<std::vector<Endpoint>> reflexive_addresses() override { return std::vector<Endpoint>(); }

  std::map<wireguard::PublicKey, wireguard::PeerAddress> peers;
  std::map<wireguard::PublicKey, std::optional<wireguard::PeerAddress>> traversals;
  std::vector<relay::PeerMessage> signals;
  std::vector<std::pair<tunnel::TraversalNetwork, bool>> networks;
  std::optional<path::TraversalReport> report;
  bool leads = true, refuse_traversal = false;
  tunnel::TraversalEvents* traversal_events = nullptr;
  std::map<tunnel::LinkId, net::UpgradedSocket> links;
  tunnel::LinkId last = 0;
  tunnel::RelayLinkEvents* events = nullptr;
  std::vector<relay::ControlMessage> sent;

 private:
  std::string name_ = "fake0";
};

}  // namespace higgs::node::testing_support

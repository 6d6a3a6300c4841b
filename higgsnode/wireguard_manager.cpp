#include "higgsnode/wireguard_manager.h"

#include "tunnel/netlink.h"

namespace higgs::node {

Result<std::unique_ptr<WireGuardManager>> WireGuardManager::open(const Config& config) {
  tunnel::InterfaceConfig interface;
  interface.name = config.interface;
  interface.mtu = config.mtu;
  interface.private_key = config.private_key;
  interface.listen_port = config.listen_port;
  interface.addresses = config.prefixes.own_addresses();
  auto driver = tunnel::make_userspace_driver(interface);
  if (!driver) return driver.error();
  auto netlink = tunnel::Netlink::open();
  if (!netlink) return netlink.error();
  for (const auto& prefix : config.prefixes.all()) {
    tunnel::Route route;
    route.prefix = prefix;
    route.ifname = (*driver)->name();
    if (auto added = netlink->add_route(route); !added) return added.error();
  }
  return std::unique_ptr<WireGuardManager>(new WireGuardManager(std::move(*driver)));
}

Result<void> WireGuardManager::add(const crypto::PublicKey& key, const std::vector<IpPrefix>& addresses,
                                   const wireguard::PeerAddress& where) {
  wireguard::PeerConfig peer;
  peer.public_key = key;
  peer.address = where;
  peer.replace_allowed_ips = true;
  peer.allowed_ips = addresses;
  return driver_->set_peer(peer);
}

Result<void> WireGuardManager::move(const crypto::PublicKey& key, const wireguard::PeerAddress& where) {
  wireguard::PeerConfig peer;
  peer.public_key = key;
  peer.address = where;
  return driver_->set_peer(peer);
}

Result<void> WireGuardManager::remove(const crypto::PublicKey& key) { return driver_->remove_peer(key); }

std::optional<wireguard::PeerStatus> WireGuardManager::status(const crypto::PublicKey& key) {
  auto status = driver_->peer_status(key);
  return status ? std::move(*status) : std::nullopt;
}

}  // namespace higgs::node

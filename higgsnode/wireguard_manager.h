// The node's WireGuard interface: the tunnel driver with its addresses and routes, and the peers in it.
#pragma once

#include <memory>
#include <string>

#include "higgsnode/peer_table.h"
#include "higgsnode/tunnel_prefixes.h"
#include "tunnel/tunnel_driver.h"

namespace higgs::node {

class WireGuardManager final : public PeerTable {
 public:
  struct Config {
    std::string interface;
    std::uint32_t mtu = 1420;
    std::optional<std::uint16_t> listen_port;
    crypto::PrivateKey private_key;
    TunnelPrefixes prefixes;
  };
  /// Makes the interface and routes the prefixes into it; both go with the object (or the process).
  static Result<std::unique_ptr<WireGuardManager>> open(const Config& config);

  tunnel::TunnelDriver& driver() noexcept { return *driver_; }
  const std::string& name() const { return driver_->name(); }

  Result<void> add(const crypto::PublicKey& key, const std::vector<IpPrefix>& addresses,
                   const wireguard::PeerAddress& where) override;
  Result<void> move(const crypto::PublicKey& key, const wireguard::PeerAddress& where) override;
  Result<void> remove(const crypto::PublicKey& key) override;
  std::optional<wireguard::PeerStatus> status(const crypto::PublicKey& key) override;

 private:
  explicit WireGuardManager(std::unique_ptr<tunnel::TunnelDriver> driver) : driver_(std::move(driver)) {}
  std::unique_ptr<tunnel::TunnelDriver> driver_;
};

}  // namespace higgs::node

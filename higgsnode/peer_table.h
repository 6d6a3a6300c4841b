// What SessionManager needs of the WireGuard interface, so that its decisions are tested without one.
#pragma once

#include <optional>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "wireguard/engine.h"

namespace higgs::node {

class PeerTable {
 public:
  virtual ~PeerTable() = default;
  /// Adds a peer with these addresses alone.
  virtual Result<void> add(const crypto::PublicKey& key, const std::vector<IpPrefix>& addresses,
                           const wireguard::PeerAddress& where) = 0;
  /// Its sessions and timers stay.
  virtual Result<void> move(const crypto::PublicKey& key, const wireguard::PeerAddress& where) = 0;
  virtual Result<void> remove(const crypto::PublicKey& key) = 0;
  virtual std::optional<wireguard::PeerStatus> status(const crypto::PublicKey& key) = 0;
  /// No relay link leads to it just now.
  virtual void relay_lost(const crypto::PublicKey&) {}
  /// Whether its packets take another path than the relay now.
  virtual bool carried_without_relay(const crypto::PublicKey&) { return false; }
};

}  // namespace higgs::node

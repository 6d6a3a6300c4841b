// Which addresses a relay may be told to send to: the public internet, and nothing that is the operator's own or
// stands for something else. Pure.
#pragma once

#include <vector>

#include "base/ip.h"

namespace higgs::turn {

/// Loopback, private, link-local, carrier-grade NAT, ULA, multicast, IPv4 in IPv6 (mapped, compatible, NAT64, 6to4,
/// Teredo), and what nobody can be reached at.
bool is_reserved_address(const IpAddress& address) noexcept;

class PeerPolicy {
 public:
  /// `own`: the server's addresses, refused even where `allow_reserved` (a test network) is set.
  PeerPolicy(bool allow_reserved, std::vector<IpAddress> own);
  bool permits(const IpAddress& peer) const noexcept;

 private:
  bool allow_reserved_;
  std::vector<IpAddress> own_;
};

}  // namespace higgs::turn

// The prefixes that clients' tunnel addresses come from: a /16 of 10/8 and a /64 of fd00::/8, chosen at random once, so
// that two nodes rarely share one, and away from the host's own networks.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "base/ip.h"
#include "base/random.h"
#include "base/result.h"

namespace higgs::node {

struct TunnelPrefixes {
  IpPrefix v4;
  std::optional<IpPrefix> v6;  ///< unset where the host has no IPv6

  /// What the server hands addresses out of.
  std::vector<IpPrefix> all() const;
  /// The node's own address in each, the first one, at its full length.
  std::vector<IpPrefix> own_addresses() const;
  /// Inside one of them, a host's full length, and not the node's own, the network's or the broadcast address.
  bool may_be_clients(const IpPrefix& address) const;

  friend bool operator==(const TunnelPrefixes&, const TunnelPrefixes&) = default;
};

bool overlap(const IpPrefix& a, const IpPrefix& b);

/// Pure. Keeps what is not in the way of an own network; `configured` wins over everything.
TunnelPrefixes choose_prefixes(const std::optional<TunnelPrefixes>& kept, const std::optional<IpPrefix>& configured_v4,
                               const std::optional<IpPrefix>& configured_v6, const std::vector<IpPrefix>& own_networks,
                               bool with_v6, RandomSource& random);

/// The file `tunnel-prefixes`: one prefix a line. Not there, or not understood: nullopt.
Result<std::optional<TunnelPrefixes>> load_prefixes(const std::filesystem::path& state_dir);
Result<void> save_prefixes(const std::filesystem::path& state_dir, const TunnelPrefixes& prefixes);

}  // namespace higgs::node

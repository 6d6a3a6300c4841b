// Tunnel addresses for clients, from the prefixes that a node advertises.
#pragma once

#include <optional>
#include <set>

#include "base/ip.h"
#include "base/random.h"

namespace higgs::boson {

/// Whether a node may give its clients addresses of this prefix: private (RFC 1918) or shared (RFC 6598) IPv4, or
/// unique local IPv6 (RFC 4193), with room for at least one client, and no larger than a /8 or a /32.
bool acceptable_tunnel_prefix(const IpPrefix& prefix);

/// A free address. Never the network's own, the first (the node's), or in IPv4 the last (broadcast). Starts at a random
/// place, so that an address that just became free is unlikely to be given to somebody else at once. nullopt: all
/// taken.
std::optional<IpAddress> allocate_address(const IpPrefix& prefix, const std::set<IpAddress>& taken,
                                          RandomSource& random);

}  // namespace higgs::boson

// What clients may reach through this node, as a firewall plan. Pure: a policy goes in, rules come out.
//
// From the tunnel nothing reaches the host itself and no other client; nothing is forwarded to private, local or
// special networks, to the node's own networks or its public address, nor to the ports that spam and scans want; the
// tunnel gets back only what belongs to a flow it began. Denials come before everything else, so that no flow that
// conntrack knows passes a rule that came later.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/key_certificate.h"
#include "base/ip.h"
#include "higgsnode/tunnel_prefixes.h"
#include "tunnel/firewall_plan.h"

namespace higgs::node {

/// Most prefixes of own networks and of the volunteer together; above, the policy cannot be written and no client is
/// served.
inline constexpr std::size_t kMaxDeniedPrefixes = 4096;

/// Never reachable, whatever is configured: IANA special-purpose address registries (RFC 6890 and its updates).
const std::vector<IpPrefix>& always_denied_prefixes();
/// SMTP, submissions, submission (RFC 5321, 8314, 6409).
const std::vector<std::uint16_t>& always_denied_ports();

struct EgressPolicy {
  std::string interface;
  TunnelPrefixes tunnel;
  std::vector<IpPrefix> own_networks;       ///< of this host and its site now
  std::vector<IpAddress> public_addresses;  ///< as the server sees this host
  std::vector<IpPrefix> denied_prefixes;    ///< the volunteer's
  std::vector<std::uint16_t> denied_ports;  ///< the volunteer's
  std::uint32_t connections_per_client = 0;
  bool limit_connections = true;  ///< false: the kernel has no connlimit
  bool ipv6 = true;               ///< false: the kernel cannot translate IPv6, so none is forwarded
  bool close_v4 = false;          ///< forwarding was off before us: every other pair of interfaces stays closed
  bool close_v6 = false;

  friend bool operator==(const EgressPolicy&, const EgressPolicy&) = default;
};

/// "HIGGSN-1a2b3c-": chains of this node, so that two nodes on one host do not meet.
std::string chain_prefix(const NodeId& node);
/// The routing table of this node, for the same reason.
std::uint32_t routing_table(const NodeId& node);

/// nullopt if the policy has more prefixes than kMaxDeniedPrefixes.
std::optional<tunnel::FirewallPlan> make_plan(const EgressPolicy& policy, const std::string& prefix);

/// What clients may not reach of a family, sorted, as the routes have it: all of it, where the family is not forwarded.
std::vector<IpPrefix> unreachable_prefixes(const EgressPolicy& policy, bool v6);

/// What the node says of itself in its key certificate.
api::ExitPolicy exit_policy_of(const std::vector<std::uint16_t>& denied_ports, bool logs_metadata);

}  // namespace higgs::node

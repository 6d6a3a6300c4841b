// The numbers by which this machine's kernel tells the client's own packets from all others.
#pragma once

#include <cstdint>

namespace higgs::vpn {

/// SO_MARK of the sockets that carry the tunnel (API, relay, UDP): routed by the main table, let through by the kill
/// switch. "HIGV".
inline constexpr std::uint32_t kFirewallMark = 0x48494756;
/// The routing table that leads everything else into the tunnel. "HI".
inline constexpr std::uint32_t kRoutingTable = 0x4849;
/// Of our two policy rules, before the main table's (32766) and before what other VPNs add (5000 and up).
inline constexpr std::uint32_t kMainRulePriority = 4849;
inline constexpr std::uint32_t kTunnelRulePriority = 4850;

}  // namespace higgs::vpn

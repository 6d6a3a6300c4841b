// The kill switch: from `connect` to `disconnect` only the tunnel, and the sockets that carry it, may send. A plan of
// chains of our own (libs/tunnel/firewall), for IPv4 and IPv6, that survives the client's death.
//
//   OUTPUT   loopback, the tunnel, packets with our mark, DHCP and neighbour discovery pass; the rest is dropped.
//            By mark, never by destination: an address that the relay uses is closed to every other program.
//   FORWARD  what this machine forwards for containers and virtual machines goes through the tunnel or nowhere.
//   INPUT    packets for the tunnel's address that arrive from outside it are dropped: who sits on the same network
//            could otherwise find out, by probing, which connections run inside (CVE-2019-14899).
//   mangle   connections of marked sockets keep their mark in conntrack, so that answers carry it too: strict
//            reverse-path filtering (with src_valid_mark) would drop them otherwise, as wg-quick(8) does it.
//
// What passes is RETURNed, not accepted: the user's own rules still have their say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "tunnel/firewall_plan.h"

namespace higgs::vpn {

inline constexpr const char* kFirewallPrefix = "HIGGSVPN-";

struct KillSwitchOptions {
  struct Tunnel {
    std::string ifname;
    std::vector<IpAddress> addresses;
  };
  bool enabled = true;     ///< false: only the mangle chains and the INPUT guard
  bool allow_lan = false;  ///< private and link-local destinations, but for DNS
  std::uint32_t mark = 0;
  std::optional<Tunnel> tunnel;  ///< unset: closed to all but our own sockets
};

tunnel::FirewallPlan make_firewall_plan(const KillSwitchOptions& options);

}  // namespace higgs::vpn

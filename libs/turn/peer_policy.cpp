#include "turn/peer_policy.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace higgs::turn {

namespace {

// The special-purpose registries of IANA (RFC 6890), and the multicast ranges.
constexpr std::array<std::string_view, 12> kReservedV4 = {
    "0.0.0.0/8",       // this network
    "10.0.0.0/8",      // private, RFC 1918
    "100.64.0.0/10",   // carrier-grade NAT, RFC 6598
    "127.0.0.0/8",     // loopback
    "169.254.0.0/16",  // link-local, RFC 3927; also where clouds keep their metadata
    "172.16.0.0/12",   // private
    "192.0.0.0/24",    // protocol assignments
    "192.88.99.0/24",  // 6to4 relays, RFC 7526
    "192.168.0.0/16",  // private
    "224.0.0.0/4",     // multicast
    "240.0.0.0/4",     // reserved, with 255.255.255.255
    "198.18.0.0/15",   // benchmarks, RFC 2544
};
constexpr std::array<std::string_view, 12> kReservedV6 = {
    "::/96",            // unspecified, loopback, and the deprecated IPv4-compatible
    "::ffff:0:0/96",    // IPv4-mapped
    "::ffff:0:0:0/96",  // IPv4-translated, RFC 2765
    "64:ff9b::/96",     // NAT64, RFC 6052
    "64:ff9b:1::/48",   // NAT64 for local use, RFC 8215
    "100::/64",         // discard only, RFC 6666
    "2001::/32",        // Teredo, RFC 4380
    "2002::/16",        // 6to4, RFC 3056
    "fc00::/7",         // unique local, RFC 4193
    "fe80::/10",        // link-local
    "fec0::/10",        // site-local, deprecated
    "ff00::/8",         // multicast
};

std::vector<IpPrefix> all_reserved() {
  std::vector<IpPrefix> all;
  for (const auto text : kReservedV4) all.push_back(*IpPrefix::parse(text));
  for (const auto text : kReservedV6) all.push_back(*IpPrefix::parse(text));
  return all;
}

}  // namespace

bool is_reserved_address(const IpAddress& address) noexcept {
  static const std::vector<IpPrefix> kAll = all_reserved();
  return std::any_of(kAll.begin(), kAll.end(), [&](const IpPrefix& prefix) { return prefix.contains(address); });
}

PeerPolicy::PeerPolicy(bool allow_reserved, std::vector<IpAddress> own)
    : allow_reserved_(allow_reserved), own_(std::move(own)) {}

bool PeerPolicy::permits(const IpAddress& peer) const noexcept {
  if (!allow_reserved_ && is_reserved_address(peer)) return false;
  return std::find(own_.begin(), own_.end(), peer.unmapped()) == own_.end();
}

}  // namespace higgs::turn

#include "ice/special_range.h"

#include <algorithm>
#include <array>

namespace higgs::ice {

namespace {

bool within(const IpAddress& address, std::span<const IpPrefix> prefixes) noexcept {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const IpPrefix& prefix) { return prefix.contains(address); });
}

}  // namespace

bool is_unusable(const IpAddress& address) noexcept {
  static const std::array kUnusable = {
      *IpPrefix::parse("0.0.0.0/8"),    // this network, RFC 791
      *IpPrefix::parse("224.0.0.0/4"),  // multicast, RFC 5771
      *IpPrefix::parse("240.0.0.0/4"),  // reserved and broadcast, RFC 1112
      *IpPrefix::parse("::/128"),      *IpPrefix::parse("ff00::/8"),
  };
  return within(address, kUnusable);
}

bool is_special(const IpAddress& address) noexcept {
  static const std::array kSpecialV4 = {
      *IpPrefix::parse("10.0.0.0/8"),      // private, RFC 1918
      *IpPrefix::parse("100.64.0.0/10"),   // carrier-grade NAT, RFC 6598
      *IpPrefix::parse("127.0.0.0/8"),     // loopback
      *IpPrefix::parse("169.254.0.0/16"),  // link-local, metadata services
      *IpPrefix::parse("172.16.0.0/12"),   // private
      *IpPrefix::parse("192.0.0.0/24"),    // protocol assignments, RFC 6890
      *IpPrefix::parse("192.168.0.0/16"),  // private
      *IpPrefix::parse("198.18.0.0/15"),   // benchmarks, RFC 2544
  };
  static const IpPrefix kGlobalV6 = *IpPrefix::parse("2000::/3");  // RFC 4291, 2.4: all that is assigned
  static const std::array kHiding = {*IpPrefix::parse("2002::/16"), *IpPrefix::parse("2001::/32")};
  if (is_unusable(address)) return true;
  if (address.is_v4()) return within(address, kSpecialV4);
  return !kGlobalV6.contains(address) || within(address, kHiding);
}

}  // namespace higgs::ice

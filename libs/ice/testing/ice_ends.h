// Two ends on a network, ready to be connected. For tests only.
#pragma once

#include <string>

#include "ice/testing/ice_network.h"

namespace higgs::ice::testing {

/// IPv4 alone: 203.0.113.NUMBER, or 10.NUMBER.0.2 behind a NAT of that address.
inline End::Addresses behind(Nat nat, unsigned number) {
  End::Addresses out;
  const auto n = std::to_string(number);
  out.nat = nat;
  out.v4 = at(nat == Nat::kNone ? "203.0.113." + n + ":5000" : "10." + n + ".0.2:5000");
  out.outside = *IpAddress::parse("203.0.113." + n);
  return out;
}

inline Options options_of(Role role) {
  Options options;
  options.role = role;
  return options;
}

struct Ends {
  explicit Ends(Nat a_nat = Nat::kNone, Nat b_nat = Nat::kNone, std::uint64_t seed = 1)
      : Ends(behind(a_nat, 101), behind(b_nat, 102), seed) {}
  Ends(const End::Addresses& of_a, const End::Addresses& of_b, std::uint64_t seed = 1,
       const Options& options_a = options_of(Role::kControlling),
       const Options& options_b = options_of(Role::kControlled))
      : network(seed), a(network.add(of_a, options_a)), b(network.add(of_b, options_b)) {}

  void connect(std::chrono::milliseconds delay = std::chrono::milliseconds(30)) {
    network.gather(a);
    network.gather(b);
    network.signal(a, b, delay);
  }
  bool both_valid(std::chrono::nanoseconds most) {
    return network.run_until([&] { return !a.valid().empty() && !b.valid().empty(); }, most);
  }

  Network network;
  End &a, &b;
};

inline constexpr std::string_view kAddressA = "203.0.113.101:5000", kAddressB = "203.0.113.102:5000";

}  // namespace higgs::ice::testing

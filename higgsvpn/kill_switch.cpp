#include "higgsvpn/kill_switch.h"

#include <fmt/format.h>

namespace higgs::vpn {
namespace {

constexpr const char* kOut = "HIGGSVPN-OUT";
constexpr const char* kForward = "HIGGSVPN-FORWARD";
constexpr const char* kIn = "HIGGSVPN-IN";
constexpr const char* kMarkOut = "HIGGSVPN-MARK-OUT";
constexpr const char* kMarkIn = "HIGGSVPN-MARK-IN";

// RFC 1918, RFC 3927, link-local and local multicast, broadcast; and their likes in IPv6.
const std::vector<std::string> kLanV4{"10.0.0.0/8",   "172.16.0.0/12",      "192.168.0.0/16",    "169.254.0.0/16",
                                      "224.0.0.0/24", "239.255.255.250/32", "255.255.255.255/32"};
const std::vector<std::string> kLanV6{"fe80::/10", "fc00::/7", "ff02::/16"};

using Rules = std::vector<std::string>;

void allow_lan(Rules& rules, bool v6) {
  // A resolver in the LAN would tell the provider every name: DNS goes through the tunnel or nowhere.
  for (const char* protocol : {"udp", "tcp"}) {
    for (const int port : {53, 853})
      rules.push_back(fmt::format("-p {} -m {} --dport {} -j DROP", protocol, protocol, port));
  }
  for (const std::string& range : v6 ? kLanV6 : kLanV4) rules.push_back("-d " + range + " -j RETURN");
}

Rules output_rules(const KillSwitchOptions& options, bool v6) {
  Rules rules{"-o lo -j RETURN"};
  if (options.tunnel) rules.push_back("-o " + options.tunnel->ifname + " -j RETURN");
  rules.push_back(fmt::format("-m mark --mark {:#x} -j RETURN", options.mark));
  if (v6) {
    rules.push_back("-p udp -m udp --sport 546 --dport 547 -j RETURN");
    // Router and neighbour solicitations and advertisements (RFC 4861): with another hop limit nobody takes them for
    // such. And the reports of listeners, without which a switch may not pass the solicitations on: they go to
    // FF02::16 (RFC 3810, section 5.2.14).
    for (const int type : {133, 134, 135, 136}) {
      rules.push_back(fmt::format("-p ipv6-icmp -m icmp6 --icmpv6-type {} -m hl --hl-eq 255 -j RETURN", type));
    }
    rules.push_back("-d ff02::/16 -p ipv6-icmp -m icmp6 --icmpv6-type 143 -j RETURN");
  } else {
    rules.push_back("-p udp -m udp --sport 68 --dport 67 -j RETURN");
  }
  if (options.allow_lan) allow_lan(rules, v6);
  rules.push_back("-j DROP");
  return rules;
}

Rules forward_rules(const KillSwitchOptions& options, bool v6) {
  Rules rules;
  if (options.tunnel) {
    rules.push_back("-o " + options.tunnel->ifname + " -j RETURN");
    rules.push_back("-i " + options.tunnel->ifname + " -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN");
  }
  if (options.allow_lan) allow_lan(rules, v6);
  rules.push_back("-j DROP");
  return rules;
}

Rules input_rules(const KillSwitchOptions::Tunnel& tunnel, bool v6) {
  Rules rules{"-i lo -j RETURN"};
  for (const IpAddress& address : tunnel.addresses) {
    if (address.is_v6() != v6) continue;
    rules.push_back(fmt::format("-d {}/{} ! -i {} -j DROP", address.to_string(), address.bit_length(), tunnel.ifname));
  }
  return rules;
}

tunnel::FirewallRules rules_of(const KillSwitchOptions& options, bool v6) {
  tunnel::FirewallRules rules;
  const auto guard = [&](const char* table, const char* from, const char* chain, Rules body) {
    rules.chains.push_back({table, chain, std::move(body)});
    rules.jumps.push_back({table, from, std::string("-j ") + chain});
  };
  if (options.enabled) {
    guard("filter", "OUTPUT", kOut, output_rules(options, v6));
    guard("filter", "FORWARD", kForward, forward_rules(options, v6));
  }
  if (options.tunnel) guard("filter", "INPUT", kIn, input_rules(*options.tunnel, v6));
  guard("mangle", "POSTROUTING", kMarkOut, {fmt::format("-m mark --mark {:#x} -j CONNMARK --save-mark", options.mark)});
  guard("mangle", "PREROUTING", kMarkIn,
        {fmt::format("-m connmark --mark {:#x} -j CONNMARK --restore-mark", options.mark)});
  return rules;
}

}  // namespace

tunnel::FirewallPlan make_firewall_plan(const KillSwitchOptions& options) {
  return {kFirewallPrefix, rules_of(options, false), rules_of(options, true)};
}

}  // namespace higgs::vpn

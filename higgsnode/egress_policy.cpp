#include "higgsnode/egress_policy.h"

#include <algorithm>
#include <set>

#include "base/number.h"

namespace higgs::node {
namespace {

constexpr const char* kAlwaysDenied[] = {
    "0.0.0.0/8",        // this host on this network, RFC 1122
    "10.0.0.0/8",       // private, RFC 1918
    "100.64.0.0/10",    // shared address space, RFC 6598
    "127.0.0.0/8",      // loopback
    "169.254.0.0/16",   // link-local, RFC 3927, and metadata services
    "172.16.0.0/12",    // private
    "192.0.0.0/24",     // protocol assignments, RFC 6890
    "192.88.99.0/24",   // 6to4 relays, RFC 7526
    "192.168.0.0/16",   // private
    "198.18.0.0/15",    // benchmarking, RFC 2544
    "224.0.0.0/4",      // multicast
    "240.0.0.0/4",      // reserved, and broadcast
    "::/96",            // unspecified, loopback, and the abandoned v4-compatible
    "::ffff:0:0/96",    // v4-mapped
    "::ffff:0:0:0/96",  // v4-translated, RFC 2765
    "64:ff9b::/96",     // NAT64, RFC 6052
    "64:ff9b:1::/48",   // local NAT64, RFC 8215
    "100::/64",         // discard, RFC 6666
    "2001::/32",        // Teredo, which names v4 addresses, RFC 4380
    "2002::/16",        // 6to4, which names v4 addresses, RFC 3056
    "fc00::/7",         // unique local, RFC 4193; metadata services
    "fe80::/10",        // link-local
    "fec0::/10",        // site-local, RFC 3879
    "ff00::/8",         // multicast
};

/// All but 2000::/3, which is what IANA gives out of.
constexpr const char* kOutsideGlobalUnicast[] = {"::/3", "4000::/2", "8000::/1"};

struct Family {
  bool v6;
  const char* prohibited;   ///< how a denied packet is answered
  const char* unreachable;  ///< how a denied UDP port is answered
  const char* host_mask;
};
constexpr Family kV4{false, "icmp-admin-prohibited", "icmp-port-unreachable", "32"};
constexpr Family kV6{true, "icmp6-adm-prohibited", "icmp6-port-unreachable", "128"};

/// Sorted, without those inside another, so that the chain is as short as it can be.
std::vector<IpPrefix> denied_of(const EgressPolicy& policy, const Family& family) {
  std::vector<IpPrefix> all = always_denied_prefixes();
  all.insert(all.end(), policy.own_networks.begin(), policy.own_networks.end());
  all.insert(all.end(), policy.denied_prefixes.begin(), policy.denied_prefixes.end());
  for (const auto& address : policy.public_addresses) {
    const auto plain = address.unmapped();
    all.push_back(*IpPrefix::make(plain, plain.bit_length()));
  }
  std::erase_if(all, [&](const IpPrefix& prefix) { return prefix.address().is_v6() != family.v6; });
  std::sort(all.begin(), all.end(), [](const IpPrefix& a, const IpPrefix& b) {
    return a.length() != b.length() ? a.length() < b.length() : a.address() < b.address();
  });
  std::vector<IpPrefix> kept;
  for (const auto& prefix : all) {
    const bool inside =
        std::any_of(kept.begin(), kept.end(), [&](const IpPrefix& wider) { return wider.contains(prefix.address()); });
    if (!inside) kept.push_back(prefix);
  }
  return kept;
}

std::vector<std::string> forward_rules(const EgressPolicy& policy, const Family& family) {
  const auto reject = [](const std::string& match, const char* with) {
    return match + (match.empty() ? "" : " ") + "-j REJECT --reject-with " + with;
  };
  std::vector<std::string> rules;
  rules.push_back("-o " + policy.interface + " -j DROP");
  rules.push_back("-m conntrack --ctstate INVALID -j DROP");
  if (family.v6 && !policy.ipv6) {
    rules.push_back(reject("", family.prohibited));
    return rules;
  }
  for (const auto& prefix : denied_of(policy, family))
    rules.push_back(reject("-d " + prefix.to_string(), family.prohibited));
  // Global unicast is all that IANA has given out; what else may come is not ours to reach.
  if (family.v6) rules.push_back(reject("-i " + policy.interface + " ! -d 2000::/3", family.prohibited));
  std::set<std::uint16_t> ports(always_denied_ports().begin(), always_denied_ports().end());
  ports.insert(policy.denied_ports.begin(), policy.denied_ports.end());
  for (const auto port : ports) {
    const auto number = std::to_string(port);
    rules.push_back(reject("-p tcp -m tcp --dport " + number, "tcp-reset"));
    rules.push_back(reject("-p udp -m udp --dport " + number, family.unreachable));
  }
  if (policy.limit_connections) {
    rules.push_back("-m conntrack --ctstate NEW -m connlimit --connlimit-above " +
                    std::to_string(policy.connections_per_client) + " --connlimit-mask " + family.host_mask +
                    " --connlimit-saddr -j DROP");
  }
  rules.emplace_back("-j ACCEPT");
  return rules;
}

tunnel::FirewallRules rules_of(const EgressPolicy& policy, const std::string& prefix, const Family& family) {
  tunnel::FirewallRules rules;
  rules.chains.push_back({"filter", prefix + "IN", {"-j DROP"}});
  rules.chains.push_back({"filter", prefix + "FWD", forward_rules(policy, family)});
  rules.chains.push_back(
      {"filter", prefix + "RET", {"-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-j DROP"}});
  rules.jumps.push_back({"filter", "INPUT", "-i " + policy.interface + " -j " + prefix + "IN"});
  rules.jumps.push_back({"filter", "FORWARD", "-i " + policy.interface + " -j " + prefix + "FWD"});
  rules.jumps.push_back({"filter", "FORWARD", "-o " + policy.interface + " -j " + prefix + "RET"});
  if (family.v6 ? policy.close_v6 : policy.close_v4) {
    rules.chains.push_back({"filter", prefix + "SHUT", {"-j DROP"}});
    rules.jumps.push_back({"filter", "FORWARD", "-j " + prefix + "SHUT"});
  }
  const auto& tunnel = policy.tunnel;
  if (!family.v6 || (policy.ipv6 && tunnel.v6)) {
    const auto source = (family.v6 ? *tunnel.v6 : tunnel.v4).to_string();
    rules.chains.push_back({"nat", prefix + "NAT", {"-j MASQUERADE"}});
    rules.jumps.push_back(
        {"nat", "POSTROUTING", "-s " + source + " ! -o " + policy.interface + " -j " + prefix + "NAT"});
  }
  return rules;
}

}  // namespace

const std::vector<IpPrefix>& always_denied_prefixes() {
  static const auto kPrefixes = [] {
    std::vector<IpPrefix> parsed;
    for (const char* text : kAlwaysDenied) parsed.push_back(IpPrefix::parse(text).value());
    return parsed;
  }();
  return kPrefixes;
}

const std::vector<std::uint16_t>& always_denied_ports() {
  static const std::vector<std::uint16_t> kPorts = {25, 465, 587};
  return kPorts;
}

std::string chain_prefix(const NodeId& node) { return "HIGGSN-" + to_string(node).substr(0, 6) + "-"; }

std::uint32_t routing_table(const NodeId& node) {
  // Far from the numbers that people and other programs choose.
  return 0x48000000u | parse_number<std::uint32_t>(to_string(node).substr(0, 6), 16).value();
}

std::vector<IpPrefix> unreachable_prefixes(const EgressPolicy& policy, bool v6) {
  std::vector<IpPrefix> prefixes;
  if (v6 && !policy.ipv6) {
    prefixes.push_back(IpPrefix::parse("::/0").value());
  } else {
    auto denied = policy;
    if (v6)
      for (const char* text : kOutsideGlobalUnicast) denied.denied_prefixes.push_back(IpPrefix::parse(text).value());
    prefixes = denied_of(denied, v6 ? kV6 : kV4);
  }
  std::sort(prefixes.begin(), prefixes.end());
  return prefixes;
}

std::optional<tunnel::FirewallPlan> make_plan(const EgressPolicy& policy, const std::string& prefix) {
  const auto prefixes = policy.own_networks.size() + policy.denied_prefixes.size() + policy.public_addresses.size();
  if (prefixes > kMaxDeniedPrefixes) return std::nullopt;
  return tunnel::FirewallPlan{prefix, rules_of(policy, prefix, kV4), rules_of(policy, prefix, kV6)};
}

api::ExitPolicy exit_policy_of(const std::vector<std::uint16_t>& denied_ports, bool logs_metadata) {
  std::set<std::uint16_t> ports(always_denied_ports().begin(), always_denied_ports().end());
  ports.insert(denied_ports.begin(), denied_ports.end());
  api::ExitPolicy policy;
  policy.blocked_ports.assign(ports.begin(), ports.end());
  policy.logging = logs_metadata ? "metadata" : "none";
  return policy;
}

}  // namespace higgs::node

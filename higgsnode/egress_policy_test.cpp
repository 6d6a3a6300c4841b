#include "higgsnode/egress_policy.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace higgs::node {
namespace {

EgressPolicy policy() {
  EgressPolicy made;
  made.interface = "higgs-node0";
  made.tunnel = {IpPrefix::parse("10.80.0.0/16").value(), IpPrefix::parse("fd12:3456::/64")};
  made.own_networks = {IpPrefix::parse("203.0.113.0/24").value(), IpPrefix::parse("203.0.113.7").value(),
                       IpPrefix::parse("192.168.1.0/24").value(), IpPrefix::parse("2001:db8:5::/64").value()};
  made.public_addresses = {IpAddress::parse("198.51.100.9").value()};
  made.denied_prefixes = {IpPrefix::parse("192.0.2.0/24").value()};
  made.denied_ports = {6667};
  made.connections_per_client = 100;
  return made;
}

const std::vector<std::string>& chain(const tunnel::FirewallRules& rules, const std::string& name) {
  const auto found = std::find_if(rules.chains.begin(), rules.chains.end(),
                                  [&](const auto& candidate) { return candidate.name == name; });
  if (found == rules.chains.end()) throw std::runtime_error("no chain " + name);
  return found->rules;
}

bool has(const std::vector<std::string>& rules, const std::string& rule) {
  return std::find(rules.begin(), rules.end(), rule) != rules.end();
}

std::vector<std::string> jumps(const tunnel::FirewallRules& rules) {
  std::vector<std::string> texts;
  for (const auto& jump : rules.jumps) texts.push_back(jump.table + " " + jump.from + " " + jump.rule);
  return texts;
}

TEST(EgressPolicy, TheIpv4PlanIsThis) {
  const auto plan = make_plan(policy(), "HGN-").value();
  EXPECT_EQ(tunnel::find_fault(plan), std::nullopt);
  EXPECT_EQ(jumps(plan.v4), (std::vector<std::string>{"filter INPUT -i higgs-node0 -j HGN-IN",
                                                      "filter FORWARD -i higgs-node0 -j HGN-FWD",
                                                      "filter FORWARD -o higgs-node0 -j HGN-RET",
                                                      "nat POSTROUTING -s 10.80.0.0/16 ! -o higgs-node0 -j HGN-NAT"}));
  EXPECT_EQ(chain(plan.v4, "HGN-IN"), std::vector<std::string>{"-j DROP"});
  EXPECT_EQ(chain(plan.v4, "HGN-RET"),
            (std::vector<std::string>{"-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-j DROP"}));
  EXPECT_EQ(chain(plan.v4, "HGN-NAT"), std::vector<std::string>{"-j MASQUERADE"});
  const std::string no = " -j REJECT --reject-with icmp-admin-prohibited";
  const std::vector<std::string> expected = {
      "-o higgs-node0 -j DROP",
      "-m conntrack --ctstate INVALID -j DROP",
      "-d 224.0.0.0/4" + no,
      "-d 240.0.0.0/4" + no,
      "-d 0.0.0.0/8" + no,
      "-d 10.0.0.0/8" + no,
      "-d 127.0.0.0/8" + no,
      "-d 100.64.0.0/10" + no,
      "-d 172.16.0.0/12" + no,
      "-d 198.18.0.0/15" + no,
      "-d 169.254.0.0/16" + no,
      "-d 192.168.0.0/16" + no,
      "-d 192.0.0.0/24" + no,
      "-d 192.0.2.0/24" + no,
      "-d 192.88.99.0/24" + no,
      "-d 203.0.113.0/24" + no,
      "-d 198.51.100.9/32" + no,
      "-p tcp -m tcp --dport 25 -j REJECT --reject-with tcp-reset",
      "-p udp -m udp --dport 25 -j REJECT --reject-with icmp-port-unreachable",
      "-p tcp -m tcp --dport 465 -j REJECT --reject-with tcp-reset",
      "-p udp -m udp --dport 465 -j REJECT --reject-with icmp-port-unreachable",
      "-p tcp -m tcp --dport 587 -j REJECT --reject-with tcp-reset",
      "-p udp -m udp --dport 587 -j REJECT --reject-with icmp-port-unreachable",
      "-p tcp -m tcp --dport 6667 -j REJECT --reject-with tcp-reset",
      "-p udp -m udp --dport 6667 -j REJECT --reject-with icmp-port-unreachable",
      "-m conntrack --ctstate NEW -m connlimit --connlimit-above 100 --connlimit-mask 32 --connlimit-saddr -j DROP",
      "-j ACCEPT",
  };
  EXPECT_EQ(chain(plan.v4, "HGN-FWD"), expected);
}

TEST(EgressPolicy, Ipv6DeniesWhatNamesOrHidesOtherNetworks) {
  const auto plan = make_plan(policy(), "HGN-").value();
  const auto& rules = chain(plan.v6, "HGN-FWD");
  const std::string no = " -j REJECT --reject-with icmp6-adm-prohibited";
  for (const char* denied : {"-d ::/96", "-d ::ffff:0.0.0.0/96", "-d 64:ff9b::/96", "-d 64:ff9b:1::/48", "-d 2002::/16",
                             "-d 2001::/32", "-d fc00::/7", "-d fe80::/10", "-d fec0::/10", "-d ff00::/8",
                             "-d 2001:db8:5::/64", "-i higgs-node0 ! -d 2000::/3"}) {
    EXPECT_TRUE(has(rules, denied + no)) << denied;
  }
  EXPECT_EQ(rules.front(), "-o higgs-node0 -j DROP");
  EXPECT_EQ(rules.back(), "-j ACCEPT");
  EXPECT_TRUE(has(rules, "-p tcp -m tcp --dport 25 -j REJECT --reject-with tcp-reset"));
  EXPECT_EQ(jumps(plan.v6).back(), "nat POSTROUTING -s fd12:3456::/64 ! -o higgs-node0 -j HGN-NAT");
}

TEST(EgressPolicy, DenialsComeBeforeEveryAcceptance) {
  const auto plan = make_plan(policy(), "HGN-").value();
  for (const auto* rules : {&plan.v4, &plan.v6}) {
    const auto& forward = chain(*rules, "HGN-FWD");
    const auto first = std::find_if(forward.begin(), forward.end(),
                                    [](const std::string& rule) { return rule.find("ACCEPT") != rule.npos; });
    EXPECT_EQ(first, forward.end() - 1);
  }
}

TEST(EgressPolicy, WithoutTranslationNoIpv6IsForwarded) {
  auto without = policy();
  without.ipv6 = false;
  const auto plan = make_plan(without, "HGN-").value();
  EXPECT_EQ(chain(plan.v6, "HGN-FWD").back(), "-j REJECT --reject-with icmp6-adm-prohibited");
  EXPECT_EQ(chain(plan.v6, "HGN-IN"), std::vector<std::string>{"-j DROP"});
  EXPECT_THROW(chain(plan.v6, "HGN-NAT"), std::runtime_error);
}

TEST(EgressPolicy, WhereForwardingWasOffEveryOtherPairStaysClosed) {
  auto closed = policy();
  closed.close_v4 = true;
  const auto plan = make_plan(closed, "HGN-").value();
  const auto texts = jumps(plan.v4);
  EXPECT_EQ(texts[3], "filter FORWARD -j HGN-SHUT") << "behind the two of the tunnel";
  EXPECT_EQ(chain(plan.v4, "HGN-SHUT"), std::vector<std::string>{"-j DROP"});
  EXPECT_THROW(chain(plan.v6, "HGN-SHUT"), std::runtime_error);
}

TEST(EgressPolicy, AMappedPublicAddressIsItsIpv4One) {
  auto mapped = policy();
  mapped.public_addresses = {IpAddress::parse("::ffff:198.51.100.77").value()};
  const auto plan = make_plan(mapped, "HGN-").value();
  EXPECT_TRUE(has(chain(plan.v4, "HGN-FWD"), "-d 198.51.100.77/32 -j REJECT --reject-with icmp-admin-prohibited"));
}

TEST(EgressPolicy, RoutesDenyTheAddressesThatTheRulesDeny) {
  const auto plan = make_plan(policy(), "HGN-").value();
  for (const bool v6 : {false, true}) {
    const auto& rules = chain(v6 ? plan.v6 : plan.v4, "HGN-FWD");
    const auto prefixes = unreachable_prefixes(policy(), v6);
    const auto covered = [&](const IpPrefix& denied) {
      return std::any_of(prefixes.begin(), prefixes.end(), [&](const IpPrefix& prefix) {
        return prefix.length() <= denied.length() && prefix.contains(denied.address());
      });
    };
    std::size_t denials = 0;
    for (const auto& rule : rules) {
      if (!rule.starts_with("-d ")) continue;
      ++denials;
      EXPECT_TRUE(covered(IpPrefix::parse(rule.substr(3, rule.find(' ', 3) - 3)).value())) << rule;
    }
    EXPECT_GT(denials, 8u);
    EXPECT_FALSE(covered(IpPrefix::parse(v6 ? "2600::/16" : "8.0.0.0/8").value()));
  }
  EXPECT_TRUE(std::ranges::count(unreachable_prefixes(policy(), true), IpPrefix::parse("4000::/2").value()));
  auto without = policy();
  without.ipv6 = false;
  EXPECT_EQ(unreachable_prefixes(without, true), std::vector{IpPrefix::parse("::/0").value()});
}

TEST(EgressPolicy, EachNodeHasARoutingTableOfItsOwn) {
  const NodeId one(Uuid::parse("1a2b3c4d-0000-4000-8000-000000000000").value());
  const NodeId two(Uuid::parse("1a2b3d4d-0000-4000-8000-000000000000").value());
  EXPECT_EQ(routing_table(one), 0x481a2b3cu);
  EXPECT_EQ(routing_table(two), 0x481a2b3du);
}

TEST(EgressPolicy, TooManyPrefixesAreNoPlan) {
  auto many = policy();
  many.own_networks.assign(kMaxDeniedPrefixes + 1, IpPrefix::parse("203.0.113.0/24").value());
  EXPECT_EQ(make_plan(many, "HGN-"), std::nullopt);
}

TEST(EgressPolicy, TheCertificateNamesTheBlockedPorts) {
  const auto exit = exit_policy_of({6667, 25}, false);
  EXPECT_EQ(exit.blocked_ports, (std::vector<std::uint16_t>{25, 465, 587, 6667}));
  EXPECT_FALSE(exit.private_networks);
  EXPECT_EQ(exit.logging, "none");
}

}  // namespace
}  // namespace higgs::node

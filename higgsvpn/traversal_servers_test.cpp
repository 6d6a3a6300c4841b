#include "higgsvpn/traversal_servers.h"

#include <gtest/gtest.h>

namespace higgs::vpn {
namespace {

Endpoint endpoint(const char* text) { return *Endpoint::parse(text); }

const KnownHosts kKnown{
    {"vpn.example.org",
     {*IpAddress::parse("2001:db8::1"), *IpAddress::parse("192.0.2.1"), *IpAddress::parse("192.0.2.2")}},
    {"six.example.org", {*IpAddress::parse("2001:db8::6")}}};

TEST(TraversalServers, HostsThatTheServerTellsAreKnownButForItsOwnAndWithinLimits) {
  const auto address = [](const char* text) { return IpAddress::parse(text).value(); };
  KnownHosts known{{"api.example", {address("192.0.2.1")}}};
  const std::vector<api::HostAddresses> told{{"relay.example", {address("198.51.100.1"), address("2001:db8::1")}},
                                             {"api.example", {address("203.0.113.66")}},
                                             {"203.0.113.5", {address("203.0.113.66")}},
                                             {"empty.example", {}}};
  EXPECT_EQ(learn_hosts(known, told, "api.example"), std::vector<std::string>{"relay.example"});
  EXPECT_EQ(known.at("api.example"), std::vector{address("192.0.2.1")});
  EXPECT_EQ(known.size(), 2u);
  EXPECT_EQ(stun_endpoints({{"relay.example", 3478}}, known).size(), 2u);
  EXPECT_TRUE(learn_hosts(known, told, "api.example").empty()) << "nothing new";
  EXPECT_EQ(learn_hosts(known, {{"relay.example", {address("198.51.100.2")}}}, "api.example").size(), 1u)
      << "it has moved";
  std::vector<api::HostAddresses> many;
  for (int i = 0; i < 200; ++i) many.push_back({"h" + std::to_string(i), std::vector(100, address("192.0.2.1"))});
  (void)learn_hosts(known, many, "api.example");
  EXPECT_EQ(known.size(), kMostKnownHosts);
  EXPECT_EQ(known.at("h0").size(), kMostAddressesOfAHost);
}

TEST(TraversalServers, TurnUris) {
  EXPECT_EQ(parse_turn_uri("turn:vpn.example.org")->port, 3478);
  EXPECT_EQ(parse_turn_uri("turn:vpn.example.org:3479?transport=udp")->port, 3479);
  EXPECT_EQ(parse_turn_uri("turn:vpn.example.org:3479")->host, "vpn.example.org");
  EXPECT_EQ(parse_turn_uri("turn:[2001:db8::1]:3479?transport=udp")->host, "2001:db8::1");
  EXPECT_EQ(parse_turn_uri("turn:[2001:db8::1]")->port, 3478);
  for (const char* bad : {"", "turn:", "turns:vpn.example.org", "turn:vpn.example.org?transport=tcp", "turn:a:0",
                          "turn:a:70000", "turn:a:1x", "turn:[::1", "turn:[::1]1", "stun:a"})
    EXPECT_FALSE(parse_turn_uri(bad)) << bad;
}

TEST(TraversalServers, OneStunAddressOfEachFamily) {
  EXPECT_EQ(stun_endpoints({{"vpn.example.org", 3478}}, kKnown),
            (std::vector{endpoint("192.0.2.1:3478"), endpoint("[2001:db8::1]:3478")}));
  EXPECT_EQ(stun_endpoints({{"198.51.100.1", 1}, {"2001:db8::9", 2}}, {}),
            (std::vector{endpoint("198.51.100.1:1"), endpoint("[2001:db8::9]:2")}));
  EXPECT_TRUE(stun_endpoints({{"unknown.example.org", 3478}, {"192.0.2.1", 0}}, kKnown).empty());
  const std::vector<api::HostPort> many(9, {"vpn.example.org", 3478});
  EXPECT_EQ(stun_endpoints(many, kKnown).size(), 4u);
}

TEST(TraversalServers, TheFirstTurnServerThatCanBeUsed) {
  const auto access = turn_access({{"turns:vpn.example.org", "u", "p", 0},
                                   {"turn:unknown.example.org", "u", "p", 0},
                                   {"turn:vpn.example.org:3480?transport=udp", "user", "secret", 0}},
                                  kKnown);
  ASSERT_TRUE(access);
  EXPECT_EQ(access->server, endpoint("192.0.2.1:3480"));
  EXPECT_EQ(access->username, "user");
  EXPECT_EQ(access->password.reveal(), "secret");
  EXPECT_EQ(turn_access({{"turn:six.example.org", "u", "p", 0}}, kKnown)->server, endpoint("[2001:db8::6]:3478"));
  EXPECT_FALSE(turn_access({}, kKnown));
}

}  // namespace
}  // namespace higgs::vpn

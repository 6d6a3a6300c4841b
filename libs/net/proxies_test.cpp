#include "net/proxies.h"

#include <gtest/gtest.h>

namespace higgs::net {
namespace {

class ForwardedFor : public ::testing::Test {
 protected:
  ForwardedFor() {
    proxies_.networks = {*IpPrefix::parse("10.0.0.0/8"), *IpPrefix::parse("fd00::/8")};
    proxies_.header = TrustedProxies::Header::kForwardedFor;
  }
  std::string client_of(std::string_view peer, const std::vector<std::string>& values) {
    HttpHeaders headers;
    headers.add("Host", "h");
    for (const auto& value : values) headers.add("x-forwarded-FOR", value);
    const auto client = proxies_.client_of(*IpAddress::parse(peer), headers);
    return client ? client->to_string() : "";
  }

  TrustedProxies proxies_;
};

TEST_F(ForwardedFor, IsTheLastThatIsNoProxyOfOurs) {
  EXPECT_EQ(client_of("10.0.0.1", {"192.0.2.7"}), "192.0.2.7");
  EXPECT_EQ(client_of("::ffff:10.0.0.1", {"192.0.2.7"}), "192.0.2.7") << "a socket for both families";
  EXPECT_EQ(client_of("fd00::1", {"2001:db8::7"}), "2001:db8::7");
  EXPECT_EQ(client_of("10.0.0.1", {"192.0.2.7, 10.0.0.9"}), "192.0.2.7") << "two proxies, one behind the other";
  EXPECT_EQ(client_of("10.0.0.1", {"203.0.113.66,192.0.2.7 , 10.0.0.9"}), "192.0.2.7") << "before it: its own word";
  EXPECT_EQ(client_of("10.0.0.1", {"203.0.113.66", "192.0.2.7"}), "192.0.2.7") << "several fields are one list";
  EXPECT_EQ(client_of("10.0.0.1", {"10.0.0.5, 10.0.0.9"}), "10.0.0.5") << "a client among the proxies";
  EXPECT_EQ(client_of("10.0.0.1", {"192.0.2.7:4711"}), "192.0.2.7");
  EXPECT_EQ(client_of("10.0.0.1", {"[2001:db8::7]:4711"}), "2001:db8::7");
  EXPECT_EQ(client_of("10.0.0.1", {"[2001:db8::7]"}), "2001:db8::7");
}

TEST_F(ForwardedFor, OfAnybodyElseIsIgnored) {
  EXPECT_EQ(client_of("192.0.2.1", {"198.51.100.1"}), "");
  EXPECT_EQ(client_of("11.0.0.1", {"198.51.100.1"}), "");
  proxies_.networks.clear();
  EXPECT_EQ(client_of("10.0.0.1", {"198.51.100.1"}), "");
}

TEST_F(ForwardedFor, WhereTheProxiesSpeakBeforeTlsItIsTheClientsOwnWord) {
  proxies_.header = TrustedProxies::Header::kProxyProtocol;
  EXPECT_EQ(client_of("10.0.0.1", {"198.51.100.1"}), "");
  EXPECT_TRUE(proxies_.speak_before(*IpAddress::parse("::ffff:10.0.0.1")));
  EXPECT_FALSE(proxies_.speak_before(*IpAddress::parse("192.0.2.1")));
}

TEST_F(ForwardedFor, WhatIsNoAddressVouchesForNothing) {
  for (const auto* bad : {"", ",", "unknown", "192.0.2.7;", "localhost", "192.0.2.7, ", "192.0.2.256", "_hidden"})
    EXPECT_EQ(client_of("10.0.0.1", {bad}), "") << bad;
  EXPECT_EQ(client_of("10.0.0.1", {"192.0.2.7, unknown, 10.0.0.9"}), "10.0.0.9");
  EXPECT_EQ(client_of("10.0.0.1", {}), "");
}

}  // namespace
}  // namespace higgs::net

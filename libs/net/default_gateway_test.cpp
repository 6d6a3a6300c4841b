#include "net/default_gateway.h"

#include <gtest/gtest.h>

#include "net/upnp_gateway.h"

namespace higgs::net {
namespace {

constexpr const char* kHead = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

/// As the kernel prints it: the number that the bytes make in the host's order.
std::string hex_of(const char* address) {
  std::uint32_t value = 0;
  std::memcpy(&value, IpAddress::parse(address)->bytes().data(), sizeof value);
  return fmt::format("{:08X}", value);
}
std::string route(const char* interface, const char* to, const char* gateway, const char* flags, int metric,
                  const char* mask) {
  return fmt::format("{}\t{}\t{}\t{}\t0\t0\t{}\t{}\t0\t0\t0\n", interface, hex_of(to), hex_of(gateway), flags, metric,
                     hex_of(mask));
}

TEST(DefaultGateway, LeastMetricWins) {
  const auto text = kHead + route("wlan0", "0.0.0.0", "192.168.7.1", "0003", 600, "0.0.0.0") +
                    route("eth0", "0.0.0.0", "10.2.0.1", "0003", 100, "0.0.0.0") +
                    route("eth0", "10.2.0.0", "0.0.0.0", "0001", 100, "255.255.255.0");
  EXPECT_EQ(parse_default_gateway(text), (DefaultGateway{*IpAddress::parse("10.2.0.1"), "eth0"}));
}

TEST(DefaultGateway, WhatIsNoDefaultRouteThroughARouterDoesNotCount) {
  EXPECT_EQ(parse_default_gateway(""), std::nullopt);
  EXPECT_EQ(parse_default_gateway(kHead), std::nullopt);
  EXPECT_EQ(parse_default_gateway(kHead + route("ppp0", "0.0.0.0", "0.0.0.0", "0001", 0, "0.0.0.0")), std::nullopt)
      << "a line without a router";
  EXPECT_EQ(parse_default_gateway(kHead + route("eth0", "0.0.0.0", "10.2.0.1", "0003", 0, "128.0.0.0")), std::nullopt)
      << "half of everything";
  EXPECT_EQ(parse_default_gateway(kHead + route("eth0", "0.0.0.0", "10.2.0.1", "0203", 0, "0.0.0.0")), std::nullopt)
      << "a rejecting route";
  EXPECT_EQ(parse_default_gateway("eth0\tzz\t\nnonsense\n\n\t\t\t"), std::nullopt);
}

TEST(DefaultGateway, AddressesBehindANat) {
  for (const auto* text : {"10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1", "100.127.255.255", "169.254.1.1",
                           "192.0.0.2", "127.0.0.1", "0.0.0.0"}) {
    EXPECT_TRUE(is_behind_nat(*IpAddress::parse(text))) << text;
  }
  for (const auto* text :
       {"9.255.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "192.0.1.1", "203.0.113.9", "2001:db8::1"}) {
    EXPECT_FALSE(is_behind_nat(*IpAddress::parse(text))) << text;
  }
}

TEST(UpnpGateway, OnlyTheGatewaysOwnUrlsAreTaken) {
  const auto gateway = *IpAddress::parse("10.2.0.1");
  for (const auto* url : {"http://10.2.0.1:5000/rootDesc.xml", "http://10.2.0.1/x", "http://10.2.0.1"}) {
    EXPECT_TRUE(url_is_at(url, gateway)) << url;
  }
  for (const auto* url : {"http://10.2.0.9:5000/rootDesc.xml", "https://10.2.0.1/", "http://10.2.0.1.evil.example/",
                          "http://10.2.0.1@10.2.0.9/", "http://router/", "", "10.2.0.1", "http://"}) {
    EXPECT_FALSE(url_is_at(url, gateway)) << url;
  }
}

}  // namespace
}  // namespace higgs::net

#include "higgsnode/public_addresses.h"

#include <gtest/gtest.h>

namespace higgs::node {
namespace {

using Source = PublicAddresses::Source;

IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }

TEST(PublicAddresses, OfBothFamiliesAndEverySourceStandTogether) {
  PublicAddresses addresses;
  EXPECT_TRUE(addresses.note(Source::kServer, {ip("2001:db8::1")}));
  EXPECT_TRUE(addresses.note(Source::kStun, {ip("198.51.100.7"), ip("198.51.100.8"), ip("198.51.100.7")}));
  EXPECT_TRUE(addresses.note(Source::kRouter, {ip("203.0.113.9")}));
  EXPECT_FALSE(addresses.note(Source::kNatType, {ip("198.51.100.8")}));
  EXPECT_EQ(addresses.all(),
            (std::vector{ip("198.51.100.7"), ip("198.51.100.8"), ip("203.0.113.9"), ip("2001:db8::1")}));
}

TEST(PublicAddresses, OneStandsUntilAnotherOfItsFamilyAndSourceTakesItsPlace) {
  PublicAddresses addresses;
  ASSERT_TRUE(addresses.note(Source::kServer, {ip("198.51.100.7")}));
  EXPECT_TRUE(addresses.note(Source::kServer, {ip("2001:db8::1")}));
  EXPECT_EQ(addresses.all(), (std::vector{ip("198.51.100.7"), ip("2001:db8::1")})) << "the server is reached by both";
  EXPECT_FALSE(addresses.note(Source::kServer, {})) << "silence opens nothing";
  EXPECT_TRUE(addresses.note(Source::kServer, {ip("198.51.100.99")}));
  EXPECT_EQ(addresses.all(), (std::vector{ip("198.51.100.99"), ip("2001:db8::1")}));
}

TEST(PublicAddresses, AMappedOneIsItsIpv4One) {
  PublicAddresses addresses;
  EXPECT_TRUE(addresses.note(Source::kServer, {ip("::ffff:198.51.100.7")}));
  EXPECT_FALSE(addresses.note(Source::kServer, {ip("198.51.100.7")}));
}

}  // namespace
}  // namespace higgs::node

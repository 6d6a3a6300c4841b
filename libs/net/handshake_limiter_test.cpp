#include "net/handshake_limiter.h"

#include <gtest/gtest.h>

namespace higgs::net {
namespace {

using std::chrono::milliseconds;

const IpAddress kOne = *IpAddress::parse("192.0.2.1"), kTwo = *IpAddress::parse("192.0.2.2");

class HandshakeLimiterTest : public ::testing::Test {
 protected:
  /// How many of `tries` an address may begin now; each ends at once.
  int begun(HandshakeLimiter& limiter, const IpAddress& address, int tries) {
    int count = 0;
    for (int i = 0; i < tries; ++i) {
      if (!limiter.begin(now_, address)) continue;
      limiter.end(address);
      ++count;
    }
    return count;
  }
  Instant now_{std::chrono::hours(1)};
};

TEST_F(HandshakeLimiterTest, EachAddressHasARateOfItsOwn) {
  HandshakeLimiter limiter({.per_second = 10, .burst = 20, .at_a_time = 100, .addresses = 100});
  EXPECT_EQ(begun(limiter, kOne, 50), 20);
  EXPECT_EQ(begun(limiter, kTwo, 50), 20);
  now_ += milliseconds(500);
  EXPECT_EQ(begun(limiter, kOne, 50), 5);
}

TEST_F(HandshakeLimiterTest, ThoseUnderWayAreLimitedUntilTheyEnd) {
  HandshakeLimiter limiter({.per_second = 1000, .burst = 1000, .at_a_time = 3, .addresses = 100});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.begin(now_, kOne));
  now_ += std::chrono::hours(1);
  EXPECT_FALSE(limiter.begin(now_, kOne));
  EXPECT_TRUE(limiter.begin(now_, kTwo));
  limiter.end(kOne);
  EXPECT_TRUE(limiter.begin(now_, kOne));
  EXPECT_FALSE(limiter.begin(now_, kOne));
}

TEST_F(HandshakeLimiterTest, WhoseConnectionsAreGoodForNothingMayBeginFew) {
  HandshakeLimiter limiter({.per_second = 10, .burst = 40, .at_a_time = 100, .fault = 20, .addresses = 100});
  const auto bad = [&](int tries) {
    int count = 0;
    for (int i = 0; i < tries; ++i) {
      if (begun(limiter, kOne, 1) == 0) continue;
      ++count;
      limiter.blame(now_, kOne);
    }
    return count;
  };
  EXPECT_EQ(bad(100), 2);
  EXPECT_FALSE(limiter.has_room(now_, kOne));
  EXPECT_EQ(begun(limiter, kTwo, 1), 1) << "and nobody else";
  for (int i = 0; i < 100; ++i) limiter.blame(now_, kOne);
  now_ += milliseconds(4000);
  EXPECT_EQ(bad(100), 0) << "on credit";
  now_ += milliseconds(4000);
  EXPECT_TRUE(limiter.has_room(now_, kOne));
  EXPECT_EQ(begun(limiter, kOne, 100), 40) << "but not for ever";
}

TEST_F(HandshakeLimiterTest, AnIpv6CustomerIsOneAddressAndAMappedOneIsItsIpv4) {
  HandshakeLimiter limiter({.per_second = 1, .burst = 4, .at_a_time = 100, .addresses = 100});
  EXPECT_EQ(begun(limiter, *IpAddress::parse("2001:db8:1:2::1"), 3), 3);
  EXPECT_EQ(begun(limiter, *IpAddress::parse("2001:db8:1:2:3:4:5:6"), 3), 1);
  EXPECT_EQ(begun(limiter, *IpAddress::parse("2001:db8:1:3::1"), 3), 3);
  EXPECT_EQ(begun(limiter, kOne, 3), 3);
  EXPECT_EQ(begun(limiter, *IpAddress::parse("::ffff:192.0.2.1"), 3), 1);
}

TEST_F(HandshakeLimiterTest, TheTableIsBoundedAndNewAddressesShareARateWhileItIsFull) {
  HandshakeLimiter limiter({.per_second = 10, .burst = 20, .at_a_time = 5, .addresses = 10});
  const auto address = [](std::uint32_t i) { return IpAddress::v4(0x0a000000 + i); };
  for (std::uint32_t i = 0; i < 10; ++i) EXPECT_EQ(begun(limiter, address(i), 1), 1);
  int shared = 0;
  for (std::uint32_t i = 100; i < 200; ++i) shared += begun(limiter, address(i), 1);
  EXPECT_EQ(shared, 20);
  EXPECT_EQ(limiter.tracked(), 10u);
  EXPECT_TRUE(limiter.begin(now_, address(0))) << "and it stays under way";
  now_ += std::chrono::seconds(60);
  EXPECT_EQ(begun(limiter, address(300), 1), 1) << "those that were idle have made room";
  EXPECT_EQ(limiter.tracked(), 2u);
}

}  // namespace
}  // namespace higgs::net

#include "wireguard/cookies.h"

#include <gtest/gtest.h>

#include "wireguard/constants.h"
#include "wireguard/rate_limiter.h"
#include "wireguard/testing/engine_fixture.h"

namespace higgs::wireguard {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::udp;
constexpr Instant kStart{std::chrono::hours(10)};

struct Cookies : ::testing::Test {
  SeededRandom random{41};
  crypto::PublicKey own = crypto::public_key_of(crypto::make_private_key(random));
  CookieChecker checker;
  CookieJar jar{own};
  Bytes message = Bytes(kInitiationBytes, std::byte{9});
  PeerAddress from = udp("192.0.2.7:700");
  ByteArray<kCookieReplyBytes> reply{};

  void SetUp() override {
    checker.set_own_key(own);
    jar.stamp(kStart, message);
  }
  bool give_cookie(Instant now) {
    checker.write_reply(now, from, message, 77, random, reply);
    return jar.accept(now, *parse_cookie_reply(reply));
  }
};

TEST_F(Cookies, Mac1ProvesKnowledgeOfTheKey) {
  EXPECT_TRUE(checker.mac1_valid(message));
  EXPECT_FALSE(checker.mac2_valid(kStart, from, message));
  for (const std::size_t i : {0, 50, 115, 116, 131}) {
    message[i] ^= std::byte{1};
    EXPECT_FALSE(checker.mac1_valid(message)) << i;
    message[i] ^= std::byte{1};
  }
  CookieChecker other;
  other.set_own_key(crypto::public_key_of(crypto::make_private_key(random)));
  EXPECT_FALSE(other.mac1_valid(message));
}

TEST_F(Cookies, AReplyMakesMac2ValidForThatAddressOnly) {
  ASSERT_TRUE(give_cookie(kStart));
  EXPECT_EQ(parse_cookie_reply(reply)->receiver, 77u);
  jar.stamp(kStart, message);
  EXPECT_TRUE(checker.mac1_valid(message));
  EXPECT_TRUE(checker.mac2_valid(kStart, from, message));
  EXPECT_FALSE(checker.mac2_valid(kStart, udp("192.0.2.7:701"), message));
  EXPECT_FALSE(checker.mac2_valid(kStart, udp("192.0.2.8:700"), message));
  EXPECT_FALSE(checker.mac2_valid(kStart, PeerAddress{5, {}}, message));
  message[140] ^= std::byte{1};
  EXPECT_FALSE(checker.mac2_valid(kStart, from, message));
}

TEST_F(Cookies, RelayPathsHaveTheirOwn) {
  from = PeerAddress{0x100000002, {}};
  ASSERT_TRUE(give_cookie(kStart));
  jar.stamp(kStart, message);
  EXPECT_TRUE(checker.mac2_valid(kStart, from, message));
  EXPECT_FALSE(checker.mac2_valid(kStart, PeerAddress{0x100000003, {}}, message));
}

TEST_F(Cookies, TheyGrowOld) {
  ASSERT_TRUE(give_cookie(kStart));
  const Instant late = kStart + kCookieSecretLifetime - kCookieLatency;
  jar.stamp(late - milliseconds(1), message);
  EXPECT_TRUE(checker.mac2_valid(late, from, message));
  EXPECT_FALSE(checker.mac2_valid(kStart + kCookieSecretLifetime, from, message));
  jar.stamp(late, message);
  EXPECT_TRUE(std::all_of(message.end() - 16, message.end(), [](auto b) { return b == std::byte{0}; }));
}

TEST_F(Cookies, ForgedOrForeignRepliesAreRefused) {
  checker.write_reply(kStart, from, message, 77, random, reply);
  for (const std::size_t i : {8, 31, 32, 63}) {
    auto forged = reply;
    forged[i] ^= std::byte{1};
    EXPECT_FALSE(jar.accept(kStart, *parse_cookie_reply(forged))) << i;
  }
  CookieJar silent(own);  // has asked nothing
  EXPECT_FALSE(silent.accept(kStart, *parse_cookie_reply(reply)));
  EXPECT_TRUE(jar.accept(kStart, *parse_cookie_reply(reply)));
  EXPECT_FALSE(jar.accept(kStart, *parse_cookie_reply(reply))) << "the same reply twice";
}

TEST(RateLimiterTest, ABurstThenTheRate) {
  RateLimiter limiter(100);
  const PeerAddress from = udp("192.0.2.7:1");
  for (std::uint64_t i = 0; i < kHandshakeBurstPerSource; ++i) EXPECT_TRUE(limiter.allow(kStart, from));
  EXPECT_FALSE(limiter.allow(kStart, udp("192.0.2.7:2"))) << "the port makes no other source";
  EXPECT_TRUE(limiter.allow(kStart, udp("192.0.2.8:1")));
  unsigned allowed = 0;
  for (int i = 1; i <= 1000; ++i) allowed += limiter.allow(kStart + milliseconds(i * 10), from) ? 1 : 0;
  EXPECT_NEAR(allowed, 10 * kHandshakesPerSecondPerSource, 1);
}

TEST(RateLimiterTest, Ipv6CountsBy64AndRelaysByPath) {
  RateLimiter limiter(100);
  for (std::uint64_t i = 0; i < kHandshakeBurstPerSource; ++i) {
    EXPECT_TRUE(limiter.allow(kStart, udp("[2001:db8::" + std::to_string(i + 1) + "]:1")));
    EXPECT_TRUE(limiter.allow(kStart, PeerAddress{9, {}}));
  }
  EXPECT_FALSE(limiter.allow(kStart, udp("[2001:db8::ffff]:1")));
  EXPECT_TRUE(limiter.allow(kStart, udp("[2001:db8:0:1::1]:1")));
  EXPECT_FALSE(limiter.allow(kStart, PeerAddress{9, {}}));
  EXPECT_TRUE(limiter.allow(kStart, PeerAddress{10, {}}));
}

TEST(RateLimiterTest, NeverTracksMoreThanItsLimit) {
  RateLimiter limiter(10);
  for (std::uint32_t i = 0; i < 100; ++i) {
    const bool allowed = limiter.allow(kStart, PeerAddress{0, {IpAddress::v4(i), 1}});
    EXPECT_EQ(allowed, i < 10);
  }
  EXPECT_EQ(limiter.sources(), 10u);
  EXPECT_TRUE(limiter.allow(kStart + seconds(2), udp("192.0.2.1:1"))) << "the idle ones are forgotten";
  EXPECT_EQ(limiter.sources(), 1u);
}

}  // namespace
}  // namespace higgs::wireguard

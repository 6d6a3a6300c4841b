#include "wireguard/messages.h"

#include <gtest/gtest.h>

#include "wireguard/constants.h"
#include "wireguard/inner_packet.h"
#include "wireguard/tai64n.h"

namespace higgs::wireguard {
namespace {

Bytes message(std::size_t size, unsigned type) {
  Bytes bytes(size, std::byte{0x11});
  store_le(bytes.data(), static_cast<std::uint32_t>(type));
  return bytes;
}

TEST(Messages, FieldsAreWhereThePaperPutsThem) {
  Bytes initiation = message(kInitiationBytes, 1);
  for (std::size_t i = 4; i < initiation.size(); ++i) initiation[i] = static_cast<std::byte>(i);
  const auto view = parse_initiation(initiation);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->sender, 0x07060504u);
  EXPECT_EQ(view->ephemeral.front(), std::byte{8});
  EXPECT_EQ(view->sealed_static.front(), std::byte{40});
  EXPECT_EQ(view->sealed_timestamp.front(), std::byte{88});
  EXPECT_EQ(mac1_of(initiation).front(), std::byte{116});
  EXPECT_EQ(mac2_of(initiation).front(), std::byte{132});
  EXPECT_EQ(before_mac1(initiation).size(), 116u);
  EXPECT_EQ(before_mac2(initiation).size(), 132u);

  Bytes response = message(kResponseBytes, 2);
  for (std::size_t i = 4; i < response.size(); ++i) response[i] = static_cast<std::byte>(i);
  const auto answer = parse_response(response);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->sender, 0x07060504u);
  EXPECT_EQ(answer->receiver, 0x0b0a0908u);
  EXPECT_EQ(answer->ephemeral.front(), std::byte{12});
  EXPECT_EQ(answer->sealed_nothing.front(), std::byte{44});
  EXPECT_EQ(mac1_of(response).front(), std::byte{60});
}

TEST(Messages, OnlyTheExactLengthAndTypeParse) {
  for (std::size_t size = 0; size < 200; ++size) {
    for (unsigned type = 0; type < 6; ++type) {
      if (size < 4) {
        EXPECT_FALSE(message_type(Bytes(size)));
        continue;
      }
      const Bytes bytes = message(size, type);
      EXPECT_EQ(message_type(bytes).has_value(), type >= 1 && type <= 4);
      EXPECT_EQ(parse_initiation(bytes).has_value(), type == 1 && size == kInitiationBytes);
      EXPECT_EQ(parse_response(bytes).has_value(), type == 2 && size == kResponseBytes);
      EXPECT_EQ(parse_cookie_reply(bytes).has_value(), type == 3 && size == kCookieReplyBytes);
    }
  }
}

TEST(Messages, ReservedBytesMustBeZero) {
  Bytes bytes = message(kInitiationBytes, 1);
  bytes[2] = std::byte{1};
  EXPECT_FALSE(message_type(bytes));
  EXPECT_FALSE(parse_initiation(bytes));
}

TEST(Tai64nTest, EncodesTaiAndRoundsDown) {
  const auto stamp = Tai64n::from(from_unix_seconds(0));
  EXPECT_EQ(to_hex(stamp.bytes), "400000000000000a00000000");
  const auto later =
      Tai64n::from(from_unix_seconds(1) + std::chrono::nanoseconds(kTimestampGranularityNanoseconds + 5));
  EXPECT_EQ(to_hex(later.bytes), "400000000000000b01000000");
}

TEST(Tai64nTest, NextIsLaterAlsoAcrossTheSecond) {
  Tai64n stamp = Tai64n::from(from_unix_seconds(1'700'000'000));
  for (int i = 0; i < 200; ++i) {
    const Tai64n next = stamp.next();
    ASSERT_GT(next, stamp);
    ASSERT_LT(load_be<std::uint32_t>(next.bytes.data() + 8), 1'000'000'000u);
    stamp = next;
  }
  EXPECT_GT(stamp, Tai64n::from(from_unix_seconds(1'700'000'003)));
}

TEST(InnerPacketTest, LengthsThatLieAreRefused) {
  Bytes v4(64);
  v4[0] = std::byte{0x45};
  store_be(v4.data() + 2, std::uint16_t{40});
  EXPECT_EQ(parse_inner_packet(v4.data(), 64)->length, 40u);
  EXPECT_FALSE(parse_inner_packet(v4.data(), 39));
  store_be(v4.data() + 2, std::uint16_t{19});
  EXPECT_FALSE(parse_inner_packet(v4.data(), 64));

  Bytes v6(64);
  v6[0] = std::byte{0x60};
  store_be(v6.data() + 4, std::uint16_t{24});
  EXPECT_EQ(parse_inner_packet(v6.data(), 64)->length, 64u);
  EXPECT_FALSE(parse_inner_packet(v6.data(), 63));
  EXPECT_FALSE(parse_inner_packet(v6.data(), 39));

  v6[0] = std::byte{0x50};
  EXPECT_FALSE(parse_inner_packet(v6.data(), 64));
  EXPECT_FALSE(parse_inner_packet(v4.data(), 0));
}

}  // namespace
}  // namespace higgs::wireguard

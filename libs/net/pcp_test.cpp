#include "net/pcp.h"

#include <gtest/gtest.h>

namespace higgs::net::pcp {
namespace {

using namespace std::chrono_literals;

Bytes hex(std::string_view text) { return from_hex(text).value(); }

TEST(Pcp, MapRequestIsLaidOutAsInTheRfc) {
  const auto request = encode_map_request({.client = *IpAddress::parse("10.2.0.2"),
                                           .nonce = {std::byte{1}, std::byte{2}},
                                           .internal_port = 0xca6c,
                                           .lifetime_seconds = 3600,
                                           .suggested = *Endpoint::parse("0.0.0.0:51820")});
  EXPECT_EQ(to_hex(request),
            "02010000"
            "00000e10"
            "00000000000000000000ffff0a020002"
            "010200000000000000000000"
            "11000000"
            "ca6cca6c"
            "00000000000000000000ffff00000000");
  EXPECT_EQ(request.size(), kHeaderBytes + kMapBytes);
}

TEST(Pcp, AnnounceRequestIsAHeader) {
  EXPECT_EQ(to_hex(encode_announce_request(*IpAddress::parse("2001:db8::2"))),
            "0200000000000000"
            "20010db8000000000000000000000002");
}

const Bytes kAnswer =
    hex("02810000"
        "00000708"
        "00000064"
        "000000000000000000000000"
        "010203040506070809101112"
        "11000000"
        "ca6c1234"
        "00000000000000000000ffffc0000201");

TEST(Pcp, MapResponseIsRead) {
  const auto response = parse_response(kAnswer);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->opcode, Opcode::kMap);
  EXPECT_EQ(response->result, ResultCode::kSuccess);
  EXPECT_EQ(response->lifetime_seconds, 1800u);
  EXPECT_EQ(response->epoch_seconds, 100u);
  ASSERT_TRUE(response->map);
  EXPECT_EQ(to_hex(response->map->nonce), "010203040506070809101112");
  EXPECT_EQ(response->map->internal_port, 0xca6c);
  EXPECT_EQ(response->map->external, Endpoint::parse("192.0.2.1:4660"));
}

TEST(Pcp, WhatIsNoResponseIsRefused) {
  for (std::size_t size = 0; size < kAnswer.size(); ++size) {
    EXPECT_FALSE(parse_response(ByteView(kAnswer).first(size))) << size;
  }
  auto request = kAnswer;
  request[1] = std::byte{0x01};
  EXPECT_FALSE(parse_response(request)) << "a request";
  auto other_version = kAnswer;
  other_version[0] = std::byte{3};
  EXPECT_FALSE(parse_response(other_version));
  auto tcp = kAnswer;
  tcp[36] = std::byte{6};
  EXPECT_FALSE(parse_response(tcp)) << "a mapping of TCP";
  auto peer = kAnswer;
  peer[1] = std::byte{0x82};
  EXPECT_FALSE(parse_response(peer)) << "an opcode that was never asked";
  auto unaligned = kAnswer;
  unaligned.push_back(std::byte{0});
  EXPECT_FALSE(parse_response(unaligned));
  auto long_one = kAnswer;
  long_one.resize(kMaxBytes + 4);
  EXPECT_FALSE(parse_response(long_one));
}

TEST(Pcp, RouterThatKnowsNatPmpAloneIsUnderstood) {
  const auto response = parse_response(hex("0081000100000010"));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->result, ResultCode::kUnsupportedVersion);
  EXPECT_FALSE(parse_response(hex("0081000000000010"))) << "success of another version says nothing";
}

TEST(Pcp, EpochThatGoesOnIsAccepted) {
  EpochCheck check;
  Instant now{};
  EXPECT_TRUE(check.accept(now, 1000));
  EXPECT_TRUE(check.accept(now + 1s, 1000)) << "two readings in one second";
  EXPECT_TRUE(check.accept(now + 100s, 1099));
  EXPECT_TRUE(check.accept(now + 100s, 1098)) << "one second back is rounding";
  EXPECT_TRUE(check.accept(now + 1060s, 2000)) << "a clock that drifts by a sixteenth";
}

TEST(Pcp, EpochOfARouterThatRestartedIsNot) {
  EpochCheck check;
  Instant now{};
  EXPECT_TRUE(check.accept(now, 1000));
  EXPECT_FALSE(check.accept(now + 5s, 3));
  EXPECT_TRUE(check.accept(now + 10s, 8)) << "from there on it counts anew";
  EXPECT_FALSE(check.accept(now + 200s, 20)) << "it went on, but far too slowly";
  EXPECT_FALSE(check.accept(now + 201s, 4'000'000'000u)) << "nor may it leap";
}

}  // namespace
}  // namespace higgs::net::pcp

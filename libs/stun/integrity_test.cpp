#include "stun/integrity.h"

#include <algorithm>
#include <array>

#include <gtest/gtest.h>

#include "crypto/hash.h"
#include "stun/unknown_attributes.h"

namespace higgs::stun {
namespace {

Bytes hex(std::string_view text) { return from_hex(text).value(); }

// RFC 5769, sections 2.1 to 2.4.
constexpr std::string_view kShortTermPassword = "VOkJxbRl1RmTxUk/WvJxBt";
const Bytes kRequest = hex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b1"
    "51263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf");
const Bytes kResponseV4 =
    hex("0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643"
        "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96");
const Bytes kResponseV6 =
    hex("010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a147"
        "0113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c");
const Bytes kLongTermRequest =
    hex("000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b900000015001c662f2f343939"
        "6b39353464364f4c33346f4c39465354767936347341"
        "0014000b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666");
// "マトリックス", and "TheMatrIX" after SASLprep.
constexpr std::string_view kUser = "\u30DE\u30C8\u30EA\u30C3\u30AF\u30B9", kRealm = "example.org",
                           kPassword = "TheMatrIX";
// RFC 8489, appendix B.1, as corrected by erratum 6268.
const Bytes kSha256Request =
    hex("000100902112a44278ad3433c6ad72c029da412e"
        "001e00204a3cf38fef6992bda952c6780417da0f2481941556"
        "9e60b205c46e41407f170400150029"
        "6f624d61744a6f733241414143662f2f3439396b3935346436"
        "4f4c33346f4c394653547679363473410000000014000b6578616d706c652e6f726700001d000400020000001c0020"
        "b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65");

Integrity check(ByteView datagram, const IntegrityKey& key) {
  const auto message = parse(datagram);
  EXPECT_TRUE(message) << (message ? "" : message.error().message());
  return message ? check_integrity(datagram, *message, key) : Integrity::kAbsent;
}

TEST(StunIntegrity, ShortTermVectorsOfTheRfc) {
  const auto key = IntegrityKey::short_term(kShortTermPassword), wrong = IntegrityKey::short_term("guess");
  for (const auto& sample : {kRequest, kResponseV4, kResponseV6}) {
    EXPECT_EQ(check(sample, key), Integrity::kGood);
    EXPECT_EQ(check(sample, wrong), Integrity::kBad);
  }
}

TEST(StunIntegrity, LongTermVectorOfTheRfc) {
  const auto message = parse(kLongTermRequest);
  ASSERT_TRUE(message) << message.error().message();
  EXPECT_EQ(message->text(AttributeType::kUsername), kUser);
  EXPECT_EQ(message->text(AttributeType::kRealm), kRealm);
  EXPECT_EQ(message->text(AttributeType::kNonce), "f//499k954d6OL34oL9FSTvy64sA");
  EXPECT_EQ(check(kLongTermRequest, IntegrityKey::long_term_md5(kUser, kRealm, kPassword)), Integrity::kGood);
  EXPECT_EQ(check(kLongTermRequest, IntegrityKey::long_term_md5(kUser, kRealm, "other")), Integrity::kBad);
  EXPECT_EQ(check(kLongTermRequest, IntegrityKey::long_term_sha256(kUser, kRealm, kPassword)), Integrity::kBad);
}

TEST(StunIntegrity, Sha256VectorOfTheRfc) {
  const auto message = parse(kSha256Request);
  ASSERT_TRUE(message) << message.error().message();
  EXPECT_EQ(to_hex(*message->find(AttributeType::kUserhash)), to_hex(userhash(kUser, kRealm)));
  EXPECT_EQ(read_password_algorithm(*message->find(AttributeType::kPasswordAlgorithm)), PasswordAlgorithm::kSha256);
  const auto key = IntegrityKey::long_term(PasswordAlgorithm::kSha256, kUser, kRealm, kPassword);
  EXPECT_EQ(check(kSha256Request, key), Integrity::kGood);
  Bytes changed = kSha256Request;
  changed[30] ^= std::byte{1};
  EXPECT_EQ(check(changed, key), Integrity::kBad);
}

class Built : public ::testing::Test {
 protected:
  MessageBuilder begin() { return {buffer_, MessageClass::kRequest, kBindingMethod, {}}; }
  const IntegrityKey kKey = IntegrityKey::short_term("secret");
  ByteArray<400> buffer_{};
};

TEST_F(Built, MessagesOfOurOwnAreGood) {
  auto one = begin();
  EXPECT_EQ(
      check(one.add_text(AttributeType::kUsername, "a:b").add_message_integrity(kKey).add_fingerprint().finish(), kKey),
      Integrity::kGood);
  auto two = begin();
  EXPECT_EQ(check(two.add_message_integrity_sha256(kKey).finish(), kKey), Integrity::kGood);
  auto three = begin();
  EXPECT_EQ(check(three.add_text(AttributeType::kUsername, "a:b").finish(), kKey), Integrity::kAbsent);
}

TEST_F(Built, OfTwoTheStrongerCounts) {
  auto builder = begin();
  const auto other = IntegrityKey::short_term("other");
  const auto bytes = builder.add_message_integrity(other).add_message_integrity_sha256(kKey).add_fingerprint().finish();
  EXPECT_EQ(check(bytes, kKey), Integrity::kGood);
  EXPECT_EQ(check(bytes, other), Integrity::kBad);
}

TEST_F(Built, WhatFollowsIntegrityDoesNotCount) {
  auto builder = begin();
  builder.add_u32(AttributeType::kPriority, 1).add_message_integrity(kKey);
  // Not covered by the tag, so anybody may have put them there.
  builder.add(AttributeType::kUseCandidate, {}).add_u32(AttributeType::kPriority, 2).add(AttributeType{0x0077}, {});
  const auto bytes = builder.add_fingerprint().finish();
  const auto message = parse(bytes);
  ASSERT_TRUE(message);
  EXPECT_FALSE(message->has(AttributeType::kUseCandidate));
  EXPECT_EQ(message->u32(AttributeType::kPriority), 1u);
  EXPECT_TRUE(
      UnknownAttributes(*message, std::array{AttributeType::kPriority, AttributeType::kMessageIntegrity}).empty());
  EXPECT_TRUE(message->has_fingerprint);
  EXPECT_EQ(check_integrity(bytes, *message, kKey), Integrity::kGood);

  auto after_sha256 = begin();
  const auto second = after_sha256.add_message_integrity_sha256(kKey).add_message_integrity(kKey).finish();
  const auto read = parse(second);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->integrity_at, 0u);
  EXPECT_EQ(check_integrity(second, *read, kKey), Integrity::kGood);
}

/// A request with nothing but a tag of so many bytes, right as far as it goes.
Bytes with_tag(AttributeType type, std::size_t bytes, const IntegrityKey& key) {
  ByteArray<100> buffer;
  MessageBuilder builder(buffer, MessageClass::kRequest, kBindingMethod, {});
  Bytes message = to_bytes(builder.add(type, Bytes(bytes)).finish());
  const ByteView header = ByteView(message).first(kHeaderBytes);
  const auto sha1 = crypto::hmac_sha1(key.reveal(), {header});
  const auto sha256 = crypto::hmac_sha256_of(key.reveal(), {header});
  const ByteView tag = type == AttributeType::kMessageIntegrity ? ByteView(sha1) : ByteView(sha256);
  std::copy_n(tag.begin(), std::min(bytes, tag.size()), message.begin() + kHeaderBytes + 4);
  return message;
}

TEST_F(Built, TagsMayBeCutWithinLimits) {
  // RFC 8489, 14.6: at least 16 bytes, a multiple of 4.
  for (const std::size_t bytes : {16u, 20u, 28u, 32u})
    EXPECT_EQ(check(with_tag(AttributeType::kMessageIntegritySha256, bytes, kKey), kKey), Integrity::kGood) << bytes;
  for (const std::size_t bytes : {0u, 4u, 12u, 15u, 17u, 30u, 33u, 36u})
    EXPECT_EQ(check(with_tag(AttributeType::kMessageIntegritySha256, bytes, kKey), kKey), Integrity::kBad) << bytes;
  EXPECT_EQ(check(with_tag(AttributeType::kMessageIntegrity, 20, kKey), kKey), Integrity::kGood);
  for (const std::size_t bytes : {0u, 12u, 16u, 19u, 24u})
    EXPECT_EQ(check(with_tag(AttributeType::kMessageIntegrity, bytes, kKey), kKey), Integrity::kBad) << bytes;
}

TEST(PasswordAlgorithms, FirstKnownIsChosen) {
  EXPECT_EQ(choose_password_algorithm(hex("0002000000010000")), PasswordAlgorithm::kSha256);
  EXPECT_EQ(choose_password_algorithm(hex("0001000000020000")), PasswordAlgorithm::kMd5);
  EXPECT_EQ(choose_password_algorithm(hex("00990003aabbcc0000020000")), PasswordAlgorithm::kSha256);
  EXPECT_EQ(choose_password_algorithm(hex("00990000")), std::nullopt);
  EXPECT_EQ(choose_password_algorithm({}), std::nullopt);
  EXPECT_EQ(choose_password_algorithm(hex("0002000000")), std::nullopt);
  EXPECT_EQ(choose_password_algorithm(hex("0002000400")), std::nullopt);
  EXPECT_EQ(read_password_algorithm(hex("00010000")), PasswordAlgorithm::kMd5);
  EXPECT_EQ(read_password_algorithm(hex("00030000")), std::nullopt);
  EXPECT_EQ(read_password_algorithm(hex("0001000000020000")), std::nullopt);
}

}  // namespace
}  // namespace higgs::stun

#include "base/bytes.h"

#include <gtest/gtest.h>

#include "base/base64.h"
#include "base/ip.h"
#include "base/secret.h"
#include "base/uuid.h"

namespace higgs {
namespace {

TEST(Bytes, LoadsAndStoresInBothOrders) {
  ByteArray<8> bytes{};
  store_be<std::uint32_t>(bytes.data(), 0x01020304);
  EXPECT_EQ(to_hex(ByteView(bytes).first(4)), "01020304");
  EXPECT_EQ(load_be<std::uint32_t>(bytes.data()), 0x01020304u);
  EXPECT_EQ(load_le<std::uint32_t>(bytes.data()), 0x04030201u);
  store_le<std::uint64_t>(bytes.data(), 0x1122334455667788);
  EXPECT_EQ(to_hex(bytes), "8877665544332211");
}

TEST(Bytes, ReaderStopsAtTheEndWithoutMoving) {
  const Bytes data = *from_hex("0102030405");
  ByteReader reader(data);
  EXPECT_EQ(reader.be<std::uint16_t>(), 0x0102);
  EXPECT_EQ(reader.be<std::uint32_t>(), std::nullopt);
  EXPECT_EQ(reader.remaining(), 3u);
  EXPECT_FALSE(reader.take(4));
  EXPECT_TRUE(reader.take(3));
  EXPECT_TRUE(reader.empty());
}

TEST(Bytes, HexRefusesOddAndForeign) {
  EXPECT_FALSE(from_hex("abc"));
  EXPECT_FALSE(from_hex("zz"));
  EXPECT_EQ(to_hex(*from_hex("DeadBeef")), "deadbeef");
}

TEST(Base64, VectorsOfRfc4648Section10) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    EXPECT_EQ(to_base64(as_bytes(plain)), encoded);
    EXPECT_EQ(as_text(*from_base64(encoded)), plain);
  }
}

TEST(Base64, DecodingIsStrict) {
  for (const char* bad : {"Zg", "Zg=", "Zg===", "Zh==", "Z g==", "Zm9v\n", "====", "=Zg="})
    EXPECT_FALSE(from_base64(bad)) << bad;
  EXPECT_EQ(to_base64url(*from_hex("fbff")), "-_8");
  EXPECT_FALSE(from_base64url("-_9"));
  EXPECT_FALSE(from_base64url("-_8="));
}

TEST(Uuid, VersionsAndText) {
  SeededRandom random(1);
  const auto id = Uuid::random(random);
  EXPECT_EQ(id.to_string()[14], '4');
  EXPECT_EQ(Uuid::parse(id.to_string()), id);
  const auto digest = Uuid::from_digest(Bytes(32, std::byte{0xff}));
  EXPECT_EQ(digest.to_string(), "ffffffff-ffff-8fff-bfff-ffffffffffff");
  EXPECT_FALSE(Uuid::parse("ffffffff-ffff-8fff-bfff-fffffffffffg"));
  EXPECT_FALSE(Uuid::parse("ffffffffffff-8fff-bfff-fffffffffffff"));
}

TEST(Ip, ParsesAndPrints) {
  EXPECT_EQ(IpAddress::parse("203.0.113.7")->to_string(), "203.0.113.7");
  EXPECT_EQ(IpAddress::parse("2001:DB8::1")->to_string(), "2001:db8::1");
  for (const char* bad : {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "::1%lo", "[::1]", "1.2.3.4 "})
    EXPECT_FALSE(IpAddress::parse(bad)) << bad;
  EXPECT_EQ(IpAddress::parse("::ffff:10.0.0.1")->unmapped().to_string(), "10.0.0.1");
}

TEST(Ip, PrefixClearsHostBitsAndContains) {
  const auto prefix = *IpPrefix::parse("10.1.2.3/20");
  EXPECT_EQ(prefix.to_string(), "10.1.0.0/20");
  EXPECT_TRUE(prefix.contains(*IpAddress::parse("10.1.15.255")));
  EXPECT_FALSE(prefix.contains(*IpAddress::parse("10.1.16.0")));
  EXPECT_FALSE(prefix.contains(*IpAddress::parse("::1")));
  EXPECT_FALSE(IpPrefix::parse("10.0.0.0/33"));
  EXPECT_TRUE(IpPrefix::parse("::/0")->contains(*IpAddress::parse("fe80::1")));
}

TEST(Ip, EndpointNeedsBracketsForV6) {
  EXPECT_EQ(Endpoint::parse("[::1]:80")->to_string(), "[::1]:80");
  EXPECT_EQ(Endpoint::parse("1.2.3.4:65535")->port, 65535);
  for (const char* bad : {"::1:80", "1.2.3.4", "1.2.3.4:65536", "1.2.3.4:", "[1.2.3.4]:1"})
    EXPECT_FALSE(Endpoint::parse(bad)) << bad;
}

TEST(Secret, MovedFromIsWipedAndComparisonIsByValue) {
  SecretBytes<4> a(ByteArray<4>{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}});
  const SecretBytes<4> copy = a;
  EXPECT_TRUE(a == copy);
  const SecretBytes<4> moved = std::move(a);
  EXPECT_TRUE(a.is_zero());  // NOLINT(bugprone-use-after-move): what the test is about
  EXPECT_TRUE(moved == copy);
}

TEST(Random, BelowStaysBelowAndSeedsReplay) {
  SeededRandom first(7), second(7);
  for (int i = 0; i < 1000; ++i) {
    const auto value = first.below(10);
    EXPECT_LT(value, 10u);
    EXPECT_EQ(value, second.below(10));
  }
}

}  // namespace
}  // namespace higgs

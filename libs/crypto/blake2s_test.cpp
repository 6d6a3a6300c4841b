#include "crypto/blake2s.h"

#include <gtest/gtest.h>

namespace higgs::crypto {
namespace {

ByteArray<32> counting() {
  ByteArray<32> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  return bytes;
}

TEST(Blake2s, VectorOfRfc7693AppendixB) {
  EXPECT_EQ(to_hex(blake2s({as_bytes("abc")})), "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
  EXPECT_EQ(to_hex(blake2s({as_bytes("a"), {}, as_bytes("bc")})),
            "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
  EXPECT_EQ(to_hex(blake2s({})), "69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9");
}

// Computed with Python's hashlib and hmac.
TEST(Blake2s, KeyedMacs) {
  const auto key = counting();
  EXPECT_EQ(to_hex(blake2s_mac16(key, as_bytes("mac message"))), "f7d58a466158aed6ad154b56a8822060");
  EXPECT_EQ(to_hex(blake2s_mac32(key, as_bytes("mac message"))),
            "5c8d4eb02a0150df60275677c99a53f7a218919ba39f64ed52c810da704c0e3a");
  EXPECT_EQ(to_hex(blake2s_mac16(ByteView(key).first(16), {})), "af4e5d3bb230e9ff9096ca6f7c501f76");
}

TEST(Blake2s, Hmac) {
  EXPECT_EQ(to_hex(hmac_blake2s(as_bytes("key"), as_bytes("message")).reveal()),
            "bba8fa28708ae80d249e317318c95c859f3f77512be23910d5094d9110454d6f");
  EXPECT_EQ(to_hex(hmac_blake2s(Bytes(100, std::byte{'k'}), {}).reveal()),
            "7f7edc0fafb7f1209dcfcac6a608318cc8fb329dafea8601c52c4495215249d0");
}

// The values that WireGuard's own test of its key derivation uses.
TEST(Blake2s, KeyDerivation) {
  const auto three = blake2s_kdf<3>(as_bytes("test-key"), as_bytes("test-input"));
  EXPECT_EQ(to_hex(three[0].reveal()), "6f0e5ad38daba1bea8a0d213688736f19763239305e0f58aba697f9ffc41c633");
  EXPECT_EQ(to_hex(three[1].reveal()), "df1194df20802a4fe594cde27e92991c8cae66c366e8106aaa937a55fa371e8a");
  EXPECT_EQ(to_hex(three[2].reveal()), "fac6e2745a325f5dc5d11a5b165aad08b0ada28e7b4e666b7c077934a4d76c24");
  const auto empty = blake2s_kdf<2>({}, {});
  EXPECT_EQ(to_hex(empty[0].reveal()), "8387b46bf43eccfcf349552a095d8315c4055beb90208fb1be23b894bc2ed5d0");
  EXPECT_EQ(to_hex(empty[1].reveal()), "58a0e5f6faefccf4807bff1f05fa8a9217945762040bcec2f4b4a62bdfe0e86e");
  EXPECT_TRUE(blake2s_kdf<1>(as_bytes("test-key"), as_bytes("test-input"))[0] == three[0]);
}

}  // namespace
}  // namespace higgs::crypto

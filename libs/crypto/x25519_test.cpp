#include "crypto/x25519.h"

#include <gtest/gtest.h>

namespace higgs::crypto {
namespace {

PrivateKey private_key(std::string_view hex) {
  PrivateKey key;
  EXPECT_TRUE(from_hex(hex, key.reveal_mutable()));
  return key;
}

PublicKey public_key(std::string_view hex) {
  PublicKey key;
  EXPECT_TRUE(from_hex(hex, key.bytes));
  return key;
}

TEST(X25519, VectorsOfRfc7748Section52) {
  const auto first = x25519(private_key("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
                            public_key("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"));
  ASSERT_TRUE(first);
  EXPECT_EQ(to_hex(first->reveal()), "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
  const auto second = x25519(private_key("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
                             public_key("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"));
  ASSERT_TRUE(second);
  EXPECT_EQ(to_hex(second->reveal()), "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
}

TEST(X25519, DiffieHellmanOfRfc7748Section61) {
  const PrivateKey alice = private_key("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  const PrivateKey bob = private_key("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  EXPECT_EQ(to_hex(public_key_of(alice).bytes), "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  EXPECT_EQ(to_hex(public_key_of(bob).bytes), "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  const auto one = x25519(alice, public_key_of(bob));
  const auto other = x25519(bob, public_key_of(alice));
  ASSERT_TRUE(one && other);
  EXPECT_EQ(to_hex(one->reveal()), "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
  EXPECT_TRUE(*one == *other);
}

TEST(X25519, LowOrderPeersAreRefused) {
  const PrivateKey key = private_key("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  // The points of order 1, 2, 4 and 8 and their non-canonical spellings (RFC 7748, section 7; Bernstein's list).
  for (const auto* hex : {"0000000000000000000000000000000000000000000000000000000000000000",
                          "0100000000000000000000000000000000000000000000000000000000000000",
                          "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                          "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
                          "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    EXPECT_FALSE(x25519(key, public_key(hex))) << hex;
  }
}

TEST(X25519, MadeKeysAreClampedAndDiffer) {
  SeededRandom random(1);
  const PrivateKey first = make_private_key(random);
  EXPECT_EQ(first.reveal()[0] & std::byte{7}, std::byte{0});
  EXPECT_EQ(first.reveal()[31] & std::byte{192}, std::byte{64});
  EXPECT_FALSE(first == make_private_key(random));
}

TEST(X25519, Base64IsStrict) {
  SeededRandom random(2);
  const PublicKey key = public_key_of(make_private_key(random));
  EXPECT_EQ(PublicKey::from_base64(key.to_base64()), key);
  EXPECT_FALSE(PublicKey::from_base64(key.to_base64() + "="));
  EXPECT_FALSE(PublicKey::from_base64("AAAA"));
  EXPECT_FALSE(PublicKey::from_base64(""));
}

}  // namespace
}  // namespace higgs::crypto

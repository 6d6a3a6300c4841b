#include "crypto/password_hash.h"

#include <stdexcept>

#include <gtest/gtest.h>

namespace higgs::crypto {
namespace {

constexpr PasswordCost kCheap{64, 1, 1};

TEST(PasswordHash, MakesAndVerifiesPhcStrings) {
  SeededRandom random(5);
  const SecretString password("correct horse battery staple");
  const std::string hash = hash_password(password, random);
  EXPECT_TRUE(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$")) << hash;
  EXPECT_TRUE(verify_password(password, hash));
  EXPECT_FALSE(verify_password(SecretString("correct horse battery stapl"), hash));
  EXPECT_FALSE(verify_password(SecretString(""), hash));
  EXPECT_FALSE(needs_rehash(hash));
}

TEST(PasswordHash, SaltsDiffer) {
  SeededRandom random(6);
  const SecretString password("twice");
  EXPECT_NE(hash_password(password, random, kCheap), hash_password(password, random, kCheap));
}

TEST(PasswordHash, OldCostsVerifyButAskForAnewHash) {
  SeededRandom random(7);
  const std::string hash = hash_password(SecretString("old"), random, kCheap);
  EXPECT_TRUE(verify_password(SecretString("old"), hash));
  EXPECT_TRUE(needs_rehash(hash));
  EXPECT_FALSE(needs_rehash(hash, kCheap));
}

TEST(PasswordHash, MalformedOrRuinousHashesAreRefused) {
  const SecretString password("x");
  for (const auto* hash : {"", "x", "$argon2id$v=19$m=64,t=1,p=1$", "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaA",
                           "$argon2id$v=16$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaA",
                           "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHRzYWx0c2E$aGFzaGhhc2hoYXNoaGFzaA",
                           "$argon2id$v=19$m=64,t=4000000000,p=1$c2FsdHNhbHRzYWx0c2E$aGFzaGhhc2hoYXNoaGFzaA"}) {
    EXPECT_FALSE(verify_password(password, hash)) << hash;
  }
}

TEST(PasswordHash, OverlongPasswordsAreRefused) {
  SeededRandom random(8);
  const SecretString overlong(std::string(kMaxPasswordBytes + 1, 'a'));
  EXPECT_THROW(hash_password(overlong, random, kCheap), std::length_error);
  EXPECT_FALSE(verify_password(overlong, hash_password(SecretString("a"), random, kCheap)));
}

}  // namespace
}  // namespace higgs::crypto

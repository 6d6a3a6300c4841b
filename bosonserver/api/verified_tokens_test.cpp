#include "bosonserver/api/verified_tokens.h"

#include <gtest/gtest.h>

#include "jwt/signer.h"
#include "jwt/verifier.h"

namespace higgs::boson {
namespace {

class VerifiedTokensTest : public ::testing::Test {
 protected:
  VerifiedTokensTest() { keys_ = set_of(key_); }
  static std::shared_ptr<const jwt::KeySet> set_of(const crypto::Ed25519PrivateKey& key) {
    auto keys = std::make_shared<jwt::KeySet>();
    keys->add("k", crypto::public_key_of_ed25519(key));
    return keys;
  }
  std::string token(const std::string& subject) const {
    const auto unix_now = unix_seconds(now_);
    jwt::Claims claims{"i", subject, jwt::Audience::kNode, "node", unix_now, unix_now, unix_now + 100, "id", ""};
    return jwt::Signer("k", crypto::Ed25519PrivateKey(key_)).sign(claims);
  }
  Result<jwt::Claims> verify(const std::string& token) {
    return tokens_.verify(token, keys_, "i", jwt::Audience::kNode, now_);
  }

  SeededRandom random_{1};
  crypto::Ed25519PrivateKey key_ = crypto::make_ed25519_key(random_);
  std::shared_ptr<const jwt::KeySet> keys_;
  WallTime now_ = from_unix_seconds(1'000'000);
  VerifiedTokens tokens_;
};

TEST_F(VerifiedTokensTest, SaysTheSameAsTheFirstTime) {
  const auto good = token("one");
  const auto first = verify(good), second = verify(good);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->subject, "one");
  EXPECT_EQ(second->subject, "one");
  EXPECT_EQ(second->id, first->id);
}

TEST_F(VerifiedTokensTest, TimesAudienceAndIssuerAreLookedAtEachTime) {
  const auto good = token("one");
  ASSERT_TRUE(verify(good));
  EXPECT_EQ(tokens_.verify(good, keys_, "i", jwt::Audience::kApi, now_).error(), jwt::TokenError::kAudience);
  EXPECT_EQ(tokens_.verify(good, keys_, "j", jwt::Audience::kNode, now_).error(), jwt::TokenError::kIssuer);
  now_ += std::chrono::seconds(100) + jwt::kClockSkew;
  EXPECT_EQ(verify(good).error(), jwt::TokenError::kExpired);
}

TEST_F(VerifiedTokensTest, ATokenIsNoBetterThanItsKey) {
  const auto good = token("one");
  ASSERT_TRUE(verify(good));
  keys_ = set_of(crypto::make_ed25519_key(random_));
  EXPECT_EQ(verify(good).error(), jwt::TokenError::kBadSignature);
  keys_ = std::make_shared<jwt::KeySet>();
  EXPECT_EQ(verify(good).error(), jwt::TokenError::kUnknownKey);
}

TEST_F(VerifiedTokensTest, AlteredTokensAreNobodys) {
  auto altered = token("one");
  ASSERT_TRUE(verify(altered));
  altered.back() = altered.back() == 'A' ? 'Q' : 'A';
  EXPECT_FALSE(verify(altered));
  EXPECT_FALSE(verify(altered)) << "nor the second time";
}

}  // namespace
}  // namespace higgs::boson

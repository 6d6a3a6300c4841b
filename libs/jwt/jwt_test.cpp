#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "jwt/signer.h"
#include "jwt/verifier.h"

namespace higgs::jwt {
namespace {

class JwtTest : public ::testing::Test {
 protected:
  JwtTest() { keys_.add("k1", crypto::public_key_of_ed25519(key_)); }

  Result<Claims> check(std::string_view token, Audience audience = Audience::kApi, std::int64_t now = 1'000) const {
    return verify(token, keys_, "https://a:443", audience, from_unix_seconds(now));
  }
  ErrorCode error(std::string_view token, Audience audience = Audience::kApi, std::int64_t now = 1'000) const {
    const auto result = check(token, audience, now);
    return result ? ErrorCode() : result.error();
  }
  std::string sign_raw(const std::string& header, const std::string& payload) const {
    const auto text = to_base64url(as_bytes(header)) + "." + to_base64url(as_bytes(payload));
    return text + "." + to_base64url(crypto::ed25519_sign(key_, as_bytes(text)));
  }

  SeededRandom random_{11};
  crypto::Ed25519PrivateKey key_ = crypto::make_ed25519_key(random_);
  KeySet keys_;
  Signer signer_{"k1", key_};
  Claims claims_{"https://a:443", "user-1", Audience::kApi, "user", 900, 900, 1'900, "id-1", "fam-1"};
};

TEST_F(JwtTest, WhatIsSignedVerifies) {
  const auto result = check(signer_.sign(claims_));
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(*result, claims_);
}

TEST_F(JwtTest, AudienceIssuerAndTimesAreChecked) {
  const auto token = signer_.sign(claims_);
  for (const auto other : {Audience::kNode, Audience::kRelay, Audience::kServer})
    EXPECT_EQ(error(token, other), TokenError::kAudience);
  EXPECT_EQ(error(token, Audience::kApi, 1'929), ErrorCode());
  EXPECT_EQ(error(token, Audience::kApi, 1'930), TokenError::kExpired);
  EXPECT_EQ(error(token, Audience::kApi, 870), ErrorCode());
  EXPECT_EQ(error(token, Audience::kApi, 869), TokenError::kNotYetValid);
  claims_.issuer = "https://b:443";
  EXPECT_EQ(error(signer_.sign(claims_)), TokenError::kIssuer);
}

TEST_F(JwtTest, ATamperedTokenIsRefused) {
  const auto token = signer_.sign(claims_);
  for (std::size_t i = 0; i < token.size(); ++i) {
    auto changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(check(changed)) << i;
  }
  EXPECT_FALSE(check(token + "A"));
  EXPECT_FALSE(check(token.substr(0, token.size() - 1)));
  EXPECT_FALSE(check(token.substr(0, token.rfind('.') + 1)));
}

TEST_F(JwtTest, ForeignKeysAndUnknownKeyIdsAreRefused) {
  const Signer foreign("k1", crypto::make_ed25519_key(random_));
  EXPECT_EQ(error(foreign.sign(claims_)), TokenError::kBadSignature);
  const Signer unknown("k2", key_);
  EXPECT_EQ(error(unknown.sign(claims_)), TokenError::kUnknownKey);
}

TEST_F(JwtTest, OnlyEdDsaIsTaken) {
  const std::string payload = R"({"iss":"https://a:443","sub":"u","aud":"api","role":"admin","iat":900,)"
                              R"("nbf":900,"exp":1900,"jti":"x"})";
  EXPECT_EQ(error(sign_raw(R"({"alg":"EdDSA","kid":"k1"})", payload)), ErrorCode());
  for (const auto* header :
       {R"({"alg":"none","kid":"k1"})", R"({"alg":"HS256","kid":"k1"})", R"({"kid":"k1"})",
        R"({"alg":"eddsa","kid":"k1"})", R"({"alg":["EdDSA"],"kid":"k1"})", R"({"alg":"EdDSA","kid":"k1","crit":[]})"})
    EXPECT_EQ(error(sign_raw(header, payload)), TokenError::kAlgorithm) << header;
  const auto unsigned_token = to_base64url(as_bytes(R"({"alg":"none"})")) + "." + to_base64url(as_bytes(payload)) + ".";
  EXPECT_FALSE(check(unsigned_token));
}

TEST_F(JwtTest, EveryClaimMustBeThereAndOfItsType) {
  const nlohmann::json good = {{"iss", "https://a:443"},
                               {"sub", "u"},
                               {"aud", "api"},
                               {"role", "user"},
                               {"iat", 900},
                               {"nbf", 900},
                               {"exp", 1900},
                               {"jti", "x"}};
  const std::string header = R"({"alg":"EdDSA","kid":"k1"})";
  for (const auto& [name, value] : good.items()) {
    auto missing = good;
    missing.erase(name);
    EXPECT_EQ(error(sign_raw(header, missing.dump())), TokenError::kBadClaims) << name;
    auto mistyped = good;
    mistyped[name] = nlohmann::json::array({value});
    EXPECT_EQ(error(sign_raw(header, mistyped.dump())), TokenError::kBadClaims) << name;
  }
  for (const auto* exp : {"-1", "1e300", "1900.5", "99999999999999999999", "18446744073709551615"}) {
    auto text = good.dump();
    text.replace(text.find("1900"), 4, exp);
    EXPECT_FALSE(check(sign_raw(header, text))) << exp;
  }
  auto empty = good;
  empty["jti"] = "";
  EXPECT_EQ(error(sign_raw(header, empty.dump())), TokenError::kBadClaims);
}

TEST_F(JwtTest, FormAndSizeAreChecked) {
  for (const auto& text : {std::string(), std::string("."), std::string(".."), std::string("..."), std::string("a.b"),
                           std::string(5'000, 'a'), std::string("e30.e30.e30.e30")})
    EXPECT_EQ(error(text), TokenError::kMalformed) << text.substr(0, 20);
  claims_.subject = std::string(kMaxTokenBytes, 's');
  EXPECT_EQ(error(signer_.sign(claims_)), TokenError::kMalformed);
}

TEST_F(JwtTest, TheKeySetIsPublishedAndReadBack) {
  const auto back = KeySet::from_jwks(keys_.to_jwks());
  ASSERT_TRUE(back);
  EXPECT_TRUE(verify(signer_.sign(claims_), *back, "", Audience::kApi, from_unix_seconds(1'000)));
  EXPECT_EQ(keys_.to_jwks().find("\"d\""), std::string::npos) << "a private key in the key set";
  EXPECT_FALSE(KeySet::from_jwks("[]"));
  EXPECT_EQ(KeySet::from_jwks(R"({"keys":[{"kty":"RSA"},1,{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"a"}]})")->size(),
            0u);
  KeySet full;
  for (std::size_t i = 0; i < kMaxKeys; ++i) EXPECT_TRUE(full.add(std::to_string(i), {}));
  EXPECT_FALSE(full.add("one more", {}));
}

TEST(BearerToken, IsTakenFromItsSchemeOnly) {
  EXPECT_EQ(bearer_token("Bearer abc"), "abc");
  EXPECT_EQ(bearer_token("bearer abc"), "abc");
  EXPECT_EQ(bearer_token("Basic abc"), std::nullopt);
  EXPECT_EQ(bearer_token("Bearer "), std::nullopt);
  EXPECT_EQ(bearer_token(""), std::nullopt);
}

}  // namespace
}  // namespace higgs::jwt

#include "bosonserver/domain/totp.h"

#include <set>

#include <gtest/gtest.h>

namespace higgs::boson {
namespace {

/// RFC 6238, appendix B: "12345678901234567890" in ASCII.
TotpSecret rfc_secret() {
  TotpSecret secret;
  const auto bytes = as_bytes("12345678901234567890");
  std::copy(bytes.begin(), bytes.end(), secret.reveal_mutable().begin());
  return secret;
}

TEST(Totp, KnowsTheVectorsOfTheRfc) {
  // The table has eight digits; of six, they are the last.
  EXPECT_EQ(totp_code(rfc_secret(), totp_step(59)), "287082");
  EXPECT_EQ(totp_code(rfc_secret(), totp_step(1111111109)), "081804");
  EXPECT_EQ(totp_code(rfc_secret(), totp_step(1234567890)), "005924");
  EXPECT_EQ(totp_code(rfc_secret(), totp_step(20000000000)), "353130");
}

TEST(Totp, TakesOneStepBeforeAndAfter) {
  constexpr std::int64_t kNow = 1'700'000'010;
  const auto step = totp_step(kNow);
  for (const std::int64_t offset : {-1, 0, 1})
    EXPECT_EQ(match_totp(rfc_secret(), totp_code(rfc_secret(), step + offset), kNow), step + offset);
  EXPECT_EQ(match_totp(rfc_secret(), totp_code(rfc_secret(), step - 2), kNow), std::nullopt);
  EXPECT_EQ(match_totp(rfc_secret(), totp_code(rfc_secret(), step + 2), kNow), std::nullopt);
  EXPECT_EQ(match_totp(rfc_secret(), "", kNow), std::nullopt);
  EXPECT_EQ(match_totp(rfc_secret(), totp_code(rfc_secret(), step) + "0", kNow), std::nullopt);
}

TEST(Totp, TheUriIsWhatAuthenticatorsRead) {
  EXPECT_EQ(totp_text(rfc_secret()).reveal(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
  EXPECT_EQ(totp_uri("vpn.example:8443", "a@b", rfc_secret()).reveal(),
            "otpauth://totp/vpn.example%3A8443:a%40b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
            "&issuer=vpn.example%3A8443&algorithm=SHA1&digits=6&period=30");
}

TEST(Totp, RecoveryCodesAreTypedAsPeopleTypeThem) {
  SeededRandom random(1);
  std::set<crypto::Sha256Digest> digests;
  for (std::size_t i = 0; i < kRecoveryCodes; ++i) {
    const std::string code(make_recovery_code(random).reveal());
    ASSERT_EQ(code.size(), 19u) << code;
    EXPECT_EQ(code[4], '-');
    EXPECT_FALSE(looks_like_totp(code));
    std::string typed;
    for (const char c : code) typed += c == '-' ? ' ' : static_cast<char>(std::toupper(c));
    EXPECT_EQ(recovery_digest(code), recovery_digest(typed));
    digests.insert(recovery_digest(code));
  }
  EXPECT_EQ(digests.size(), kRecoveryCodes);
  EXPECT_TRUE(looks_like_totp("012345"));
  EXPECT_FALSE(looks_like_totp("01234a"));
  EXPECT_FALSE(looks_like_totp("0123456"));
}

}  // namespace
}  // namespace higgs::boson

#include "api/key_certificate.h"

#include <gtest/gtest.h>

#include "api/registration_signature.h"

namespace higgs::api {
namespace {

class KeyCertificateTest : public ::testing::Test {
 protected:
  SeededRandom random_{7};
  crypto::Ed25519PrivateKey identity_ = crypto::make_ed25519_key(random_);
  crypto::PublicKey key_ = crypto::public_key_of(crypto::make_private_key(random_));
  KeyCertificate certificate_ =
      sign_key_certificate(identity_, key_, 5, 2'000, {{25}, false, 10, std::nullopt, "none"});
  NodeId node_ = node_id_of(certificate_.identity_key);
  WallTime now_ = from_unix_seconds(1'000);
};

TEST_F(KeyCertificateTest, ItsOwnIsAccepted) {
  EXPECT_TRUE(verify_key_certificate(certificate_, node_, now_));
  EXPECT_EQ(certificate_.policy()->blocked_ports, std::vector<std::uint16_t>{25});
  EXPECT_EQ(certificate_.policy()->rate_limit_mbps, 10u);
}

TEST_F(KeyCertificateTest, AnyChangedFieldIsRefused) {
  const auto refused = [&](auto change) {
    auto forged = certificate_;
    change(forged);
    return verify_key_certificate(forged, node_, now_).error() == KeyCertificateError::kBadSignature;
  };
  EXPECT_TRUE(refused([](auto& c) { c.wireguard_public_key.bytes[0] ^= std::byte{1}; }));
  EXPECT_TRUE(refused([](auto& c) { ++c.sequence; }));
  EXPECT_TRUE(refused([](auto& c) { ++c.not_after; }));
  EXPECT_TRUE(refused([](auto& c) { c.signature[5] ^= std::byte{1}; }));
  EXPECT_TRUE(refused([](auto& c) { c.exit_policy.text = R"({"blockedPorts":[]})"; }));
  EXPECT_TRUE(refused([](auto& c) { c.exit_policy.text.insert(1, R"("extra":1,)"); }));
}

TEST_F(KeyCertificateTest, AnotherIdentityIsRefused) {
  const auto other = crypto::make_ed25519_key(random_);
  const auto forged = sign_key_certificate(other, key_, 6, 2'000, {});
  EXPECT_EQ(verify_key_certificate(forged, node_, now_).error(), KeyCertificateError::kWrongIdentity);
  auto mixed = forged;
  mixed.identity_key = certificate_.identity_key;
  EXPECT_EQ(verify_key_certificate(mixed, node_, now_).error(), KeyCertificateError::kBadSignature);
}

TEST_F(KeyCertificateTest, ExpiryAndPolicyWithoutCanonicalFormAreRefused) {
  EXPECT_EQ(verify_key_certificate(certificate_, node_, from_unix_seconds(2'000)).error(),
            KeyCertificateError::kExpired);
  auto odd = certificate_;
  odd.exit_policy.text = R"({"rate":1.5})";
  EXPECT_EQ(verify_key_certificate(odd, node_, now_).error(), KeyCertificateError::kBadPolicy);
  odd.exit_policy.text = "[]";
  EXPECT_EQ(verify_key_certificate(odd, node_, now_).error(), KeyCertificateError::kBadPolicy);
}

TEST_F(KeyCertificateTest, TheOrderOfPolicyFieldsOnTheWireDoesNotMatter) {
  auto shuffled = certificate_;
  shuffled.exit_policy.text = R"({ "rateLimitMbps": 10, "privateNetworks": false, "monthlyQuotaGib": null,
                                   "logging": "none", "blockedPorts": [25] })";
  EXPECT_TRUE(verify_key_certificate(shuffled, node_, now_));
  const auto back = decode<KeyCertificate>(encode(shuffled));
  ASSERT_TRUE(back);
  EXPECT_TRUE(verify_key_certificate(*back, node_, now_));
}

TEST(Origin, IsNormalised) {
  EXPECT_EQ(origin_of("https://Example.ORG/path"), "https://example.org:443");
  EXPECT_EQ(origin_of("wss://192.0.2.1:8443/relay/x"), "https://192.0.2.1:8443");
  EXPECT_EQ(origin_of("https://[2001:DB8::0:1]:8443"), "https://[2001:db8::1]:8443");
  for (const auto* bad : {"http://a", "https://", "https://a:0", "https://a:99999", "https://a:x", "https://u@a",
                          "https://[1.2.3.4]", "https://[::1", "a.example"})
    EXPECT_EQ(origin_of(bad), std::nullopt) << bad;
}

TEST(RegistrationSignature, CoversOriginNonceAndBody) {
  SeededRandom random(3);
  const auto identity = crypto::make_ed25519_key(random);
  const auto key = crypto::public_key_of_ed25519(identity);
  const std::string nonce(kNonceCharacters, 'n');
  const auto header = sign_registration(identity, "https://a:443", nonce, "{}");
  EXPECT_TRUE(verify_registration(key, header, "https://a:443", nonce, "{}"));
  EXPECT_FALSE(verify_registration(key, header, "https://b:443", nonce, "{}"));
  EXPECT_FALSE(verify_registration(key, header, "https://a:443", std::string(kNonceCharacters, 'm'), "{}"));
  EXPECT_FALSE(verify_registration(key, header, "https://a:443", nonce, "{} "));
  EXPECT_FALSE(verify_registration(key, "", "https://a:443", nonce, "{}"));
  EXPECT_FALSE(verify_registration(key, header + "AAAA", "https://a:443", nonce, "{}"));
  const auto other = crypto::public_key_of_ed25519(crypto::make_ed25519_key(random));
  EXPECT_FALSE(verify_registration(other, header, "https://a:443", nonce, "{}"));
}

}  // namespace
}  // namespace higgs::api

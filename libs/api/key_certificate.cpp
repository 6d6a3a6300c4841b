#include "api/key_certificate.h"

#include "api/describe_common.h"
#include "base/assert.h"
#include "crypto/hash.h"

namespace higgs::api {
namespace {

constexpr std::string_view kCertificatePrefix = "higgs-key-certificate-v1";

/// nullopt where the policy is no object or has no canonical form.
std::optional<std::string> canonical_policy(const KeyCertificate& certificate) {
  FieldErrors errors;
  const auto json = codec::parse(certificate.exit_policy.text, errors);
  if (!json || !json->is_object()) return std::nullopt;
  return codec::canonical(*json);
}

}  // namespace

HIGGS_API_BODY(KeyCertificate)
HIGGS_API_BODY(ExitPolicy)

Decoded<ExitPolicy> KeyCertificate::policy() const { return decode<ExitPolicy>(exit_policy.text); }

NodeId node_id_of(const crypto::Ed25519PublicKey& identity_key) {
  return NodeId(Uuid::from_digest(crypto::sha256(identity_key.bytes)));
}

Bytes signed_bytes(const KeyCertificate& certificate) {
  ByteWriter out;
  out.bytes(as_bytes(kCertificatePrefix));
  out.zeros(1);
  out.bytes(certificate.wireguard_public_key.bytes);
  out.be(certificate.sequence);
  out.be(static_cast<std::uint64_t>(certificate.not_after));
  // A policy without a canonical form never verifies: verify_key_certificate refuses it before it gets here.
  out.bytes(crypto::sha256(as_bytes(canonical_policy(certificate).value_or(""))));
  return std::move(out).take();
}

KeyCertificate sign_key_certificate(const crypto::Ed25519PrivateKey& identity, const crypto::PublicKey& wireguard_key,
                                    std::uint64_t sequence, std::int64_t not_after, const ExitPolicy& policy) {
  KeyCertificate certificate;
  certificate.identity_key = crypto::public_key_of_ed25519(identity);
  certificate.wireguard_public_key = wireguard_key;
  certificate.sequence = sequence;
  certificate.not_after = not_after;
  certificate.exit_policy.text = encode(policy);
  const auto canonical = canonical_policy(certificate);
  HIGGS_ASSERT(canonical.has_value());
  certificate.exit_policy.text = *canonical;
  certificate.signature = crypto::ed25519_sign(identity, signed_bytes(certificate));
  return certificate;
}

Result<void> verify_key_certificate(const KeyCertificate& certificate, const NodeId& node, WallTime now) {
  if (node_id_of(certificate.identity_key) != node) return KeyCertificateError::kWrongIdentity;
  if (!canonical_policy(certificate)) return KeyCertificateError::kBadPolicy;
  if (!crypto::ed25519_verify(certificate.identity_key, signed_bytes(certificate), certificate.signature))
    return KeyCertificateError::kBadSignature;
  if (certificate.not_after <= unix_seconds(now)) return KeyCertificateError::kExpired;
  return {};
}

}  // namespace higgs::api

HIGGS_ERROR_CATEGORY(higgs::api, KeyCertificateError, "api.key_certificate") {
  using Error = higgs::api::KeyCertificateError;
  switch (error) {
    case Error::kBadSignature:
      return "the key certificate is not signed by the identity key it names";
    case Error::kExpired:
      return "the key certificate has expired";
    case Error::kWrongIdentity:
      return "the identity key does not belong to this node id";
    case Error::kBadPolicy:
      return "the exit policy has no canonical form";
  }
  return "unknown error";
}

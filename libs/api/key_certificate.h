// The key certificate: a node's word, signed with its identity key, for which WireGuard key and exit policy are its
// own. It travels through the server, which can neither make nor alter one. A client checks it against the node id
// before it sends a byte, and refuses a lower sequence than it has seen.
//
// Bytes that are signed (Ed25519, RFC 8032), all integers big-endian:
//
//   "higgs-key-certificate-v1" ‖ 0x00 ‖ WireGuard public key (32) ‖ sequence (8) ‖ notAfter (8)
//     ‖ SHA-256(canonical exit policy) (32)
//
// The canonical exit policy is its JSON object as RFC 8785 writes it: keys sorted, no white space. It may hold
// integers, strings, booleans, null, arrays and objects, but no fractions, so that there is one way to write it.
// Fields that this version does not know are kept and signed along.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/json.h"
#include "base/result.h"
#include "base/time.h"
#include "base/uuid.h"
#include "crypto/ed25519.h"
#include "crypto/x25519.h"

namespace higgs::api {

enum class KeyCertificateError {
  kBadSignature = 1,
  kExpired,        ///< notAfter has passed
  kWrongIdentity,  ///< the identity key does not hash to the node id
  kBadPolicy,      ///< the exit policy has no canonical form
};

struct ExitPolicy {
  std::vector<std::uint16_t> blocked_ports;          ///< TCP and UDP, outgoing
  bool private_networks = false;                     ///< whether private and local ranges can be reached
  std::optional<std::uint32_t> rate_limit_mbps{};    ///< per client, each way; nullopt: none
  std::optional<std::uint32_t> monthly_quota_gib{};  ///< nullopt: none
  std::string logging = "none";                      ///< "none" or "metadata"
  friend bool operator==(const ExitPolicy&, const ExitPolicy&) = default;
};

struct KeyCertificate {
  crypto::Ed25519PublicKey identity_key;
  crypto::PublicKey wireguard_public_key;
  std::uint64_t sequence = 0;
  std::int64_t not_after = 0;  ///< Unix seconds
  JsonText exit_policy;        ///< canonical; see policy()
  crypto::Ed25519Signature signature{};

  /// The fields of the exit policy that this version knows.
  Decoded<ExitPolicy> policy() const;
  friend bool operator==(const KeyCertificate&, const KeyCertificate&) = default;
};

/// UUIDv8 of SHA-256(identity key): the id certifies itself.
NodeId node_id_of(const crypto::Ed25519PublicKey& identity_key);

/// The bytes drawn above.
Bytes signed_bytes(const KeyCertificate& certificate);
KeyCertificate sign_key_certificate(const crypto::Ed25519PrivateKey& identity, const crypto::PublicKey& wireguard_key,
                                    std::uint64_t sequence, std::int64_t not_after, const ExitPolicy& policy);
/// Everything but the sequence, which only who remembers an earlier one can check.
Result<void> verify_key_certificate(const KeyCertificate& certificate, const NodeId& node, WallTime now);

}  // namespace higgs::api

HIGGS_ERROR_ENUM(higgs::api, KeyCertificateError)

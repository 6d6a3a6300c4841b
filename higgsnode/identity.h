// Who this node is: an Ed25519 identity key, from which the node id follows, and a WireGuard key, both made on the
// first start and kept in files of mode 0600; and the sequence of its key certificates, which only grows.
#pragma once

#include <filesystem>

#include "api/key_certificate.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "base/uuid.h"
#include "crypto/ed25519.h"
#include "crypto/x25519.h"

namespace higgs::node {

enum class IdentityError {
  kBadKeyFile = 1,  ///< a key file holds something else; never overwritten
  kBadSequenceFile,
  kOpenToOthers,  ///< a key file that others may read
};

class Identity {
 public:
  /// Every certificate is good for this long from its signing.
  static constexpr std::chrono::hours kCertificateLifetime{7 * 24};

  /// Makes what is missing. The directory must exist; the caller holds its lock.
  static Result<Identity> load_or_create(const std::filesystem::path& state_dir, RandomSource& random);

  const NodeId& node_id() const noexcept { return node_id_; }
  const crypto::Ed25519PublicKey& identity_key() const noexcept { return identity_public_; }
  const crypto::PublicKey& wireguard_public_key() const noexcept { return wireguard_public_; }
  const crypto::PrivateKey& wireguard_key() const noexcept { return wireguard_; }
  std::uint64_t sequence() const noexcept { return sequence_; }

  /// A certificate with the next sequence, which is on disk before it is signed: no sequence is used twice.
  Result<api::KeyCertificate> certify(const api::ExitPolicy& policy, WallTime now);
  std::string sign_registration(std::string_view origin, std::string_view nonce, std::string_view raw_body) const;

 private:
  Identity() = default;
  std::filesystem::path state_dir_;
  crypto::Ed25519PrivateKey identity_;
  crypto::Ed25519PublicKey identity_public_;
  crypto::PrivateKey wireguard_;
  crypto::PublicKey wireguard_public_;
  NodeId node_id_;
  std::uint64_t sequence_ = 0;
};

}  // namespace higgs::node

HIGGS_ERROR_ENUM(higgs::node, IdentityError)

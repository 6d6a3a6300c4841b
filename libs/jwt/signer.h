// Makes tokens: JWS compact serialisation (RFC 7515) with EdDSA over Ed25519 (RFC 8037). Any thread.
#pragma once

#include <string>

#include "crypto/ed25519.h"
#include "jwt/claims.h"

namespace higgs::jwt {

class Signer {
 public:
  /// `key_id` names the key in the header and in the key set.
  Signer(std::string key_id, crypto::Ed25519PrivateKey key);
  std::string sign(const Claims& claims) const;
  const std::string& key_id() const noexcept { return key_id_; }

 private:
  std::string key_id_;
  std::string header_;  ///< encoded
  crypto::Ed25519PrivateKey key_;
};

}  // namespace higgs::jwt

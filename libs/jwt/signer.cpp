#include "jwt/signer.h"

#include <nlohmann/json.hpp>

#include "base/base64.h"

namespace higgs::jwt {

Signer::Signer(std::string key_id, crypto::Ed25519PrivateKey key) : key_id_(std::move(key_id)), key_(std::move(key)) {
  const nlohmann::ordered_json header = {{"alg", "EdDSA"}, {"typ", "JWT"}, {"kid", key_id_}};
  header_ = to_base64url(as_bytes(header.dump()));
}

std::string Signer::sign(const Claims& claims) const {
  nlohmann::ordered_json payload = {
      {"iss", claims.issuer},    {"sub", claims.subject},    {"aud", to_string(claims.audience)}, {"role", claims.role},
      {"iat", claims.issued_at}, {"nbf", claims.not_before}, {"exp", claims.expires_at},          {"jti", claims.id}};
  if (!claims.family.empty()) payload["fam"] = claims.family;
  std::string token = header_ + "." + to_base64url(as_bytes(payload.dump()));
  const auto signature = crypto::ed25519_sign(key_, as_bytes(token));
  return token + "." + to_base64url(signature);
}

}  // namespace higgs::jwt

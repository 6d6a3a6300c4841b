#include "jwt/key_set.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/base64.h"

namespace higgs::jwt {
namespace {

std::string member_text(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

bool KeySet::add(std::string key_id, const crypto::Ed25519PublicKey& key) {
  if (keys_.size() >= kMaxKeys) return false;
  return keys_.emplace(std::move(key_id), key).second;
}

const crypto::Ed25519PublicKey* KeySet::find(std::string_view key_id) const {
  const auto found = keys_.find(key_id);
  return found == keys_.end() ? nullptr : &found->second;
}

std::string KeySet::to_jwks() const {
  nlohmann::ordered_json keys = nlohmann::ordered_json::array();
  for (const auto& [key_id, key] : keys_) {
    keys.push_back({{"kty", "OKP"},
                    {"crv", "Ed25519"},
                    {"use", "sig"},
                    {"alg", "EdDSA"},
                    {"kid", key_id},
                    {"x", to_base64url(key.bytes)}});
  }
  return nlohmann::ordered_json{{"keys", keys}}.dump();
}

std::optional<KeySet> KeySet::from_jwks(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("keys") || !json["keys"].is_array()) return std::nullopt;
  KeySet set;
  for (const auto& entry : json["keys"]) {
    if (!entry.is_object() || member_text(entry, "kty") != "OKP" || member_text(entry, "crv") != "Ed25519") continue;
    const auto bytes = from_base64url(member_text(entry, "x"));
    crypto::Ed25519PublicKey key;
    if (!bytes || bytes->size() != key.bytes.size() || member_text(entry, "kid").empty()) continue;
    std::copy(bytes->begin(), bytes->end(), key.bytes.begin());
    set.add(member_text(entry, "kid"), key);
  }
  return set;
}

}  // namespace higgs::jwt

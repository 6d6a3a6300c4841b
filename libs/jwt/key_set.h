// The public keys that verify tokens, and their form as a JSON Web Key Set (RFC 7517, RFC 8037).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "crypto/ed25519.h"

namespace higgs::jwt {

inline constexpr std::size_t kMaxKeys = 64;

/// By key id. Not thread-safe while it is changed.
class KeySet {
 public:
  /// False, and nothing added, at kMaxKeys.
  bool add(std::string key_id, const crypto::Ed25519PublicKey& key);
  void remove(const std::string& key_id) { keys_.erase(key_id); }
  const crypto::Ed25519PublicKey* find(std::string_view key_id) const;
  std::size_t size() const noexcept { return keys_.size(); }

  std::string to_jwks() const;
  /// Keys of other types are skipped; nullopt if the text is no key set.
  static std::optional<KeySet> from_jwks(std::string_view text);
  friend bool operator==(const KeySet&, const KeySet&) = default;

 private:
  std::map<std::string, crypto::Ed25519PublicKey, std::less<>> keys_;
};

}  // namespace higgs::jwt

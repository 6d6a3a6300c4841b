// Ed25519 (RFC 8032) through OpenSSL: identity keys of nodes, token-signing keys of servers.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/random.h"
#include "base/secret.h"

namespace higgs::crypto {

struct Ed25519PublicKey {
  static constexpr std::size_t kSize = 32;
  ByteArray<kSize> bytes{};
  static std::optional<Ed25519PublicKey> from_base64(std::string_view text);
  std::string to_base64() const;
  friend auto operator<=>(const Ed25519PublicKey&, const Ed25519PublicKey&) = default;
};

/// The 32-byte seed of RFC 8032, 5.1.5.
using Ed25519PrivateKey = SecretBytes<32>;
using Ed25519Signature = ByteArray<64>;

Ed25519PrivateKey make_ed25519_key(RandomSource& random);
Ed25519PublicKey public_key_of_ed25519(const Ed25519PrivateKey& key);
Ed25519Signature ed25519_sign(const Ed25519PrivateKey& key, ByteView message);
bool ed25519_verify(const Ed25519PublicKey& key, ByteView message, ByteView signature);

}  // namespace higgs::crypto

// X25519 (RFC 7748) through OpenSSL.
#pragma once

#include <compare>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"

namespace higgs::crypto {

/// A Curve25519 public key; WireGuard writes it in base64.
struct PublicKey {
  static constexpr std::size_t kSize = 32;
  ByteArray<kSize> bytes{};

  static std::optional<PublicKey> from_base64(std::string_view text);
  std::string to_base64() const;
  friend auto operator<=>(const PublicKey&, const PublicKey&) = default;
};

using PrivateKey = SecretBytes<32>;
using SharedSecret = SecretBytes<32>;

/// Clamped as RFC 7748 section 5 says.
PrivateKey make_private_key(RandomSource& random);
PublicKey public_key_of(const PrivateKey& key);
/// nullopt if the result is all zero, that is if the peer's key is of low order.
std::optional<SharedSecret> x25519(const PrivateKey& key, const PublicKey& peer);

}  // namespace higgs::crypto

template <>
struct std::hash<higgs::crypto::PublicKey> {
  std::size_t operator()(const higgs::crypto::PublicKey& key) const noexcept {
    return higgs::load_le<std::uint64_t>(key.bytes.data());
  }
};

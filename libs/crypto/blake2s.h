// BLAKE2s (RFC 7693) through OpenSSL, and the functions that WireGuard builds on it (paper, section 5.4):
// the keyed MAC, HMAC over BLAKE2s, and the key derivation KDF1 to KDF3.
#pragma once

#include <array>
#include <initializer_list>

#include "base/bytes.h"
#include "base/secret.h"

namespace higgs::crypto {

using Blake2sDigest = ByteArray<32>;
using Blake2sMac = ByteArray<16>;

/// Hash(part || part || …), 32 bytes.
Blake2sDigest blake2s(std::initializer_list<ByteView> parts);
/// Mac(key, message): keyed BLAKE2s with 16 bytes of output; the key has 1 to 32 bytes.
Blake2sMac blake2s_mac16(ByteView key, ByteView message);
/// The same with 32 bytes of output.
Blake2sDigest blake2s_mac32(ByteView key, ByteView message);
/// Hmac(key, message) of RFC 2104 with BLAKE2s, 32 bytes.
SecretBytes<32> hmac_blake2s(ByteView key, ByteView message);

/// KDF of N outputs: t0 = Hmac(key, input), t(i) = Hmac(t0, t(i-1) || i).
template <std::size_t N>
std::array<SecretBytes<32>, N> blake2s_kdf(ByteView key, ByteView input) {
  static_assert(N >= 1 && N <= 255);
  const SecretBytes<32> extracted = hmac_blake2s(key, input);
  std::array<SecretBytes<32>, N> outputs;
  ByteArray<33> block{};
  for (std::size_t i = 0; i < N; ++i) {
    block[i == 0 ? 0 : 32] = static_cast<std::byte>(i + 1);
    outputs[i] = hmac_blake2s(extracted.reveal(), ByteView(block).first(i == 0 ? 1 : 33));
    std::memcpy(block.data(), outputs[i].reveal().data(), 32);
  }
  secure_wipe(block);
  return outputs;
}

}  // namespace higgs::crypto

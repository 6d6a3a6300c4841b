// Authenticated encryption of single messages through libsodium: ChaCha20-Poly1305 (RFC 8439) for handshakes,
// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) for cookie replies. For streams of packets see aead_batch.h.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/secret.h"

namespace higgs::crypto {

inline constexpr std::size_t kAeadTagBytes = 16;
using AeadKey = SecretBytes<32>;
using XChaChaNonce = ByteArray<24>;

/// The nonce is 32 zero bits followed by the 64-bit little-endian counter (WireGuard paper, section 5.4).
/// `sealed` has room for plaintext.size() + kAeadTagBytes and may begin where the plaintext does.
void chacha20poly1305_seal(const AeadKey& key, std::uint64_t counter, ByteView additional, ByteView plaintext,
                           MutableBytes sealed) noexcept;
/// False if the tag does not fit; `plaintext` (sealed.size() - kAeadTagBytes) is then all zero.
bool chacha20poly1305_open(const AeadKey& key, std::uint64_t counter, ByteView additional, ByteView sealed,
                           MutableBytes plaintext) noexcept;

void xchacha20poly1305_seal(const AeadKey& key, const XChaChaNonce& nonce, ByteView additional, ByteView plaintext,
                            MutableBytes sealed) noexcept;
bool xchacha20poly1305_open(const AeadKey& key, const XChaChaNonce& nonce, ByteView additional, ByteView sealed,
                            MutableBytes plaintext) noexcept;

}  // namespace higgs::crypto

#include "crypto/aead.h"

#include <algorithm>

#include <sodium.h>

#include "base/assert.h"
#include "crypto/openssl_handle.h"

namespace higgs::crypto {
namespace {

// libsodium picks its code for this CPU in sodium_init(); without it the portable one runs.
void prepare_sodium() noexcept {
  static const bool kReady = sodium_init() >= 0;
  HIGGS_ASSERT(kReady);
}

ByteArray<12> nonce_of(std::uint64_t counter) noexcept {
  ByteArray<12> nonce{};
  store_le(nonce.data() + 4, counter);
  return nonce;
}

}  // namespace

void chacha20poly1305_seal(const AeadKey& key, std::uint64_t counter, ByteView additional, ByteView plaintext,
                           MutableBytes sealed) noexcept {
  prepare_sodium();
  HIGGS_ASSERT(sealed.size() == plaintext.size() + kAeadTagBytes);
  crypto_aead_chacha20poly1305_ietf_encrypt(as_uchar(sealed.data()), nullptr, as_uchar(plaintext.data()),
                                            plaintext.size(), as_uchar(additional.data()), additional.size(), nullptr,
                                            as_uchar(nonce_of(counter).data()), as_uchar(key.reveal().data()));
}

bool chacha20poly1305_open(const AeadKey& key, std::uint64_t counter, ByteView additional, ByteView sealed,
                           MutableBytes plaintext) noexcept {
  prepare_sodium();
  HIGGS_ASSERT(sealed.size() == plaintext.size() + kAeadTagBytes);
  if (crypto_aead_chacha20poly1305_ietf_decrypt(as_uchar(plaintext.data()), nullptr, nullptr, as_uchar(sealed.data()),
                                                sealed.size(), as_uchar(additional.data()), additional.size(),
                                                as_uchar(nonce_of(counter).data()),
                                                as_uchar(key.reveal().data())) == 0) {
    return true;
  }
  std::fill(plaintext.begin(), plaintext.end(), std::byte{0});
  return false;
}

void xchacha20poly1305_seal(const AeadKey& key, const XChaChaNonce& nonce, ByteView additional, ByteView plaintext,
                            MutableBytes sealed) noexcept {
  prepare_sodium();
  HIGGS_ASSERT(sealed.size() == plaintext.size() + kAeadTagBytes);
  crypto_aead_xchacha20poly1305_ietf_encrypt(as_uchar(sealed.data()), nullptr, as_uchar(plaintext.data()),
                                             plaintext.size(), as_uchar(additional.data()), additional.size(), nullptr,
                                             as_uchar(nonce.data()), as_uchar(key.reveal().data()));
}

bool xchacha20poly1305_open(const AeadKey& key, const XChaChaNonce& nonce, ByteView additional, ByteView sealed,
                            MutableBytes plaintext) noexcept {
  prepare_sodium();
  HIGGS_ASSERT(sealed.size() == plaintext.size() + kAeadTagBytes);
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(as_uchar(plaintext.data()), nullptr, nullptr, as_uchar(sealed.data()),
                                                 sealed.size(), as_uchar(additional.data()), additional.size(),
                                                 as_uchar(nonce.data()), as_uchar(key.reveal().data())) == 0) {
    return true;
  }
  std::fill(plaintext.begin(), plaintext.end(), std::byte{0});
  return false;
}

}  // namespace higgs::crypto

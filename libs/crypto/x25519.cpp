#include "crypto/x25519.h"

#include "base/base64.h"
#include "crypto/openssl_handle.h"

namespace higgs::crypto {

std::optional<PublicKey> PublicKey::from_base64(std::string_view text) {
  const auto decoded = higgs::from_base64(text);
  if (!decoded || decoded->size() != kSize) return std::nullopt;
  PublicKey key;
  std::copy(decoded->begin(), decoded->end(), key.bytes.begin());
  return key;
}

std::string PublicKey::to_base64() const { return higgs::to_base64(bytes); }

PrivateKey make_private_key(RandomSource& random) {
  PrivateKey key;
  const auto bytes = key.reveal_mutable();
  random.fill(bytes);
  // RFC 7748, section 5: "set the three least significant bits of the first byte and the most significant bit of the
  // last to zero, set the second most significant bit of the last byte to 1".
  bytes[0] &= std::byte{248};
  bytes[31] &= std::byte{127};
  bytes[31] |= std::byte{64};
  return key;
}

PublicKey public_key_of(const PrivateKey& key) {
  const OpenSslHandle<EVP_PKEY> pair(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, as_uchar(key.reveal().data()), PrivateKey::kSize));
  require_openssl(pair != nullptr, "EVP_PKEY_new_raw_private_key");
  PublicKey result;
  std::size_t length = PublicKey::kSize;
  require_openssl(EVP_PKEY_get_raw_public_key(pair.get(), as_uchar(result.bytes.data()), &length) == 1,
                  "EVP_PKEY_get_raw_public_key");
  return result;
}

std::optional<SharedSecret> x25519(const PrivateKey& key, const PublicKey& peer) {
  const OpenSslHandle<EVP_PKEY> own(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, as_uchar(key.reveal().data()), PrivateKey::kSize));
  const OpenSslHandle<EVP_PKEY> other(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, as_uchar(peer.bytes.data()), PublicKey::kSize));
  require_openssl(own && other, "EVP_PKEY_new_raw_key");
  const OpenSslHandle<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new(own.get(), nullptr));
  require_openssl(context && EVP_PKEY_derive_init(context.get()) == 1, "EVP_PKEY_derive_init");
  require_openssl(EVP_PKEY_derive_set_peer_ex(context.get(), other.get(), 0) == 1, "EVP_PKEY_derive_set_peer");
  SharedSecret secret;
  std::size_t length = SharedSecret::kSize;
  // OpenSSL itself refuses an all-zero result; the second check does not depend on that.
  if (EVP_PKEY_derive(context.get(), as_uchar(secret.reveal_mutable().data()), &length) != 1) return std::nullopt;
  if (length != SharedSecret::kSize || secret.is_zero()) return std::nullopt;
  return secret;
}

}  // namespace higgs::crypto

#include "crypto/ed25519.h"

#include "base/base64.h"
#include "crypto/openssl_handle.h"

namespace higgs::crypto {
namespace {

OpenSslHandle<EVP_PKEY> load_private(const Ed25519PrivateKey& key) {
  OpenSslHandle<EVP_PKEY> pair(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, as_uchar(key.reveal().data()), Ed25519PrivateKey::kSize));
  require_openssl(pair != nullptr, "EVP_PKEY_new_raw_private_key");
  return pair;
}

}  // namespace

std::optional<Ed25519PublicKey> Ed25519PublicKey::from_base64(std::string_view text) {
  const auto decoded = higgs::from_base64(text);
  if (!decoded || decoded->size() != kSize) return std::nullopt;
  Ed25519PublicKey key;
  std::copy(decoded->begin(), decoded->end(), key.bytes.begin());
  return key;
}

std::string Ed25519PublicKey::to_base64() const { return higgs::to_base64(bytes); }

Ed25519PrivateKey make_ed25519_key(RandomSource& random) {
  Ed25519PrivateKey key;
  random.fill(key.reveal_mutable());
  return key;
}

Ed25519PublicKey public_key_of_ed25519(const Ed25519PrivateKey& key) {
  const auto pair = load_private(key);
  Ed25519PublicKey result;
  std::size_t length = Ed25519PublicKey::kSize;
  require_openssl(EVP_PKEY_get_raw_public_key(pair.get(), as_uchar(result.bytes.data()), &length) == 1,
                  "EVP_PKEY_get_raw_public_key");
  return result;
}

Ed25519Signature ed25519_sign(const Ed25519PrivateKey& key, ByteView message) {
  const auto pair = load_private(key);
  const OpenSslHandle<EVP_MD_CTX> context(EVP_MD_CTX_new());
  require_openssl(context && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, pair.get()) == 1,
                  "EVP_DigestSignInit");
  Ed25519Signature signature;
  std::size_t length = signature.size();
  require_openssl(EVP_DigestSign(context.get(), as_uchar(signature.data()), &length, as_uchar(message.data()),
                                 message.size()) == 1 &&
                      length == signature.size(),
                  "EVP_DigestSign");
  return signature;
}

bool ed25519_verify(const Ed25519PublicKey& key, ByteView message, ByteView signature) {
  if (signature.size() != Ed25519Signature{}.size()) return false;
  const OpenSslHandle<EVP_PKEY> loaded(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, as_uchar(key.bytes.data()), Ed25519PublicKey::kSize));
  require_openssl(loaded != nullptr, "EVP_PKEY_new_raw_public_key");
  const OpenSslHandle<EVP_MD_CTX> context(EVP_MD_CTX_new());
  require_openssl(context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, loaded.get()) == 1,
                  "EVP_DigestVerifyInit");
  return EVP_DigestVerify(context.get(), as_uchar(signature.data()), signature.size(), as_uchar(message.data()),
                          message.size()) == 1;
}

}  // namespace higgs::crypto

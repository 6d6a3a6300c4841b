#include "crypto/blake2s.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "base/assert.h"
#include "crypto/openssl_handle.h"

namespace higgs::crypto {
namespace {

constexpr std::size_t kBlockBytes = 64;

// Looking an algorithm up by name costs more than hashing a short message, so both are looked up once.
const EVP_MD* hash_algorithm() {
  static const OpenSslHandle<EVP_MD> kAlgorithm(EVP_MD_fetch(nullptr, "BLAKE2S-256", nullptr));
  require_openssl(kAlgorithm != nullptr, "EVP_MD_fetch(BLAKE2S-256)");
  return kAlgorithm.get();
}

EVP_MAC* mac_algorithm() {
  static const OpenSslHandle<EVP_MAC> kAlgorithm(EVP_MAC_fetch(nullptr, "BLAKE2SMAC", nullptr));
  require_openssl(kAlgorithm != nullptr, "EVP_MAC_fetch(BLAKE2SMAC)");
  return kAlgorithm.get();
}

void hash_into(std::initializer_list<ByteView> parts, std::byte* out) {
  thread_local const OpenSslHandle<EVP_MD_CTX> kContext(EVP_MD_CTX_new());
  require_openssl(kContext && EVP_DigestInit_ex2(kContext.get(), hash_algorithm(), nullptr) == 1, "EVP_DigestInit");
  for (const ByteView part : parts) {
    require_openssl(EVP_DigestUpdate(kContext.get(), part.data(), part.size()) == 1, "EVP_DigestUpdate");
  }
  require_openssl(EVP_DigestFinal_ex(kContext.get(), as_uchar(out), nullptr) == 1, "EVP_DigestFinal");
}

void mac_into(ByteView key, ByteView message, MutableBytes out) {
  HIGGS_ASSERT(!key.empty() && key.size() <= 32);
  thread_local const OpenSslHandle<EVP_MAC_CTX> kContext(EVP_MAC_CTX_new(mac_algorithm()));
  std::size_t size = out.size();
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size), OSSL_PARAM_construct_end()};
  std::size_t written = 0;
  require_openssl(kContext && EVP_MAC_init(kContext.get(), as_uchar(key.data()), key.size(), parameters) == 1 &&
                      EVP_MAC_update(kContext.get(), as_uchar(message.data()), message.size()) == 1 &&
                      EVP_MAC_final(kContext.get(), as_uchar(out.data()), &written, out.size()) == 1 &&
                      written == out.size(),
                  "EVP_MAC(BLAKE2SMAC)");
}

}  // namespace

Blake2sDigest blake2s(std::initializer_list<ByteView> parts) {
  Blake2sDigest digest;
  hash_into(parts, digest.data());
  return digest;
}

Blake2sMac blake2s_mac16(ByteView key, ByteView message) {
  Blake2sMac mac;
  mac_into(key, message, mac);
  return mac;
}

Blake2sDigest blake2s_mac32(ByteView key, ByteView message) {
  Blake2sDigest mac;
  mac_into(key, message, mac);
  return mac;
}

SecretBytes<32> hmac_blake2s(ByteView key, ByteView message) {
  ByteArray<kBlockBytes> pad{};
  if (key.size() > kBlockBytes) {
    hash_into({key}, pad.data());
  } else {
    std::copy(key.begin(), key.end(), pad.begin());
  }
  for (auto& byte : pad) byte ^= std::byte{0x36};
  SecretBytes<32> inner;
  hash_into({pad, message}, inner.reveal_mutable().data());
  for (auto& byte : pad) byte ^= std::byte{0x36 ^ 0x5c};
  SecretBytes<32> result;
  hash_into({pad, inner.reveal()}, result.reveal_mutable().data());
  secure_wipe(pad);
  return result;
}

}  // namespace higgs::crypto

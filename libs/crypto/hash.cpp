#include "crypto/hash.h"

#include <climits>

#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/sha.h>

#include "base/assert.h"
#include "crypto/openssl_handle.h"

namespace higgs::crypto {

namespace {

// A null key would mean "the key of last time" to OpenSSL.
constexpr std::byte kNoKey{};

EVP_MAC* hmac_algorithm() {
  static const OpenSslHandle<EVP_MAC> kAlgorithm(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  require_openssl(kAlgorithm != nullptr, "EVP_MAC_fetch(HMAC)");
  return kAlgorithm.get();
}

/// `context` is of that digest only, so that it is looked up once a thread.
void hmac_into(EVP_MAC_CTX* context, const char* digest, ByteView key, std::initializer_list<ByteView> parts,
               MutableBytes out) {
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>(digest), 0),
      OSSL_PARAM_construct_end()};
  bool good = context != nullptr &&
              EVP_MAC_init(context, as_uchar(key.empty() ? &kNoKey : key.data()), key.size(), parameters) == 1;
  for (const ByteView part : parts) good = good && EVP_MAC_update(context, as_uchar(part.data()), part.size()) == 1;
  std::size_t written = 0;
  require_openssl(
      good && EVP_MAC_final(context, as_uchar(out.data()), &written, out.size()) == 1 && written == out.size(),
      "EVP_MAC(HMAC)");
}

}  // namespace

Sha256Digest sha256(ByteView message) {
  Sha256Digest digest;
  unsigned length = 0;
  require_openssl(
      EVP_Digest(message.data(), message.size(), as_uchar(digest.data()), &length, EVP_sha256(), nullptr) == 1,
      "EVP_Digest");
  return digest;
}

Sha256Digest hmac_sha256(ByteView key, ByteView message) {
  HIGGS_ASSERT(key.size() <= INT_MAX);
  Sha256Digest digest;
  unsigned length = 0;
  require_openssl(HMAC(EVP_sha256(), key.empty() ? &kNoKey : key.data(), static_cast<int>(key.size()),
                       as_uchar(message.data()), message.size(), as_uchar(digest.data()), &length) != nullptr,
                  "HMAC");
  return digest;
}

Sha256Digest hmac_sha256_of(ByteView key, std::initializer_list<ByteView> parts) {
  thread_local const OpenSslHandle<EVP_MAC_CTX> kContext(EVP_MAC_CTX_new(hmac_algorithm()));
  Sha256Digest digest;
  hmac_into(kContext.get(), "SHA256", key, parts, digest);
  return digest;
}

Sha1Digest hmac_sha1(ByteView key, std::initializer_list<ByteView> parts) {
  thread_local const OpenSslHandle<EVP_MAC_CTX> kContext(EVP_MAC_CTX_new(hmac_algorithm()));
  Sha1Digest digest;
  hmac_into(kContext.get(), "SHA1", key, parts, digest);
  return digest;
}

Md5Digest md5(ByteView message) {
  Md5Digest digest;
  unsigned length = 0;
  require_openssl(EVP_Digest(message.data(), message.size(), as_uchar(digest.data()), &length, EVP_md5(), nullptr) == 1,
                  "EVP_Digest");
  return digest;
}

}  // namespace higgs::crypto

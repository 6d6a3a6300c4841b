#include "crypto/hash.h"

#include <climits>

#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "base/assert.h"
#include "crypto/openssl_handle.h"

namespace higgs::crypto {

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
  // A null key would mean "the key of last time" to OpenSSL.
  static constexpr std::byte kNoKey{};
  Sha256Digest digest;
  unsigned length = 0;
  require_openssl(HMAC(EVP_sha256(), key.empty() ? &kNoKey : key.data(), static_cast<int>(key.size()),
                       as_uchar(message.data()), message.size(), as_uchar(digest.data()), &length) != nullptr,
                  "HMAC");
  return digest;
}

}  // namespace higgs::crypto

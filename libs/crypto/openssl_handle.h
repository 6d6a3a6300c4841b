// Owning handles for the OpenSSL objects this module uses, and the one way it reports their failure.
#pragma once

#include <cstddef>
#include <memory>

#include <openssl/evp.h>

namespace higgs::crypto {

struct OpenSslDeleter {
  void operator()(EVP_PKEY* p) const noexcept { EVP_PKEY_free(p); }
  void operator()(EVP_PKEY_CTX* p) const noexcept { EVP_PKEY_CTX_free(p); }
  void operator()(EVP_MD_CTX* p) const noexcept { EVP_MD_CTX_free(p); }
  void operator()(EVP_MD* p) const noexcept { EVP_MD_free(p); }
  void operator()(EVP_MAC* p) const noexcept { EVP_MAC_free(p); }
  void operator()(EVP_MAC_CTX* p) const noexcept { EVP_MAC_CTX_free(p); }
  void operator()(EVP_CIPHER* p) const noexcept { EVP_CIPHER_free(p); }
  void operator()(EVP_CIPHER_CTX* p) const noexcept { EVP_CIPHER_CTX_free(p); }
};
template <class T>
using OpenSslHandle = std::unique_ptr<T, OpenSslDeleter>;

/// Throws std::runtime_error unless `succeeded`: these calls fail only when memory or an algorithm is missing.
void require_openssl(bool succeeded, const char* call);

inline const unsigned char* as_uchar(const std::byte* p) noexcept { return reinterpret_cast<const unsigned char*>(p); }
inline unsigned char* as_uchar(std::byte* p) noexcept { return reinterpret_cast<unsigned char*>(p); }

}  // namespace higgs::crypto

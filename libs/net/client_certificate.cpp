#include "net/client_certificate.h"

#include <ctime>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "net/tls_client_state.h"
#include "net/tls_stream.h"

namespace higgs::net {

namespace {

std::vector<std::string> common_names_of(X509* certificate) {
  std::vector<std::string> names;
  const X509_NAME* subject = X509_get_subject_name(certificate);
  for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) {
    unsigned char* text = nullptr;
    const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    names.emplace_back(as_text(std::as_bytes(std::span(text, size > 0 ? static_cast<std::size_t>(size) : 0))));
    OPENSSL_free(text);
  }
  return names;
}

}  // namespace

std::optional<ClientCertificate> client_certificate_of(X509* certificate) {
  ClientCertificate read;
  unsigned size = 0;
  std::tm end{};
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1 ||
      X509_digest(certificate, EVP_sha256(), reinterpret_cast<unsigned char*>(read.fingerprint.data()), &size) != 1)
    return std::nullopt;
  read.not_after = from_unix_seconds(::timegm(&end));
  read.common_names = common_names_of(certificate);
  return read;
}

Result<ClientCertificate> read_client_certificate(const std::string& pem) {
  const SslPtr<BIO> text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const SslPtr<X509> certificate(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
  auto read = client_certificate_of(certificate.get());
  ERR_clear_error();
  if (!read) return TlsError::kBadCertificate;
  return std::move(*read);
}

}  // namespace higgs::net

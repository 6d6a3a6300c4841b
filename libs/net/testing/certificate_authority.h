// For tests: a CA that makes certificates for clients, good ones and others, and takes them back.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "net/tls_client_state.h"
#include "net/tls_stream.h"

namespace higgs::net::testing {

class CertificateAuthority {
 public:
  struct Wish {
    std::vector<std::string> names{"alice"};  ///< CNs
    std::string usage = "clientAuth";         ///< extended key usage; empty: none
    long begins = -3600, ends = 86400;        ///< seconds from now
  };

  explicit CertificateAuthority(const std::string& name = "clients' CA")
      : key_(EVP_EC_gen("P-256")), certificate_(X509_new()) {
    fill(certificate_.get(), key_.get(), {name}, -3600, 86400);
    extend(NID_basic_constraints, "critical,CA:TRUE", certificate_.get());
    extend(NID_key_usage, "critical,keyCertSign,cRLSign", certificate_.get());
    must(X509_sign(certificate_.get(), key_.get(), EVP_sha256()));
  }

  TlsIdentity issue(const Wish& wish) {
    const SslPtr<EVP_PKEY> key(EVP_EC_gen("P-256"));
    const SslPtr<X509> certificate(X509_new());
    fill(certificate.get(), key.get(), wish.names, wish.begins, wish.ends);
    extend(NID_basic_constraints, "critical,CA:FALSE", certificate.get());
    if (!wish.usage.empty()) extend(NID_ext_key_usage, wish.usage, certificate.get());
    must(X509_sign(certificate.get(), key_.get(), EVP_sha256()));
    const auto text = write(
        [&](BIO* out) { return PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
    return {pem_of(certificate.get()), SecretString(text)};
  }
  TlsIdentity issue() { return issue(Wish{}); }

  void revoke(const TlsIdentity& identity) { revoked_.push_back(identity.certificate_pem); }
  std::string certificate_pem() const { return pem_of(certificate_.get()); }
  /// Of what was revoked so far; `ends`: seconds from now.
  std::string crl_pem(long ends = 86400) const {
    const SslPtr<X509_CRL> list(X509_CRL_new());
    const SslPtr<ASN1_TIME> from(X509_gmtime_adj(nullptr, ends - 2 * 86400)), until(X509_gmtime_adj(nullptr, ends));
    X509_CRL_set_version(list.get(), X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(certificate_.get()));
    X509_CRL_set1_lastUpdate(list.get(), from.get());
    X509_CRL_set1_nextUpdate(list.get(), until.get());
    for (const auto& pem : revoked_) {
      const SslPtr<BIO> text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
      const SslPtr<X509> certificate(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
      X509_REVOKED* entry = X509_REVOKED_new();
      X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(certificate.get()));
      X509_REVOKED_set_revocationDate(entry, from.get());
      must(X509_CRL_add0_revoked(list.get(), entry));
    }
    must(X509_CRL_sort(list.get()));
    must(X509_CRL_sign(list.get(), key_.get(), EVP_sha256()));
    return write([&](BIO* out) { return PEM_write_bio_X509_CRL(out, list.get()); });
  }

 private:
  static void must(int result) {
    if (result <= 0) throw std::runtime_error("OpenSSL refuses to make a certificate");
  }
  template <class F>
  static std::string write(F to) {
    const SslPtr<BIO> out(BIO_new(BIO_s_mem()));
    must(to(out.get()));
    char* data = nullptr;
    const long size = BIO_get_mem_data(out.get(), &data);
    return {data, static_cast<std::size_t>(size)};
  }
  static std::string pem_of(X509* certificate) {
    return write([&](BIO* out) { return PEM_write_bio_X509(out, certificate); });
  }
  void extend(int nid, const std::string& value, X509* certificate) const {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate_.get(), certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    must(X509_add_ext(certificate, extension, -1));
    X509_EXTENSION_free(extension);
  }
  void fill(X509* certificate, EVP_PKEY* key, const std::vector<std::string>& names, long begins, long ends) {
    X509_NAME* subject = X509_get_subject_name(certificate);
    for (const auto& name : names)
      must(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name.data()),
                                      static_cast<int>(name.size()), -1, 0));
    must(X509_set_version(certificate, X509_VERSION_3));
    must(ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial_));
    X509_gmtime_adj(X509_getm_notBefore(certificate), begins);
    X509_gmtime_adj(X509_getm_notAfter(certificate), ends);
    must(X509_set_pubkey(certificate, key));
    must(X509_set_issuer_name(certificate, X509_get_subject_name(certificate_.get())));
  }

  long serial_ = 0;
  SslPtr<EVP_PKEY> key_;
  SslPtr<X509> certificate_;
  std::vector<std::string> revoked_;
};

}  // namespace higgs::net::testing

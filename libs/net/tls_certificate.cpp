#include <array>
#include <new>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/base64.h"
#include "crypto/hash.h"
#include "net/tls_client_state.h"
#include "net/tls_stream.h"

namespace higgs::net {

namespace {

constexpr std::string_view kPinPrefix = "sha256/";
/// A machine whose clock is a little behind still takes a new certificate.
constexpr long kBackdatedSeconds = 24 * 3600;

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

bool add_extension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) return false;
  const bool added = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

bool sane_name(std::string_view name) {
  return !name.empty() && name.size() <= 253 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-*:") == name.npos;
}

/// Empty if a name cannot stand in a certificate.
std::string alternative_names(const std::vector<std::string>& names) {
  std::string list;
  for (const auto& name : names) {
    if (!sane_name(name)) return {};
    if (!list.empty()) list += ',';
    list += (IpAddress::parse(name) ? "IP:" : "DNS:") + name;
  }
  return list;
}

bool fill_certificate(X509* certificate, EVP_PKEY* key, const std::vector<std::string>& names, unsigned days) {
  const std::string alternatives = alternative_names(names);
  if (alternatives.empty()) return false;
  std::array<unsigned char, 16> serial{};
  if (RAND_bytes(serial.data(), serial.size()) != 1) return false;
  serial[0] = static_cast<unsigned char>((serial[0] & 0x7f) | 0x40);  // positive, and always of the same length
  BIGNUM* number = BN_bin2bn(serial.data(), serial.size(), nullptr);
  const bool numbered = number != nullptr && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);

  X509_NAME* subject = X509_get_subject_name(certificate);
  // RFC 5280, A.1: ub-common-name is 64.
  const std::string common = names.front().substr(0, 64);
  return numbered && X509_set_version(certificate, X509_VERSION_3) == 1 &&
         X509_gmtime_adj(X509_getm_notBefore(certificate), -kBackdatedSeconds) != nullptr &&
         X509_time_adj_ex(X509_getm_notAfter(certificate), static_cast<int>(days), 0, nullptr) != nullptr &&
         X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common.data()),
                                    static_cast<int>(common.size()), -1, 0) == 1 &&
         X509_set_issuer_name(certificate, subject) == 1 && X509_set_pubkey(certificate, key) == 1 &&
         add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
         add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
         add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
         add_extension(certificate, NID_subject_alt_name, alternatives) &&
         X509_sign(certificate, key, EVP_sha256()) != 0;
}

}  // namespace

std::optional<SpkiPin> parse_spki_pin(std::string_view text) {
  if (!text.starts_with(kPinPrefix)) return std::nullopt;
  const auto bytes = from_base64(text.substr(kPinPrefix.size()));
  SpkiPin pin;
  if (!bytes || bytes->size() != pin.size()) return std::nullopt;
  std::copy(bytes->begin(), bytes->end(), pin.begin());
  return pin;
}

std::optional<SpkiPin> spki_pin_of(X509* certificate) {
  if (certificate == nullptr) return std::nullopt;
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (size <= 0) return std::nullopt;
  const auto digest = crypto::sha256(std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
  OPENSSL_free(der);
  return digest;
}

Result<std::string> spki_pin_of(const std::string& certificate_pem) {
  const SslPtr<BIO> text(BIO_new_mem_buf(certificate_pem.data(), static_cast<int>(certificate_pem.size())));
  const SslPtr<X509> certificate(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  const auto pin = spki_pin_of(certificate.get());
  if (!pin) return TlsError::kBadKeyOrCertificate;
  return std::string(kPinPrefix) + to_base64(*pin);
}

Result<SelfSigned> make_self_signed(const std::vector<std::string>& names, unsigned days) {
  if (names.empty()) return TlsError::kBadKeyOrCertificate;
  const SslPtr<EVP_PKEY> key(EVP_EC_gen("P-256"));
  const SslPtr<X509> certificate(X509_new());
  const SslPtr<BIO> certificate_text(BIO_new(BIO_s_mem()));
  const SslPtr<BIO> key_text(BIO_new(BIO_s_secmem()));
  const bool made = key && certificate && fill_certificate(certificate.get(), key.get(), names, days) &&
                    PEM_write_bio_X509(certificate_text.get(), certificate.get()) == 1 &&
                    PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1;
  ERR_clear_error();
  if (!made) return TlsError::kBadKeyOrCertificate;
  return SelfSigned{text_of(certificate_text.get()), text_of(key_text.get())};
}

}  // namespace higgs::net

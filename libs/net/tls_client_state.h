// What belongs to a client's SSL_CTX and to each of its sessions: the pins, and the tickets of hosts it has been to.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <openssl/ssl.h>

#include "base/bytes.h"
#include "base/result.h"
#include "net/client_certificate.h"

namespace higgs::net {

struct SslDeleter {
  void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
  void operator()(SSL_SESSION* session) const noexcept { SSL_SESSION_free(session); }
  void operator()(X509* certificate) const noexcept { X509_free(certificate); }
  void operator()(X509_CRL* list) const noexcept { X509_CRL_free(list); }
  void operator()(ASN1_TIME* time) const noexcept { ASN1_TIME_free(time); }
  void operator()(X509_STORE* store) const noexcept { X509_STORE_free(store); }
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
  void operator()(BIO* bio) const noexcept { BIO_free_all(bio); }
};
template <class T>
using SslPtr = std::unique_ptr<T, SslDeleter>;

/// SHA-256 over the SubjectPublicKeyInfo (RFC 7469, 2.4).
using SpkiPin = ByteArray<32>;
std::optional<SpkiPin> parse_spki_pin(std::string_view text);
std::optional<SpkiPin> spki_pin_of(X509* certificate);
/// nullopt: of none, or of one whose dates cannot be read.
std::optional<ClientCertificate> client_certificate_of(X509* certificate);

/// Tickets by host name; each is used once (RFC 8446, C.4). Thread-safe.
class TlsTickets {
 public:
  static constexpr std::size_t kHosts = 64;

  void keep(const std::string& host, SslPtr<SSL_SESSION> session);
  SslPtr<SSL_SESSION> take(const std::string& host);

 private:
  std::mutex mutex_;
  std::map<std::string, SslPtr<SSL_SESSION>> sessions_;
};

struct TlsClientState {
  std::vector<SpkiPin> pins;  ///< any of them will do; empty: certificates are verified
  TlsTickets tickets;
};

/// Null for a server's context.
TlsClientState* client_state(SSL_CTX* context) noexcept;
/// Prepares a client's session: name check, SNI, ticket of an earlier session.
Result<void> prepare_client(SSL* ssl, const std::string& host);

}  // namespace higgs::net

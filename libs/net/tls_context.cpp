#include <algorithm>
#include <ctime>
#include <new>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/tls_client_state.h"
#include "net/tls_stream.h"

namespace higgs::net {

namespace {

/// Between programs on machines of today AES is in hardware, and AES-128-GCM is the cheapest.
constexpr const char* kCipherSuites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
constexpr const char* kGroups = "X25519:P-256";

void free_client_state(void*, void* state, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<TlsClientState*>(state);
}
void free_host(void*, void* host, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<std::string*>(host); }

int state_index() {
  static const int kIndex = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_client_state);
  return kIndex;
}
int host_index() {
  static const int kIndex = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, free_host);
  return kIndex;
}

std::shared_ptr<SSL_CTX> make_context(const SSL_METHOD* method) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(method), SSL_CTX_free);
  if (!context) throw std::bad_alloc();
  SSL_CTX* c = context.get();
  SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
  SSL_CTX_set_ciphersuites(c, kCipherSuites);
  SSL_CTX_set1_groups_list(c, kGroups);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_clear_mode(c, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_read_ahead(c, 1);  // a record's header and body by one call
  return context;
}

/// A pin says which key, and nothing else: name, dates and issuer of the certificate do not matter. That the peer has
/// the key is proved by the handshake itself.
int verify_pin(X509_STORE_CTX* store, void* state) {
  const auto actual = spki_pin_of(X509_STORE_CTX_get0_cert(store));
  const auto& pins = static_cast<TlsClientState*>(state)->pins;
  if (actual && std::find(pins.begin(), pins.end(), *actual) != pins.end()) {
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
  return 0;
}

int keep_ticket(SSL* ssl, SSL_SESSION* session) {
  const auto* host = static_cast<const std::string*>(SSL_get_ex_data(ssl, host_index()));
  TlsClientState* state = client_state(SSL_get_SSL_CTX(ssl));
  if (host == nullptr || state == nullptr) return 0;
  state->tickets.keep(*host, SslPtr<SSL_SESSION>(session));
  return 1;
}

}  // namespace

void TlsTickets::keep(const std::string& host, SslPtr<SSL_SESSION> session) {
  const std::lock_guard lock(mutex_);
  if (sessions_.size() >= kHosts && !sessions_.contains(host)) sessions_.erase(sessions_.begin());
  sessions_[host] = std::move(session);
}

SslPtr<SSL_SESSION> TlsTickets::take(const std::string& host) {
  const std::lock_guard lock(mutex_);
  auto node = sessions_.extract(host);
  return node ? std::move(node.mapped()) : nullptr;
}

namespace {

/// Certificate, those that lead to its CA, and the key.
Result<void> use_identity(SSL_CTX* context, const std::string& certificate_pem, std::string_view private_key_pem) {
  const SslPtr<BIO> certificates(BIO_new_mem_buf(certificate_pem.data(), static_cast<int>(certificate_pem.size())));
  const SslPtr<X509> leaf(PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr));
  const SslPtr<BIO> key_text(BIO_new_mem_buf(private_key_pem.data(), static_cast<int>(private_key_pem.size())));
  // An empty password, so that an encrypted key fails instead of asking the terminal.
  char no_password[] = "";
  const SslPtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, no_password));
  if (!leaf) return TlsError::kBadCertificate;
  if (!key) return TlsError::kBadPrivateKey;
  if (SSL_CTX_use_certificate(context, leaf.get()) != 1) return TlsError::kBadKeyOrCertificate;
  if (X509_check_private_key(leaf.get(), key.get()) != 1) return TlsError::kKeyMismatch;
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) return TlsError::kBadKeyOrCertificate;
  while (const SslPtr<X509> next{PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr)})
    if (SSL_CTX_add1_chain_cert(context, next.get()) != 1) return TlsError::kBadKeyOrCertificate;
  return {};
}

}  // namespace

TlsClientState* client_state(SSL_CTX* context) noexcept {
  return static_cast<TlsClientState*>(SSL_CTX_get_ex_data(context, state_index()));
}

Result<void> prepare_client(SSL* ssl, const std::string& host) {
  TlsClientState* state = client_state(SSL_get_SSL_CTX(ssl));
  if (state == nullptr) return TlsError::kBadKeyOrCertificate;  // a server's context
  const bool literal = IpAddress::parse(host).has_value();
  // RFC 6066, 3: "Literal IPv4 and IPv6 addresses are not permitted in "HostName"."
  // What SSL_set_tlsext_host_name expands to, without its old-style cast.
  if (!literal &&
      SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(host.c_str())) != 1)
    return TlsError::kProtocol;
  if (state->pins.empty()) {
    X509_VERIFY_PARAM* parameters = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    const int set = literal ? X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str())
                            : X509_VERIFY_PARAM_set1_host(parameters, host.c_str(), host.size());
    if (set != 1) return TlsError::kProtocol;
  }
  SSL_set_ex_data(ssl, host_index(), new std::string(host));
  const auto session = state->tickets.take(host);
  if (session && SSL_SESSION_is_resumable(session.get()) == 1) SSL_set_session(ssl, session.get());
  ERR_clear_error();
  return {};
}

Result<TlsContext> TlsContext::server(const std::string& certificate_pem, const std::string& private_key_pem) {
  TlsContext made;
  made.context_ = make_context(TLS_server_method());
  SSL_CTX* context = made.context_.get();
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // Sessions live in the tickets that the clients keep, not in memory here.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 1);

  const auto used = use_identity(context, certificate_pem, private_key_pem);
  ERR_clear_error();
  if (!used) return used.error();
  return made;
}

Result<TlsContext> TlsContext::client(const TlsTrust& trust, const std::optional<TlsIdentity>& identity) {
  TlsContext made;
  made.context_ = make_context(TLS_client_method());
  made.trust_ = trust;
  SSL_CTX* context = made.context_.get();
  auto state = std::make_unique<TlsClientState>();
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, keep_ticket);
  bool good = true;
  if (!trust.spki_pins.empty()) {
    for (const auto& text : trust.spki_pins) {
      const auto pin = parse_spki_pin(text);
      good = good && pin;
      if (pin) state->pins.push_back(*pin);
    }
    SSL_CTX_set_cert_verify_callback(context, verify_pin, state.get());
  } else if (trust.ca_file) {
    good = SSL_CTX_load_verify_file(context, trust.ca_file->c_str()) == 1;
  } else {
    good = SSL_CTX_set_default_verify_paths(context) == 1;
  }
  const auto used =
      identity ? use_identity(context, identity->certificate_pem, identity->private_key_pem.reveal()) : Result<void>();
  ERR_clear_error();
  if (!used) return used.error();
  if (!good || SSL_CTX_set_ex_data(context, state_index(), state.get()) != 1) return TlsError::kBadKeyOrCertificate;
  // Freed with the SSL_CTX, which sessions may keep longer than this.
  static_cast<void>(state.release());
  return made;
}

}  // namespace higgs::net

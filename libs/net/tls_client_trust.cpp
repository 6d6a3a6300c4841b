// What a server asks of clients that have a certificate: who has signed it, that it is for clients, and that it was not
// taken back.
#include <new>
#include <vector>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/tls_client_state.h"
#include "net/tls_stream.h"

namespace higgs::net {

namespace {

/// A client's certificate and those between it and the CA; strangers may send so much before they are refused.
constexpr long kClientChainBytes = 32 * 1024;
/// Without one OpenSSL refuses tickets where certificates are asked for. Their keys are the context's own.
constexpr unsigned char kSessionContext[] = "higgs";

/// Every object of that kind; nullopt: there is none, or one that cannot be read.
template <class T>
std::optional<std::vector<SslPtr<T>>> read_all(const std::string& pem,
                                               T* (*read_next)(BIO*, T**, pem_password_cb*, void*)) {
  const SslPtr<BIO> text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  std::vector<SslPtr<T>> all;
  ERR_clear_error();
  while (SslPtr<T> next{read_next(text.get(), nullptr, nullptr, nullptr)}) all.push_back(std::move(next));
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (all.empty() || !at_end) return std::nullopt;
  return all;
}

/// OpenSSL takes a certificate that says nothing of what it is for as one for everything. Here it must say so.
int verify_purpose(int good, X509_STORE_CTX* store) {
  if (good != 1 || X509_STORE_CTX_get_error_depth(store) != 0) return good;
  X509* leaf = X509_STORE_CTX_get_current_cert(store);
  const bool stated = (X509_get_extension_flags(leaf) & EXFLAG_XKUSAGE) != 0;
  if (stated && (X509_get_extended_key_usage(leaf) & XKU_SSL_CLIENT) != 0) return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_INVALID_PURPOSE);
  return 0;
}

}  // namespace

Result<void> TlsContext::ask_for_certificates(const TlsClientTrust& trust) {
  SSL_CTX* context = context_.get();
  const SslPtr<X509_STORE> store(X509_STORE_new());
  if (!store) throw std::bad_alloc();
  const auto authorities = read_all<X509>(trust.ca_pem, PEM_read_bio_X509);
  if (!authorities) return TlsError::kBadClientCa;
  for (const auto& authority : *authorities) {
    if (X509_check_ca(authority.get()) != 1) return TlsError::kBadClientCa;
    X509_STORE_add_cert(store.get(), authority.get());
  }
  if (trust.crl_pem) {
    const auto lists = read_all<X509_CRL>(*trust.crl_pem, PEM_read_bio_X509_CRL);
    if (!lists) return TlsError::kBadClientCrl;
    for (const auto& list : *lists) X509_STORE_add_crl(store.get(), list.get());
    X509_STORE_set_flags(store.get(), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  }
  for (const auto& authority : *authorities) SSL_CTX_add_client_CA(context, authority.get());
  // A store of its own: what clients are verified by must not become a part of the server's own chain.
  SSL_CTX_set1_verify_cert_store(context, store.get());
  SSL_CTX_set_max_cert_list(context, kClientChainBytes);
  SSL_CTX_set_session_id_context(context, kSessionContext, sizeof(kSessionContext) - 1);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, verify_purpose);
  ERR_clear_error();
  return {};
}

}  // namespace higgs::net

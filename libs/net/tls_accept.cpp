#include "net/tls_accept.h"

#include <new>

#include <openssl/ssl.h>

#include "net/tls_bio.h"

namespace higgs::net {

TlsSocket accept_tls(int fd, const TlsContext* context, const Endpoint& remote) {
  if (context == nullptr) return {fd, nullptr, remote};
  SSL* ssl = SSL_new(context->native());
  if (ssl == nullptr) throw std::bad_alloc();
  BIO* bio = make_socket_bio(fd);
  SSL_set_bio(ssl, bio, bio);
  SSL_set_accept_state(ssl);
  return {fd, ssl, remote};
}

}  // namespace higgs::net

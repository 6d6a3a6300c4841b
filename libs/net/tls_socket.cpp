#include <cerrno>
#include <utility>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "net/tls_bio.h"
#include "net/tls_stream.h"

HIGGS_ERROR_CATEGORY(higgs::net, TlsError, "net.tls") {
  switch (error) {
    case TlsError::kWantRead:
      return "nothing to read yet";
    case TlsError::kWantWrite:
      return "the socket takes no more yet";
    case TlsError::kClosed:
      return "the connection was closed";
    case TlsError::kHandshakeFailed:
      return "the TLS handshake failed";
    case TlsError::kUntrusted:
      return "the peer's certificate is not trusted";
    case TlsError::kCertificateRefused:
      return "the peer refuses our certificate";
    case TlsError::kProtocol:
      return "TLS protocol violation";
    case TlsError::kTimedOut:
      return "timed out";
    case TlsError::kBadKeyOrCertificate:
      return "unusable key or certificate";
    case TlsError::kBadCertificate:
      return "no certificate in PEM";
    case TlsError::kBadPrivateKey:
      return "no private key in PEM, or one with a password";
    case TlsError::kKeyMismatch:
      return "the private key is not that of the certificate";
    case TlsError::kBadClientCa:
      return "no CA certificates in PEM, or others among them";
    case TlsError::kBadClientCrl:
      return "no revocation lists in PEM";
  }
  return "unknown TLS error";
}

namespace higgs::net {

namespace {

/// RFC 8446, 5.1: "The length MUST NOT exceed 2^14 bytes."
constexpr std::size_t kRecordBytes = 16384;

/// The alerts of RFC 8446, 6.2, by which a peer says what it thinks of our certificate. decrypt_error is that of a
/// certificate that its CA has not signed.
bool is_about_our_certificate(int reason) noexcept {
  switch (reason) {
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      return true;
    default:
      return false;
  }
}

}  // namespace

TlsSocket::TlsSocket(int fd, SSL* ssl, Endpoint remote) noexcept : fd_(fd), ssl_(ssl), remote_(remote) {}

TlsSocket::TlsSocket(TlsSocket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      ssl_(std::exchange(other.ssl_, nullptr)),
      remote_(other.remote_),
      records_(other.records_),
      records_per_key_(other.records_per_key_),
      key_updates_(other.key_updates_) {}

TlsSocket& TlsSocket::operator=(TlsSocket&& other) noexcept {
  if (this == &other) return *this;
  close();
  fd_ = std::exchange(other.fd_, -1);
  ssl_ = std::exchange(other.ssl_, nullptr);
  remote_ = other.remote_;
  records_ = other.records_;
  records_per_key_ = other.records_per_key_;
  key_updates_ = other.key_updates_;
  return *this;
}

TlsSocket::~TlsSocket() { close(); }

void TlsSocket::close() noexcept {
  if (ssl_ != nullptr) SSL_free(std::exchange(ssl_, nullptr));
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

TlsError TlsSocket::error_of(int result) const noexcept {
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
      return TlsError::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return TlsError::kWantWrite;
    case SSL_ERROR_ZERO_RETURN:
    case SSL_ERROR_SYSCALL:  // a reset connection
      return TlsError::kClosed;
    default:
      break;
  }
  const int reason = ERR_GET_REASON(ERR_peek_error());
  if (is_about_our_certificate(reason)) return TlsError::kCertificateRefused;
  return reason == SSL_R_UNEXPECTED_EOF_WHILE_READING ? TlsError::kClosed : TlsError::kProtocol;
}

Result<std::size_t> TlsSocket::read(MutableBytes out) noexcept {
  HIGGS_ASSERT(!out.empty());
  if (ssl_ == nullptr) {
    const ssize_t count = ::recv(fd_, out.data(), out.size(), 0);
    if (count > 0) return static_cast<std::size_t>(count);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return TlsError::kWantRead;
    return TlsError::kClosed;
  }
  ERR_clear_error();
  std::size_t count = 0;
  const int result = SSL_read_ex(ssl_, out.data(), out.size(), &count);
  if (result == 1) return count;
  return error_of(result);
}

Result<std::size_t> TlsSocket::write_plain(ByteView bytes, bool more) noexcept {
  const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | (more ? MSG_MORE : 0));
  if (count >= 0) return static_cast<std::size_t>(count);
  if (errno == EAGAIN || errno == EINTR) return TlsError::kWantWrite;
  return TlsError::kClosed;
}

Result<std::size_t> TlsSocket::write(ByteView bytes, bool more) noexcept {
  HIGGS_ASSERT(!bytes.empty());
  if (ssl_ == nullptr) return write_plain(bytes, more);
  BIO* bio = SSL_get_wbio(ssl_);
  std::size_t taken = 0;
  while (taken < bytes.size()) {
    const ByteView rest = bytes.subspan(taken);
    ERR_clear_error();
    // Refused while half a record waits to be sent: then the next write tries again.
    if (records_ >= records_per_key_ && SSL_key_update(ssl_, SSL_KEY_UPDATE_NOT_REQUESTED) == 1) {
      records_ = 0;
      ++key_updates_;
    }
    set_more_follows(bio, more || rest.size() > kRecordBytes);
    std::size_t written = 0;
    const int result = SSL_write_ex(ssl_, rest.data(), rest.size(), &written);
    if (result != 1) {
      if (taken > 0) return taken;  // the next call meets the same error
      return error_of(result);
    }
    taken += written;
    ++records_;
  }
  return taken;
}

bool TlsSocket::pending() const noexcept { return ssl_ != nullptr && SSL_has_pending(ssl_) == 1; }

void TlsSocket::shutdown() noexcept {
  if (fd_ < 0) return;
  if (ssl_ != nullptr && SSL_is_init_finished(ssl_) == 1) {
    ERR_clear_error();
    set_more_follows(SSL_get_wbio(ssl_), false);
    SSL_shutdown(ssl_);
  }
  ::shutdown(fd_, SHUT_WR);
}

}  // namespace higgs::net

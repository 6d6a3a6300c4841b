// TLS 1.3 over a non-blocking TCP socket, with OpenSSL directly on the socket (tls_bio.h) and released buffers, so that
// an idle connection is cheap. Two ways to drive it: as an awaitable stream on Asio (handshake, HTTP), or, after
// release(), by an EventLoop through the raw calls of TlsSocket.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/result.h"
#include "base/secret.h"
#include "net/client_certificate.h"

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

namespace higgs::net {

enum class TlsError {
  kWantRead = 1,  ///< try again when the socket is readable
  kWantWrite,     ///< try again when the socket is writable
  kClosed,        ///< the peer closed (close_notify or end of stream)
  kHandshakeFailed,
  kUntrusted,           ///< neither the system store, the pinned CA nor the SPKI pin accepts the peer's certificate
  kCertificateRefused,  ///< the peer does not accept ours; a client may hear it with its first read only
  kProtocol,
  kTimedOut,
  kBadKeyOrCertificate,
  kBadCertificate,  ///< none in PEM
  kBadPrivateKey,   ///< none in PEM, or one with a password
  kKeyMismatch,     ///< the key is not that of the certificate
  kBadClientCa,     ///< no CA certificate in PEM, or something else among them
  kBadClientCrl,    ///< no revocation list in PEM
};

/// A connected TLS session and its descriptor; owns both. Raw non-blocking calls; one thread at a time.
/// `ssl` null: the bytes go as they are (a listener on the loopback, tests).
class TlsSocket {
 public:
  /// RFC 8446, 5.5: 2^24.5 full records may be protected by AES-GCM under one key. We change it well before.
  static constexpr std::uint64_t kRecordsPerKey = std::uint64_t{1} << 23;

  TlsSocket() noexcept = default;  ///< of nothing
  TlsSocket(int fd, SSL* ssl, Endpoint remote) noexcept;
  TlsSocket(TlsSocket&& other) noexcept;
  TlsSocket& operator=(TlsSocket&& other) noexcept;
  ~TlsSocket();

  int fd() const noexcept { return fd_; }
  const Endpoint& remote() const noexcept { return remote_; }
  /// Bytes read (never 0), or kWantRead, kWantWrite, kClosed, kProtocol.
  Result<std::size_t> read(MutableBytes out) noexcept;
  /// Bytes taken (may be less than given), or as above. After kWantWrite call again with the same bytes; more may
  /// follow them, and they may have moved. `more`: another write follows at once, so the kernel may wait for it.
  Result<std::size_t> write(ByteView bytes, bool more = false) noexcept;
  /// Whether bytes wait inside, decrypted or not: readiness of the descriptor does not tell of them. False after
  /// read() has said kWantRead, unless they are a part of a record.
  bool pending() const noexcept;
  /// Sends close_notify as far as the socket takes it, and ends the sending direction.
  void shutdown() noexcept;
  /// Our sending key is changed after this many records.
  void set_records_per_key(std::uint64_t records) noexcept { records_per_key_ = records; }
  std::uint64_t key_updates() const noexcept { return key_updates_; }

 private:
  friend class TlsStream;
  Result<std::size_t> write_plain(ByteView bytes, bool more) noexcept;
  TlsError error_of(int result) const noexcept;
  void close() noexcept;

  int fd_ = -1;
  SSL* ssl_ = nullptr;
  Endpoint remote_;
  std::uint64_t records_ = 0;
  std::uint64_t records_per_key_ = kRecordsPerKey;
  std::uint64_t key_updates_ = 0;
};

/// What a client accepts as the server's proof. Pin: "sha256/" + base64 of SHA-256 over the SubjectPublicKeyInfo; the
/// servers of a cluster may have one each. With pins only they decide; with a CA file only that; with neither the
/// system's store and the host name.
struct TlsTrust {
  std::vector<std::string> spki_pins;
  std::optional<std::string> ca_file;
  friend bool operator==(const TlsTrust&, const TlsTrust&) = default;
};

/// What a client shows of itself to a server that asks: its certificate, those between it and the CA, and the key.
struct TlsIdentity {
  std::string certificate_pem;
  SecretString private_key_pem;
};

/// Whose certificates a server takes from clients that have one: those of CAs, up to their roots, that are for clients
/// (extended key usage clientAuth). With revocation lists, each of the CAs needs one that is in date.
struct TlsClientTrust {
  std::string ca_pem;
  std::optional<std::string> crl_pem;
};

/// Settings and keys that sessions share. A client's context keeps tickets, so that a second session to the same host
/// needs no certificate. Thread-safe once made.
class TlsContext {
 public:
  static Result<TlsContext> server(const std::string& certificate_pem, const std::string& private_key_pem);
  static Result<TlsContext> client(const TlsTrust& trust, const std::optional<TlsIdentity>& identity = std::nullopt);
  /// Of a server, before its first session: clients may show a certificate. One that does not verify ends the
  /// handshake; none is as good as before. kBadClientCa, kBadClientCrl.
  Result<void> ask_for_certificates(const TlsClientTrust& trust);
  SSL_CTX* native() const noexcept { return context_.get(); }
  const TlsTrust& trust() const noexcept { return trust_; }

 private:
  std::shared_ptr<SSL_CTX> context_;
  TlsTrust trust_;
};

/// A self-signed certificate (ECDSA P-256, `days` of validity, the names as SAN) and its key, in PEM.
struct SelfSigned {
  std::string certificate_pem, private_key_pem;
};
Result<SelfSigned> make_self_signed(const std::vector<std::string>& names, unsigned days);
/// "sha256/…" of the certificate's public key.
Result<std::string> spki_pin_of(const std::string& certificate_pem);

/// An awaitable TLS stream. One reader and one writer at a time, all on the socket's executor, which runs one handler
/// at a time.
class TlsStream {
 public:
  TlsStream(boost::asio::ip::tcp::socket socket, const TlsContext& context);
  /// Without TLS: accept() and connect() have nothing to do.
  explicit TlsStream(boost::asio::ip::tcp::socket socket);
  ~TlsStream();
  TlsStream(TlsStream&&) noexcept;

  /// When the time is over, what awaits fails with kTimedOut, as does everything after it until the next call of this.
  void expires_after(std::chrono::milliseconds time);
  void expires_never() noexcept;

  /// accept() or connect() comes first, and once. Until the peer's first byte an accepting stream holds no session.
  boost::asio::awaitable<Result<void>> accept();
  boost::asio::awaitable<Result<void>> connect(std::string host);
  /// Before accept(): until the peer has said something; kClosed if it has gone without a word.
  boost::asio::awaitable<Result<void>> wait_for_peer();
  /// Before accept(): what stands in the clear before the handshake. Takes no byte more than `out` has room for.
  boost::asio::awaitable<Result<std::size_t>> read_before_tls(MutableBytes out);
  boost::asio::awaitable<Result<std::size_t>> read_some(MutableBytes out);
  boost::asio::awaitable<Result<void>> write_all(ByteView bytes);
  /// close_notify and the end of the sending direction; what the peer still sends can be read.
  void shutdown() noexcept;
  /// False: the peer has closed, or sent something that nobody asked for. For a connection that is to be used again.
  bool quiet() noexcept;
  /// Closes the socket now; what awaits on it fails.
  void abort() noexcept;
  bool is_tls() const noexcept;
  /// At a server, after accept(): what the client has proved to be its own; also where a ticket brought the session
  /// back, so its time may be over. nullopt: it showed none.
  std::optional<ClientCertificate> client_certificate() const;
  /// Why the handshake ended with kUntrusted.
  std::string_view distrust() const noexcept;
  Endpoint remote() const;
  /// Whose the connection is, where a proxy is its peer; release() passes it on.
  void set_remote(const Endpoint& remote) noexcept;
  /// The kernel's smoothed measure; nullopt where it has none.
  std::optional<std::chrono::microseconds> round_trip() const;
  /// Gives session and descriptor away, for an EventLoop. Nothing may await on the stream.
  TlsSocket release();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace higgs::net

HIGGS_ERROR_ENUM(higgs::net, TlsError)

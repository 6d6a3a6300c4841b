#include "net/tls_stream.h"

#include <new>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/assert.h"
#include "net/endpoint_convert.h"
#include "net/tls_bio.h"
#include "net/tls_client_state.h"

namespace higgs::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;

constexpr auto kWait = asio::as_tuple(asio::use_awaitable);

class TlsStream::Impl : public std::enable_shared_from_this<TlsStream::Impl> {
 public:
  Impl(tcp::socket s, SSL_CTX* c)
      : context(c),
        socket(std::move(s)),
        timer(socket.get_executor()),
        io(socket.native_handle(), nullptr, remote_of(socket)) {
    socket.native_non_blocking(true);
    if (context != nullptr) SSL_CTX_up_ref(context);
  }
  ~Impl() {
    io.fd_ = -1;  // the descriptor is the socket's
    SSL_CTX_free(context);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  static Endpoint remote_of(const tcp::socket& socket) {
    boost::system::error_code error;
    const auto endpoint = socket.remote_endpoint(error);
    return error ? Endpoint{} : from_asio(endpoint);
  }

  /// Waits until what `reason` (kWantRead, kWantWrite) wants; anything else is handed back.
  asio::awaitable<Result<void>> wait(ErrorCode reason) {
    const bool for_read = reason == TlsError::kWantRead;
    if (!for_read && reason != TlsError::kWantWrite) co_return reason;
    if (expired) co_return TlsError::kTimedOut;
    if (!socket.is_open()) co_return TlsError::kClosed;
    const auto [error] = co_await socket.async_wait(for_read ? tcp::socket::wait_read : tcp::socket::wait_write, kWait);
    if (expired) co_return TlsError::kTimedOut;
    if (error) co_return TlsError::kClosed;
    co_return boost::system::in_place_value;
  }

  asio::awaitable<Result<std::size_t>> read(MutableBytes out) {
    for (;;) {
      if (!socket.is_open()) co_return TlsError::kClosed;
      const auto count = io.read(out);
      if (count) co_return count;
      const auto ready = co_await wait(count.error());
      if (!ready) co_return ready.error();
    }
  }

  void make_session() {
    HIGGS_ASSERT(io.ssl_ == nullptr);
    io.ssl_ = SSL_new(context);
    if (io.ssl_ == nullptr) throw std::bad_alloc();
    BIO* bio = make_socket_bio(io.fd_);
    SSL_set_bio(io.ssl_, bio, bio);
  }

  /// Bytes may flow: nothing goes out in the clear on a stream that is to be TLS and has not shaken hands.
  bool ready() const noexcept { return context == nullptr || io.ssl_ != nullptr; }

  asio::awaitable<Result<void>> handshake() {
    for (;;) {
      if (!socket.is_open()) co_return TlsError::kClosed;
      ERR_clear_error();
      const int result = SSL_do_handshake(io.ssl_);
      if (result == 1) co_return boost::system::in_place_value;
      const TlsError error = io.error_of(result);
      if (error == TlsError::kProtocol)
        co_return SSL_get_verify_result(io.ssl_) == X509_V_OK ? TlsError::kHandshakeFailed : TlsError::kUntrusted;
      const auto ready = co_await wait(error);
      if (!ready) co_return ready;
    }
  }

  void set_expiry(Clock::time_point when) {
    expired = false;
    expiry = when;
    if (timer_set_to <= when) return;  // it fires earlier, and then sets itself anew
    arm();
  }

  void arm() {
    timer_set_to = expiry;
    timer.expires_at(expiry);
    timer.async_wait([weak = weak_from_this(), when = expiry](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (!self || error || self->timer_set_to != when) return;
      self->timer_set_to = Clock::time_point::max();
      if (self->expiry == Clock::time_point::max()) return;
      if (Clock::now() < self->expiry) return self->arm();
      self->expired = true;
      boost::system::error_code ignored;
      self->socket.cancel(ignored);
    });
  }

  SSL_CTX* context;  // null: without TLS
  tcp::socket socket;
  asio::steady_timer timer;
  TlsSocket io;
  Clock::time_point expiry = Clock::time_point::max();
  Clock::time_point timer_set_to = Clock::time_point::max();
  bool expired = false;
};

TlsStream::TlsStream(tcp::socket socket, const TlsContext& context)
    : impl_(std::make_shared<Impl>(std::move(socket), context.native())) {}
TlsStream::TlsStream(tcp::socket socket) : impl_(std::make_shared<Impl>(std::move(socket), nullptr)) {}
TlsStream::~TlsStream() = default;
TlsStream::TlsStream(TlsStream&&) noexcept = default;

void TlsStream::expires_after(std::chrono::milliseconds time) { impl_->set_expiry(Clock::now() + time); }

void TlsStream::expires_never() noexcept {
  impl_->expired = false;
  impl_->expiry = Clock::time_point::max();
}

asio::awaitable<Result<void>> TlsStream::wait_for_peer() {
  const auto first = co_await impl_->wait(TlsError::kWantRead);
  if (!first) co_return first;
  std::byte looked_at{};
  if (::recv(impl_->socket.native_handle(), &looked_at, 1, MSG_PEEK) == 0) co_return TlsError::kClosed;
  co_return first;
}

asio::awaitable<Result<void>> TlsStream::accept() {
  if (impl_->context == nullptr) co_return boost::system::in_place_value;
  // A session costs tens of kilobytes: only for who says something.
  const auto first = co_await impl_->wait(TlsError::kWantRead);
  if (!first) co_return first;
  impl_->make_session();
  SSL_set_accept_state(impl_->io.ssl_);
  co_return co_await impl_->handshake();
}

asio::awaitable<Result<void>> TlsStream::connect(std::string host) {
  if (impl_->context == nullptr) co_return boost::system::in_place_value;
  impl_->make_session();
  SSL_set_connect_state(impl_->io.ssl_);
  const auto prepared = prepare_client(impl_->io.ssl_, host);
  if (!prepared) co_return prepared;
  co_return co_await impl_->handshake();
}

asio::awaitable<Result<std::size_t>> TlsStream::read_some(MutableBytes out) {
  HIGGS_ASSERT(impl_->ready());
  co_return co_await impl_->read(out);
}

asio::awaitable<Result<std::size_t>> TlsStream::read_before_tls(MutableBytes out) {
  HIGGS_ASSERT(impl_->io.ssl_ == nullptr);
  co_return co_await impl_->read(out);
}

asio::awaitable<Result<void>> TlsStream::write_all(ByteView bytes) {
  HIGGS_ASSERT(impl_->ready());
  while (!bytes.empty()) {
    if (!impl_->socket.is_open()) co_return TlsError::kClosed;
    const auto count = impl_->io.write(bytes);
    if (count) {
      bytes = bytes.subspan(*count);
      continue;
    }
    const auto ready = co_await impl_->wait(count.error());
    if (!ready) co_return ready;
  }
  co_return boost::system::in_place_value;
}

void TlsStream::shutdown() noexcept {
  if (impl_->socket.is_open()) impl_->io.shutdown();
}

bool TlsStream::quiet() noexcept {
  if (!impl_->socket.is_open()) return false;
  std::byte one{};
  const auto count = impl_->io.read(MutableBytes(&one, 1));
  return !count && count.error() == TlsError::kWantRead;
}

void TlsStream::abort() noexcept {
  boost::system::error_code ignored;
  impl_->socket.close(ignored);
}

bool TlsStream::is_tls() const noexcept { return impl_->context != nullptr; }

std::optional<ClientCertificate> TlsStream::client_certificate() const {
  SSL* ssl = impl_->io.ssl_;
  if (ssl == nullptr || SSL_is_server(ssl) != 1 || SSL_get_verify_result(ssl) != X509_V_OK) return std::nullopt;
  const SslPtr<X509> certificate(SSL_get1_peer_certificate(ssl));
  return client_certificate_of(certificate.get());
}

std::string_view TlsStream::distrust() const noexcept {
  return impl_->io.ssl_ == nullptr ? "" : X509_verify_cert_error_string(SSL_get_verify_result(impl_->io.ssl_));
}

Endpoint TlsStream::remote() const { return impl_->io.remote(); }
void TlsStream::set_remote(const Endpoint& remote) noexcept { impl_->io.remote_ = remote; }

std::optional<std::chrono::microseconds> TlsStream::round_trip() const {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (::getsockopt(impl_->io.fd(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_rtt == 0) return std::nullopt;
  return std::chrono::microseconds(info.tcpi_rtt);
}

TlsSocket TlsStream::release() {
  HIGGS_ASSERT(impl_->socket.is_open() && impl_->ready());
  impl_->timer.cancel();
  impl_->timer_set_to = impl_->expiry = Clock::time_point::max();
  const int fd = impl_->socket.release();
  TlsSocket out = std::move(impl_->io);
  HIGGS_ASSERT(out.fd() == fd);
  return out;
}

}  // namespace higgs::net

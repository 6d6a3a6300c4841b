// One connection of an HttpServer, from the TLS handshake to its end or its upgrade.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "net/http_parser.h"
#include "net/http_server.h"

namespace higgs::net {

struct HttpServerCounters {
  std::atomic<std::uint64_t> accepted{0}, refused{0}, handshake_failures{0}, requests{0}, timeouts{0}, bad_requests{0},
      accept_errors{0}, bad_proxy_headers{0}, refused_handshakes{0}, refused_for_memory{0}, held{0};
};

/// What connections of one server share; read-only but for the counters and the handshakes.
struct HttpServerShared {
  HttpServerShared(HttpHandlers h, const HttpServerLimits& l, TrustedProxies p)
      : handlers(std::move(h)), limits(l), proxies(std::move(p)), handshakes(limits.handshakes) {}

  HttpHandlers handlers;
  HttpServerLimits limits;
  TrustedProxies proxies;
  HttpServerCounters counters;
  std::atomic<bool> draining{false};
  std::atomic<std::uint64_t> tls_generation{0};  ///< how often the server has been given another context
  std::mutex handshakes_mutex;
  HandshakeLimiter handshakes;  // guarded by handshakes_mutex
};

/// All on the stream's executor.
class HttpConnection {
 public:
  /// Whether one more connection of that client is taken; asked when a proxy has said whose this one is.
  using Admit = std::function<bool(const IpAddress& client)>;

  /// `tls_generation`: of the context that the stream was made with.
  HttpConnection(TlsStream stream, std::uint64_t tls_generation, std::shared_ptr<HttpServerShared> shared, Admit admit);

  boost::asio::awaitable<void> run();
  /// Ends a connection that waits for a request; a request that runs is answered first.
  void drain() noexcept;
  /// The server has another context. Ends a connection with a certificate that waits for one more request.
  void check_generation() noexcept;
  void abort() noexcept { stream_.abort(); }

 private:
  enum class Next { kContinue, kClose };

  boost::asio::awaitable<bool> read_proxy_header();
  boost::asio::awaitable<bool> shake_hands();
  boost::asio::awaitable<bool> read_more();
  boost::asio::awaitable<bool> read_request(HttpRequestParser& parser);
  boost::asio::awaitable<Next> serve_one();
  boost::asio::awaitable<HttpResponse> handle(HttpRequest request);
  boost::asio::awaitable<Next> serve_upgrade(HttpRequest request);
  boost::asio::awaitable<bool> write(std::string_view text);
  /// It was verified by what the server does not go by any more.
  bool certificate_is_outdated() const noexcept { return certificate_ && tls_generation_ != shared_->tls_generation; }
  /// Of this connection came nothing that could be understood or let in.
  void blame();
  boost::asio::awaitable<void> hold(std::chrono::milliseconds time);
  boost::asio::awaitable<void> answer_and_linger(const HttpResponse& response);
  std::size_t unread() const noexcept { return buffer_.size() - consumed_; }
  ByteView unread_bytes() const noexcept { return ByteView(buffer_).subspan(consumed_); }

  TlsStream stream_;
  const std::uint64_t tls_generation_;
  std::shared_ptr<HttpServerShared> shared_;
  Admit admit_;
  Endpoint peer_;  // of the socket
  std::optional<ClientCertificate> certificate_;
  Bytes buffer_;              // bytes that came and that no message has taken yet, from consumed_ on
  std::size_t consumed_ = 0;  // front of buffer_ that is done with
  bool first_ = true;
  bool waiting_ = true;                           // for the first byte of a request
  bool taken_ = false;                            // the socket was given away
  boost::asio::steady_timer* holding_ = nullptr;  // of hold()
};

/// A sane id that the caller sent, or a new one.
std::string request_id_for(const HttpRequest& request);

}  // namespace higgs::net

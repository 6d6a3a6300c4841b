// An HTTPS/1.1 server on Asio: keep-alive, limits against slow and silent clients, WebSocket upgrades handed over
// whole.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <variant>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/ip.h"
#include "base/result.h"
#include "net/handshake_limiter.h"
#include "net/http.h"
#include "net/proxies.h"
#include "net/tls_stream.h"
#include "net/websocket_connection.h"

namespace higgs::net {

struct HttpServerLimits {
  std::size_t connections = 20000;  ///< further ones are closed at once
  std::size_t connections_per_address = 4096;
  std::size_t header_bytes = 16 * 1024;  ///< over: 431
  std::size_t body_bytes = 64 * 1024;    ///< over: 413
  std::chrono::milliseconds handshake{5000};
  std::chrono::milliseconds header{
      10000};  ///< from the first byte awaited to the end of the head, and again for the body
  std::chrono::milliseconds idle{75000};   ///< between requests
  std::chrono::milliseconds write{30000};  ///< of an answer, from its first byte to its last
  HandshakeLimits handshakes{};            ///< over: closed
};

/// The answer to an upgrade request: a refusal, or the sub-protocol chosen and who takes the socket after the 101.
struct UpgradeAccept {
  std::string subprotocol;
  std::function<void(UpgradedSocket)> take;  ///< called on the server's executor
};
using UpgradeDecision = std::variant<HttpResponse, UpgradeAccept>;

struct HttpHandlers {
  std::function<boost::asio::awaitable<HttpResponse>(HttpRequest)> request;
  /// For requests with `Upgrade: websocket`, after the RFC 6455 4.2.1 checks. Unset: 426.
  std::function<boost::asio::awaitable<UpgradeDecision>(HttpRequest)> upgrade;
  /// Whether there is memory for one more connection (false: it is closed at once), and for the rest of a request that
  /// comes in parts (false: 503). Asked on any thread. Unset: there is.
  std::function<bool()> has_room_for_connection, has_room_for_request;
};

struct HttpServerStats {
  std::uint64_t accepted = 0, refused = 0, handshake_failures = 0, requests = 0, timeouts = 0, bad_requests = 0;
  std::uint64_t bad_proxy_headers = 0;  ///< connections from proxies without one that can be read; closed
  std::uint64_t accept_errors = 0;      ///< out of descriptors or memory; each costs a pause
  std::uint64_t refused_handshakes = 0, refused_for_memory = 0;
  std::uint64_t held = 0;  ///< answers after which the connection had to wait
  std::size_t open = 0;    ///< not those that were upgraded
};

/// Thread-safe. The executor may run on several threads: each connection keeps to a strand of its own, on which its
/// handlers run. Destroy it before the executor's context, and after stop() or once the context runs no more.
class HttpServer {
 public:
  /// `tls` null: plain HTTP (for the loopback metrics listener). Requests, upgraded sockets and limits for each address
  /// are of the clients that `proxies` name, and their headers come within the time for handshakes.
  HttpServer(boost::asio::any_io_executor executor, std::optional<TlsContext> tls, HttpHandlers handlers,
             HttpServerLimits limits = {}, TrustedProxies proxies = {});
  ~HttpServer();

  /// Binds and starts to accept; port 0 takes a free one. Returns the bound endpoint.
  Result<Endpoint> listen(const Endpoint& where);
  /// Of a server with TLS: the connections that come from now on are served with this, and what stands goes on. But
  /// certificates that clients have shown before count no more: their connections end before the next request, and a
  /// request that is half read by then counts as one without, and is the last.
  void use(const TlsContext& tls);
  /// Stops accepting, closes idle connections, lets running requests end until the deadline, then aborts the rest.
  boost::asio::awaitable<void> stop(std::chrono::milliseconds grace);
  HttpServerStats stats() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace higgs::net

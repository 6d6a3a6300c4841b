// An HTTPS/1.1 client on Asio with one kept connection per origin, deadlines, certificate pinning and, for a VPN's own
// traffic, a firewall mark on every socket it opens.
//
// Threads: all on the executor, which runs one handler at a time (a strand, or a context with one thread). Errors are
// HttpClientError and, from the connection itself, TlsError (kUntrusted, kCertificateRefused, kHandshakeFailed,
// kClosed). A client that is closed or destroyed makes what runs fail with TlsError::kClosed.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/ip.h"
#include "base/result.h"
#include "net/http.h"
#include "net/tls_stream.h"
#include "net/websocket_connection.h"

namespace higgs::net {

enum class HttpClientError {
  kBadUrl = 1,
  kResolve,
  kConnect,   ///< also where TLS does not come about in time: nothing of the request was sent
  kTimedOut,  ///< no whole answer
  kProtocol,
  kTooLarge,
  kUpgradeRefused,  ///< see HttpClient::last_refusal()
};

struct HttpClientOptions {
  TlsTrust trust;
  std::optional<TlsIdentity> identity;  ///< shown to servers that ask; one that cannot be used fails each request
  std::optional<std::uint32_t> mark;    ///< SO_MARK
  std::chrono::milliseconds connect_deadline{5000};
  std::chrono::milliseconds request_deadline{15000};
  std::size_t response_bytes = 4 * 1024 * 1024;
  std::string user_agent = "higgs";
  /// http:// as well, without any proof of who answers; for what is neither secret nor believed.
  bool plain_http = false;
  /// Addresses to use for a host without asking DNS (remembered ones, so that a server is found while DNS is down).
  std::map<std::string, std::vector<IpAddress>> known_hosts;
};

class HttpClient {
 public:
  HttpClient(boost::asio::any_io_executor executor, HttpClientOptions options);
  ~HttpClient();

  /// `url`: https://host[:port]/path?query, wss:// for upgrade(); http:// where options.plain_http is set. Retries once
  /// on a kept connection that had died, for idempotent methods and for requests of which no byte was answered.
  /// Redirects are answers like any other.
  boost::asio::awaitable<Result<HttpResponse>> request(std::string method, std::string url, HttpHeaders headers,
                                                       std::string body);
  boost::asio::awaitable<Result<UpgradedSocket>> upgrade(std::string url, HttpHeaders headers, std::string subprotocol);
  /// For connections from now on; kept ones are closed where it differs.
  void set_trust(const TlsTrust& trust);
  /// The response that refused the last upgrade.
  const std::optional<HttpResponse>& last_refusal() const noexcept;
  /// One more of known_hosts, or others for one of them.
  void know(const std::string& host, std::vector<IpAddress> addresses);
  /// Addresses that names resolved to so far, to be remembered as known_hosts.
  std::map<std::string, std::vector<IpAddress>> resolved() const;
  /// Closes kept connections; running requests fail.
  void close();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace higgs::net

HIGGS_ERROR_ENUM(higgs::net, HttpClientError)

// The servers' API as this client uses it: answers as values, failures as the user shall read them, and tokens that are
// renewed when they run out. Where a deployment has several servers the best one is asked, and another where it fails.
// Two processes of one state directory share the account: a refresh token is spent under a lock, and whoever comes
// second takes what the first one got.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "api/account.h"
#include "api/node.h"
#include "api/problem.h"
#include "api/routing.h"
#include "api/server_choice.h"
#include "base/random.h"
#include "higgsvpn/account.h"
#include "higgsvpn/failure.h"
#include "net/http_client.h"
#include "trace/context.h"

namespace higgs::vpn {

struct NodeFilter {
  std::optional<std::string> country, region;
  std::optional<double> min_bandwidth_mbps, max_latency_ms;
};

/// What an answer that is not a success means to the user.
Failure failure_of(const net::HttpResponse& response);
/// What it means that there is no answer.
Failure failure_of(const ErrorCode& error, const std::string& server);

class ApiClient {
 public:
  /// `mark`: on every socket, so that kill switch and routes let them pass. `identity`: for login_by_certificate().
  ApiClient(const boost::asio::any_io_executor& executor, const StateDirectory& state, Account account,
            std::optional<std::uint32_t> mark, std::optional<net::TlsIdentity> identity = std::nullopt);
  ~ApiClient();

  /// Sets and stores the account's tokens. `code`: a one-time or recovery code; see Failure::wants_code.
  boost::asio::awaitable<Outcome<void>> login(const SecretString& password, const std::optional<SecretString>& code);
  boost::asio::awaitable<Outcome<void>> login_by_certificate(const std::optional<SecretString>& code);
  boost::asio::awaitable<Outcome<void>> logout();
  boost::asio::awaitable<Outcome<std::vector<api::NodeSummary>>> nodes(const NodeFilter& filter);
  boost::asio::awaitable<Outcome<api::RoutingResponse>> request_route(const api::RoutingRequest& request);
  boost::asio::awaitable<Outcome<api::SessionRenewal>> renew_session(const SessionId& session);
  boost::asio::awaitable<Outcome<void>> end_session(const SessionId& session);
  /// The WebSocket of the route's session, at the server that is best now. A refusal has the HTTP status in
  /// `refused_status`.
  boost::asio::awaitable<Outcome<net::UpgradedSocket>> open_relay(const api::SelectedRoute& route,
                                                                  const std::string& token, unsigned& refused_status);
  /// The link of open_relay() has died, or its server asked to leave: the next one is made elsewhere if it can be.
  void relay_lost();
  void relay_drains();
  /// Requests from now on are a part of that trace; nullopt: of none.
  void follow(const std::optional<trace::SpanContext>& context) { trace_ = context; }
  /// How far away the servers are; nothing is done where there is one.
  boost::asio::awaitable<void> measure_servers(std::chrono::milliseconds deadline);
  const Account& account() const noexcept { return account_; }
  bool has_others() const noexcept { return !servers_.alone(); }
  /// The one that is asked at present.
  const std::string& server() const { return servers_.current(); }
  /// Addresses of a host that no resolver is asked for.
  void know(const std::string& host, std::vector<IpAddress> addresses) { http_.know(host, std::move(addresses)); }
  /// Closes kept connections: after the network changed they lead nowhere.
  void close() { http_.close(); }

 private:
  boost::asio::awaitable<Outcome<std::string>> call(std::string method, std::string path, std::string body,
                                                    bool with_token);
  boost::asio::awaitable<Outcome<void>> begin_login(std::string path, std::string body);
  void learn(const std::vector<api::RelayServer>& servers);
  std::string relay_url(const api::SelectedRoute& route) const;
  boost::asio::awaitable<Outcome<std::string>> call_with_token(std::string method, std::string path, std::string body);
  boost::asio::awaitable<Outcome<void>> refresh(const std::string& refused_token);
  boost::asio::awaitable<Outcome<void>> refresh_locked(const std::string& refused_token);

  const StateDirectory& state_;
  Account account_;
  net::HttpClient http_;
  SystemRandom random_;
  api::ServerChoice servers_;
  std::string relay_origin_;  ///< of the last link
  std::optional<trace::SpanContext> trace_;
};

}  // namespace higgs::vpn

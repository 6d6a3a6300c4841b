// The node's standing with its server: challenge, signed registration, heartbeats that renew the tokens, and again from
// the start, with jittered back-off, when any of it fails. Control thread.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "api/node.h"
#include "api/server_choice.h"
#include "base/random.h"
#include "net/http_client.h"
#include "runtime/async_event.h"
#include "runtime/backoff.h"

namespace higgs::node {

/// What the rest of the node is asked, and told.
class ConnectionEvents {
 public:
  virtual ~ConnectionEvents() = default;
  virtual Result<api::RegisterRequest> make_request(std::string nonce) = 0;
  virtual std::string sign(std::string_view origin, std::string_view nonce, std::string_view raw_body) = 0;
  virtual api::HeartbeatRequest make_heartbeat() = 0;
  virtual void on_registered(const api::RegisterResponse& response) = 0;
  virtual void on_relay_token(const std::string& token) = 0;
  virtual void on_observed_address(const IpAddress& address) = 0;
  /// Before on_registered() and from heartbeats: never empty.
  virtual void on_relay_servers(const std::vector<api::RelayServer>& servers) = 0;
  /// Carries out what an operator asks for; the same id may come again.
  virtual api::ActionResult on_action(const api::NodeAction& action) = 0;
};

struct ConnectionStatus {
  bool registered = false;
  bool pending = false;
  std::uint64_t registrations = 0, heartbeats = 0, failures = 0;
  std::string last_error;
};

class ConnectionManager {
 public:
  static constexpr std::size_t kMaxActionResults = 64;

  /// `servers`: any of them takes what this sends; it is told what came of it.
  ConnectionManager(const boost::asio::any_io_executor& executor, net::HttpClient& http, api::ServerChoice& servers,
                    std::chrono::seconds heartbeat_interval, ConnectionEvents& events, RandomSource& random);

  /// Until cancelled.
  boost::asio::awaitable<void> run();
  /// A heartbeat, or the next attempt to register, is made now.
  void hurry() { hurry_.notify(); }
  /// The server does not take our tokens any more.
  void register_again();
  /// Tells the server that this node goes; best effort within the deadline.
  boost::asio::awaitable<void> say_offline(std::chrono::milliseconds deadline);
  /// Between heartbeats, from the next one on; the server learns of it when the node registers again.
  void set_heartbeat_interval(std::chrono::seconds interval) noexcept { interval_ = interval; }
  /// For what else a node may tell its server; empty while there is none.
  std::string session_token() const { return status_.registered ? session_token_ : std::string(); }
  const ConnectionStatus& status() const noexcept { return status_; }

 private:
  enum class Beat { kOk, kUnauthorized, kFailed };

  boost::asio::awaitable<bool> register_once();
  boost::asio::awaitable<void> keep_registered();
  boost::asio::awaitable<Beat> beat(api::HeartbeatRequest request);
  boost::asio::awaitable<void> wait_after_failure();
  void fail(const std::string& origin, const std::string& what, const Result<net::HttpResponse>& response);
  void take_actions(const std::vector<api::NodeAction>& actions);

  net::HttpClient& http_;
  api::ServerChoice& servers_;
  std::chrono::seconds interval_;
  ConnectionEvents& events_;
  RandomSource& random_;
  runtime::AsyncEvent hurry_;
  runtime::Backoff backoff_;
  bool again_ = false;
  bool leaving_ = false;
  std::string node_id_;
  std::string session_token_;
  std::vector<api::ActionResult> action_results_;
  ConnectionStatus status_;
};

}  // namespace higgs::node

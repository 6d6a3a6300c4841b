// The node's link to the relay: upgraded here, driven by the tunnel's thread, and made anew whenever it is lost. Its
// control messages become sessions. Control thread, but for the events, which post.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/random.h"
#include "higgsnode/session_manager.h"
#include "net/http_client.h"
#include "runtime/async_event.h"
#include "runtime/backoff.h"
#include "tunnel/tunnel_driver.h"

namespace higgs::node {

struct RelayLinkStatus {
  bool up = false;
  std::string url;
  std::uint64_t connects = 0, failures = 0, bad_messages = 0;
  std::string last_error;
};

class RelayLink final : private tunnel::RelayLinkEvents {
 public:
  struct Hooks {
    std::function<void()> up;              ///< the link stands
    std::function<void()> not_authorized;  ///< the token is not taken: register again
    /// What the client of a session tells about traversal.
    std::function<void(const Session& session, const relay::PeerMessage& message)> peer_message = {};
  };

  RelayLink(const boost::asio::any_io_executor& executor, net::HttpClient& http, tunnel::TunnelDriver& driver,
            SessionManager& sessions, Hooks hooks, RandomSource& random);
  ~RelayLink() override;

  /// Where and with what to connect; a standing link is left alone.
  void set_access(std::vector<std::string> urls, std::string token);
  void set_token(std::string token);
  /// Leaves a standing link that is not to the first of the servers, and tries that one first.
  void move_to_first();
  /// Until cancelled.
  boost::asio::awaitable<void> run();
  /// To the session's client; lost while no link carries the session.
  void send_to_client(const Session& session, relay::PeerMessage message);
  /// Tells the server that every session ends here.
  void close_sessions();
  /// Gives the link up.
  void detach();

  const RelayLinkStatus& status() const noexcept { return status_; }
  std::optional<tunnel::LinkStatus> link_status() const;

 private:
  void on_control(tunnel::LinkId link, std::string message) override;
  void on_link_closed(tunnel::LinkId link, std::uint16_t code, std::string reason) override;

  boost::asio::awaitable<bool> connect_once();
  void fail(const std::string& why);
  void handle(tunnel::LinkId link, const std::string& message);
  void lost(tunnel::LinkId link, std::uint16_t code, const std::string& reason);

  boost::asio::any_io_executor executor_;
  net::HttpClient& http_;
  tunnel::TunnelDriver& driver_;
  SessionManager& sessions_;
  Hooks hooks_;
  RandomSource& random_;
  runtime::AsyncEvent changed_;
  runtime::Backoff backoff_;
  std::vector<std::string> urls_;
  std::size_t next_url_ = 0;
  std::string token_;
  std::optional<tunnel::LinkId> link_;
  Instant since_{};
  bool wait_first_ = false;
  RelayLinkStatus status_;
  /// What was posted from the tunnel's thread asks whether we are still there.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace higgs::node

// The node's link to the relay: upgraded here, driven by the tunnel's thread, and made anew, at another server where
// there is one, whenever it is lost. A server that asks its peers to leave, or has not answered for a second, is left
// for another before its own link is given up. Control messages become sessions. Control thread, but for the events,
// which post.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "api/server_choice.h"
#include "base/random.h"
#include "higgsnode/session_manager.h"
#include "net/http_client.h"
#include "runtime/async_event.h"
#include "runtime/backoff.h"
#include "trace/tracer.h"
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

  /// `servers`: where a relay may be found; it is told what came of it.
  RelayLink(const boost::asio::any_io_executor& executor, net::HttpClient& http, api::ServerChoice& servers,
            const NodeId& node, tunnel::TunnelDriver& driver, SessionManager& sessions, Hooks hooks,
            RandomSource& random, trace::Tracer& tracer);
  ~RelayLink() override;

  /// With what to connect, from now on; a standing link is left alone.
  void set_token(std::string token);
  /// The list of servers has changed: the link moves where another is clearly better, or its own is not listed.
  void reconsider();
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
  void on_link_doubtful(tunnel::LinkId link) override;

  std::string url_at(const std::string& origin) const;
  boost::asio::awaitable<bool> connect_once();
  void take_over(tunnel::LinkId link, const std::string& origin);
  void fail(const std::string& origin, const std::string& why);
  void handle(tunnel::LinkId link, const std::string& message);
  void open_session(tunnel::LinkId link, const SessionId& session, const relay::SessionOpen& request);
  void lost(tunnel::LinkId link, std::uint16_t code, const std::string& reason);
  void move_away();
  void drop(std::optional<tunnel::LinkId>& link);

  boost::asio::any_io_executor executor_;
  net::HttpClient& http_;
  api::ServerChoice& servers_;
  const NodeId node_;
  tunnel::TunnelDriver& driver_;
  SessionManager& sessions_;
  Hooks hooks_;
  RandomSource& random_;
  trace::Tracer& tracer_;
  runtime::AsyncEvent changed_;
  runtime::Backoff backoff_;
  std::string token_;
  std::optional<tunnel::LinkId> link_;
  std::string origin_;  ///< of link_
  /// The link to a server that drains or does not answer, for a while yet: its sessions come over one by one.
  std::optional<tunnel::LinkId> leaving_;
  Instant leave_at_{};
  bool move_ = false;  ///< a second link is wanted beside the one that stands
  Instant since_{};
  bool wait_first_ = false;
  RelayLinkStatus status_;
  /// What was posted from the tunnel's thread asks whether we are still there.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace higgs::node

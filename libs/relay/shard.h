// All the state of one relay worker, sans-IO: the links of some nodes and of all clients whose sessions those nodes
// serve, and links to other servers for the sessions whose two ends are not on the same one; channels, holding, queues,
// liveness, expiry (proto/relay.md). It is handed time and what came in, and says through ShardOutput what is to be
// sent, closed and told. Simulated in tests/sim, executed by bosonserver/relay.
//
// One thread. ShardOutput may not call back into the shard. What comes from the network never throws or asserts.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "base/uuid.h"
#include "relay/control.h"
#include "relay/frame.h"
#include "relay/queue_context.h"
#include "relay/server_link.h"
#include "relay/session_ticket.h"

namespace higgs::relay {

/// A link of this shard; chosen by the caller, never reused.
using LinkKey = std::uint64_t;

/// Close codes (proto/relay.md; RFC 6455, 7.4.1).
enum class CloseCode : std::uint16_t {
  kNormal = 1000,
  kGoingAway = 1001,
  kMalformed = 1008,
  kTooLarge = 1009,
  kTryAgainLater = 1013,
  kReplaced = 4001,
  kNotAuthorised = 4002,
  kSessionEnded = 4003,
};

struct ShardLimits {
  std::size_t memory_bytes = 256 * 1024 * 1024;
  std::size_t queue_bytes = 1024 * 1024;  ///< of one session in one direction
  std::size_t hold_bytes = 64 * 1024;
  std::chrono::milliseconds hold_age{5000};  ///< WireGuard repeats an unanswered handshake after 5 s (paper, 6.1)
  std::chrono::milliseconds queue_age{1000};
  std::chrono::seconds detach_grace{30};
  std::optional<double> session_rate_mbps;  ///< where the ticket sets none
  std::size_t server_links = 1024;          ///< both directions
  std::size_t link_sessions = 20000;        ///< of another server's clients on one link
};

/// Traffic of one session; written by the shard's thread, read by any.
struct SessionTraffic {
  std::atomic<std::uint64_t> up_bytes{0}, down_bytes{0}, up_packets{0}, down_packets{0};
};

struct ShardStats {
  std::size_t node_links = 0, client_links = 0, server_links = 0;
  std::size_t sessions = 0, ready_sessions = 0, queued_bytes = 0;
  std::size_t cascaded_sessions = 0;  ///< with a channel on a link between servers, either way
  std::uint64_t messages = 0, packets = 0, bytes = 0;
  std::uint64_t malformed = 0, unresponsive = 0, replaced = 0, control_messages = 0;
  std::uint64_t ignored_control = 0;       ///< foreign, stale, unknown, or for a link that was full
  std::uint64_t moved_sessions = 0;        ///< whose client has come back over another server
  std::uint64_t refused_server_links = 0;  ///< over ShardLimits::server_links
  std::uint64_t refused_cascades = 0;      ///< session-opens of other servers
  DropCounters drops;
  DelayStats delay;
};

/// What the shard wants done and known.
class ShardOutput {
 public:
  virtual ~ShardOutput() = default;
  /// False while the link's own buffer is full; Shard::on_writable() follows.
  virtual bool can_send(LinkKey link) = 0;
  /// What one session may send in its turn on this link (FairQueue).
  virtual std::size_t quantum(LinkKey link) = 0;
  virtual void send_binary(LinkKey link, std::span<const ByteView> parts) = 0;
  virtual void send_text(LinkKey link, std::string_view text) = 0;
  virtual void send_ping(LinkKey link) = 0;
  /// The shard knows the link no more; nothing of it may be handed in again.
  virtual void close(LinkKey link, CloseCode code, std::string_view reason) = 0;

  // Of sessions whose client is linked here; those of another server's clients are told there.
  virtual void session_opened(const SessionTicket& ticket, std::int64_t iat,
                              std::shared_ptr<const SessionTraffic> traffic) = 0;
  /// The session stands on with a link of a newer token.
  virtual void session_iat(SessionId session, std::int64_t iat) = 0;
  virtual void session_ready(SessionId session, NodeId node) = 0;
  virtual void session_refused(SessionId session, NodeId node, RefusalReason reason) = 0;
  virtual void session_ended(SessionId session, NodeId node, CloseReason reason, const SessionTraffic& traffic) = 0;
  /// A peer's message was passed on, unread. For who wants to know.
  virtual void peer_message(SessionId /*session*/, Direction /*direction*/, const PeerMessage& /*message*/) {}
  virtual void node_up(NodeId node, std::int64_t iat) = 0;
  virtual void node_down(NodeId node) = 0;

  /// Sessions wait for a node that is linked nowhere that is known: Shard::set_node_server() is awaited. Asked again
  /// after a while, less and less often, until they are served.
  virtual void node_wanted(NodeId node) = 0;
  /// Sessions wait for a link to that worker of that server. Answered by Shard::add_server_link() or
  /// server_link_failed(), and not asked again before.
  virtual void server_link_wanted(ServerId server, unsigned worker) = 0;
  virtual void server_link_up(const ServerLink& link) = 0;
  virtual void server_link_down(const ServerLink& link) = 0;
};

class Shard {
 public:
  /// `output` must outlive the shard.
  Shard(ShardLimits limits, ShardOutput& output);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  /// A link whose token was checked. One of the same id that stands is replaced, or this one closed if its token is
  /// older.
  void add_node_link(Now now, LinkKey link, NodeId node, std::int64_t iat);
  void add_client_link(Now now, LinkKey link, const SessionTicket& ticket, std::int64_t iat);
  /// A link to or from another server, which has authenticated itself.
  void add_server_link(Now now, LinkKey link, const ServerLink& server);
  /// No link to that worker could be had.
  void server_link_failed(Now now, ServerId server, unsigned worker);
  /// Where a node is linked, other than here; nullopt: nowhere, as far as is known. Also unasked. Nodes that no session
  /// is for are ignored.
  void set_node_server(Now now, NodeId node, const std::optional<ServerRef>& server);
  /// A link ended by itself. Unknown links are ignored, here and below.
  void on_closed(Now now, LinkKey link);
  /// A message; its channel may be rewritten in place.
  void on_binary(Now now, LinkKey link, MutableBytes message);
  void on_text(Now now, LinkKey link, std::string_view text);
  /// A pong, or any other sign of life without content.
  void on_alive(Now now, LinkKey link);
  void on_writable(Now now, LinkKey link);

  void close_session(SessionId session, CloseReason reason);
  void close_node(Now now, NodeId node, CloseReason reason);
  void renew_session(Now now, SessionId session, WallTime expires_at);
  /// Tells every link; at the deadline those that stand are closed with 1001.
  void drain(Now now, std::chrono::seconds deadline, const std::vector<std::string>& servers);
  /// Closes every link with 1001 and ends every session.
  void shut_down(Now now);

  std::optional<Instant> poll_timeout() const;
  void handle_timeout(Now now);

  /// The session stands, and its client is linked here, or was within the grace time.
  bool serves(SessionId session) const;
  ShardStats stats() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::relay

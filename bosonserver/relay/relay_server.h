// The relay: links of nodes and clients on worker threads, each worker owning a node's link and all links of its
// sessions, so that a batch never crosses threads; links to other servers join one worker of each. Wire format and life
// of a session: proto/relay.md.
//
// Threads: every member function from any thread. Tokens are checked by the caller before a link is handed over.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "base/uuid.h"
#include "bosonserver/relay/relay_events.h"
#include "net/websocket_connection.h"
#include "relay/queue_context.h"
#include "relay/server_link.h"
#include "relay/session_ticket.h"

namespace higgs::boson {

struct RelayOptions {
  unsigned workers = 0;          ///< 0: one for each core
  std::size_t sessions = 20000;  ///< standing ones, with or without a link at the moment
  std::size_t nodes = 10000;
  std::size_t memory_bytes = 512 * 1024 * 1024;  ///< queued packets of all workers
  std::size_t queue_bytes = 1024 * 1024;         ///< queued for one session in one direction
  std::size_t hold_bytes = 64 * 1024;            ///< held for a session whose node is not ready
  std::chrono::seconds detach_grace{30};         ///< a session lives on this long without a client's link
  std::optional<double> session_rate_mbps;       ///< where the ticket sets none
  std::size_t server_links = 1024;               ///< of one worker, both directions
  std::size_t link_sessions = 20000;             ///< of another server's clients on one link
  std::chrono::seconds retry_after{10};          ///< for refusals with 503
};

/// The answer to an upgrade request, before the socket is handed over.
enum class Admission {
  kAccept,
  kOlderToken,  ///< 409: a link with a newer token stands
  kFull,        ///< 503 with Retry-After: a limit is reached, and the id is not one that stands already
  kDraining,    ///< 503 with Retry-After
  kNoWorker,    ///< 404: no such worker; what the other server knows of this one is old
};

/// A link between two servers, and the worker of ours that it is for.
struct ServerLinkGrant {
  relay::ServerLink link;
  unsigned own_worker = 0;
};

struct RelayStats {
  std::size_t node_links = 0, client_links = 0;
  std::size_t sessions = 0;                            ///< standing, with those in their grace time
  std::size_t ready_sessions = 0;                      ///< served by their node
  std::uint64_t messages = 0, packets = 0, bytes = 0;  ///< forwarded, both ways
  relay::DropCounters drops;
  relay::DelayStats delay;  ///< since start
  std::size_t queued_bytes = 0;
  std::uint64_t malformed = 0;     ///< links closed with 1008 or 1009
  std::uint64_t unresponsive = 0;  ///< links given up by liveness
  std::uint64_t replaced = 0;      ///< links closed because the same id connected again
  std::uint64_t control_messages = 0, ignored_control = 0;
  std::size_t server_links = 0;
  std::size_t cascaded_sessions = 0;       ///< over a link between servers, either way
  std::uint64_t moved_sessions = 0;        ///< whose client has come back over another server
  std::uint64_t refused_server_links = 0;  ///< over the limit
  std::uint64_t refused_cascades = 0;      ///< sessions of other servers
};

class RelayServer {
 public:
  /// Starts the workers. `events` must outlive the server.
  RelayServer(RelayOptions options, RelayEvents& events);
  /// Closes every link with 1001 and joins the workers; on_session_ended is called for what stands.
  ~RelayServer();
  RelayServer(const RelayServer&) = delete;
  RelayServer& operator=(const RelayServer&) = delete;

  /// For the HTTP upgrade decision: the same rules are applied again when the link is taken, since another may have
  /// come in between (the loser's link is then closed).
  Admission admit_node(NodeId node, std::int64_t token_iat) const;
  Admission admit_client(SessionId session, std::int64_t token_iat) const;
  /// Also while draining: clients that have left may need a node that has not.
  Admission admit_server(const ServerLinkGrant& grant) const;
  std::chrono::seconds retry_after() const noexcept;
  /// `iat` (Unix seconds) of the token of the standing link or session.
  std::optional<std::int64_t> standing_iat(NodeId node) const;
  std::optional<std::int64_t> standing_iat(SessionId session) const;

  void take_node_link(NodeId node, std::int64_t token_iat, net::UpgradedSocket socket);
  void take_client_link(relay::SessionTicket ticket, std::int64_t token_iat, net::UpgradedSocket socket);
  /// An outgoing one is the client's end of its WebSocket.
  void take_server_link(const ServerLinkGrant& grant, net::UpgradedSocket socket);
  /// The answer to RelayEvents::on_server_link_wanted() where no link could be had; asked again after a while.
  void server_link_failed(ServerId server, unsigned own_worker, unsigned peer_worker);
  /// Where a node is linked, other than here; nullopt: nowhere, as far as is known. In answer to
  /// RelayEvents::on_node_wanted(), or whenever it is learnt. Nodes that no session is for are ignored.
  void set_node_server(NodeId node, const std::optional<relay::ServerRef>& server);
  /// How many workers there are: other servers must know, to choose the one of a node.
  unsigned workers() const noexcept;

  /// Ends a session on both sides now. Unknown ids are ignored.
  void close_session(SessionId session, relay::CloseReason reason);
  /// Closes the node's link (4002) and ends all its sessions.
  void close_node(NodeId node, relay::CloseReason reason);
  void renew_session(SessionId session, WallTime expires_at);

  /// Admits nobody new, tells every link to move to one of `servers` (URLs), and closes with 1001 what is left when
  /// the deadline is over. Returns at once; links() becomes 0 at the latest a moment after the deadline.
  void drain(std::chrono::seconds deadline, std::vector<std::string> servers);
  bool draining() const noexcept;
  /// Taken and not closed yet, from the moment of take_*_link on.
  std::size_t links() const noexcept;

  RelayStats stats() const;
  /// Of a standing session.
  std::optional<SessionBytes> session_bytes(SessionId session) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::boson

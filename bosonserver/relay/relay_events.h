// What the relay tells the control plane. Called on worker threads: an implementation posts to its own and returns.
// Sessions are told of by the server where their client is linked, not by the one where their node is.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/ip.h"
#include "base/uuid.h"
#include "relay/control.h"
#include "relay/server_link.h"

namespace higgs::boson {

/// Bytes of relay messages: up from the client, down towards it.
struct SessionBytes {
  std::uint64_t up_bytes = 0, down_bytes = 0;
  std::uint64_t up_packets = 0, down_packets = 0;
};

class RelayEvents {
 public:
  virtual ~RelayEvents() = default;
  /// The first link of a session came up (not called again for a reconnect within the grace time).
  virtual void on_session_opened(SessionId session, NodeId node) = 0;
  /// The node serves it; again after each reconnect of either end.
  virtual void on_session_ready(SessionId session, NodeId node) = 0;
  /// The node refused it; on_session_ended follows with kRefused.
  virtual void on_session_refused(SessionId session, NodeId node, relay::RefusalReason reason) = 0;
  /// Last call for a session, once for each on_session_opened. kClientGone means that no link of the client came back
  /// in time, or that this relay itself ends: the session may open again with a later connection. kMoved: it goes on,
  /// with its client at another server.
  virtual void on_session_ended(SessionId session, NodeId node, relay::CloseReason reason, SessionBytes bytes) = 0;
  /// The node of a session has told the client of an address of its own.
  virtual void on_candidate(SessionId session, const IpAddress& address) = 0;
  /// The client of a session has chosen a path: direct-v6, direct-v4, turn or relay.
  virtual void on_path_changed(SessionId session, std::string_view path) = 0;
  /// Again without on_node_down when a new link replaces the standing one.
  virtual void on_node_up(NodeId node) = 0;
  virtual void on_node_down(NodeId node) = 0;

  // Of a server that is not alone.
  /// Sessions wait for a node that is not linked here: RelayServer::set_node_server() is awaited. Again after 0.5 s,
  /// 1 s, … 8 s while they wait.
  virtual void on_node_wanted(NodeId /*node*/) {}
  /// Sessions of one of our workers wait for a link to a worker of that server. RelayServer::take_server_link() or
  /// server_link_failed() is awaited, and this not called again before.
  virtual void on_server_link_wanted(ServerId /*server*/, unsigned /*own_worker*/, unsigned /*peer_worker*/) {}
  virtual void on_server_link_up(const relay::ServerLink& /*link*/) {}
  virtual void on_server_link_down(const relay::ServerLink& /*link*/) {}
};

}  // namespace higgs::boson

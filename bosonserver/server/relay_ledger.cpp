#include "bosonserver/server/relay_ledger.h"

#include "net/tracing.h"
#include "runtime/log.h"

namespace higgs::boson {

namespace log = runtime::log;

void RelayLedger::on_session_opened(SessionId session, NodeId node) {
  statistics_.opened(session, services_.clock().monotonic);
  log::debug("a session opened", {{"session", to_string(session)}, {"node", to_string(node)}});
  // Where another server admitted it, or this one before a restart.
  if (turn_.enabled() && !turn_.sessions()->stands(session) && !meter_.is_over_quota(session))
    post_([this, session] { restore_turn(session); });
}

void RelayLedger::restore_turn(SessionId id) {
  const auto row = services_.store.session(id);
  if (!row || row->ended_at) return;
  const auto node = services_.store.node(row->node);
  if (!node) return;
  turn_.sessions()->open(id, node->addresses(), row->expires_at);
  // It may have ended in between.
  const auto again = services_.store.session(id);
  if (!again || again->ended_at) turn_.close_session(id);
}

void RelayLedger::on_session_ready(SessionId session, NodeId node) {
  const log::Scope scope(net::trace_fields(traces_.session_ready(session)));
  log::info("a session is ready", {{"session", to_string(session)}, {"node", to_string(node)}});
}

void RelayLedger::on_session_refused(SessionId session, NodeId node, relay::RefusalReason reason) {
  const log::Scope scope(net::trace_fields(traces_.session_refused(session, reason)));
  log::info("a node refused a session",
            {{"session", to_string(session)}, {"node", to_string(node)}, {"reason", relay::to_string(reason)}});
}

void RelayLedger::on_session_ended(SessionId session, NodeId node, relay::CloseReason reason, SessionBytes bytes) {
  statistics_.ended(session);
  traces_.session_ended(session);
  meter_.left(session, bytes.up_bytes + bytes.down_bytes);
  log::info("a session left the relay", {{"session", to_string(session)},
                                         {"node", to_string(node)},
                                         {"reason", relay::to_string(reason)},
                                         {"up_bytes", bytes.up_bytes},
                                         {"down_bytes", bytes.down_bytes}});
  using enum relay::CloseReason;
  // A client that is gone may still have its path over TURN, and comes back; one that moved goes on with it.
  if (reason != kClientGone && reason != kNodeGone && reason != kMoved) turn_.close_session(session);
  // Only a refusal ends the session for good: otherwise its client may come back, also after a restart of ours.
  const auto refused_at = reason == kRefused ? std::optional(unix_seconds(services_.clock().wall)) : std::nullopt;
  endings_.add(session, bytes, refused_at);
  post_([this] { write_endings(); });
}

void RelayLedger::write_endings() { (void)endings_.write(); }

void RelayLedger::on_candidate(SessionId session, const IpAddress& address) {
  if (turn_.enabled()) turn_.sessions()->add_candidate(session, address);
}

void RelayLedger::on_path_changed(SessionId session, std::string_view path) {
  statistics_.changed(session, path, services_.clock().monotonic);
  {
    const std::lock_guard lock(mutex_);
    if (!paths_.insert_or_assign(session, std::string(path)).second) return;
  }
  log::info("a session changed its path", {{"session", to_string(session)}, {"path", path}});
  post_([this, session] { write_path(session); });
}

void RelayLedger::write_path(SessionId session) {
  std::string path;
  {
    const std::lock_guard lock(mutex_);
    const auto found = paths_.extract(session);
    if (!found) return;
    path = found.mapped();
  }
  (void)services_.store.set_session_path(session, path);
}

void RelayLedger::on_node_up(NodeId node) {
  log::info("a node's relay link is up", {{"node", to_string(node)}});
  nodes_.node_up(node);
  post_([this, node] { node_moved(services_, node); });
}

void RelayLedger::on_node_down(NodeId node) {
  log::info("a node's relay link is down", {{"node", to_string(node)}});
  nodes_.node_down(node);
  post_([this, node] { node_moved(services_, node); });
}

void RelayLedger::on_node_wanted(NodeId node) { nodes_.node_wanted(node); }

void RelayLedger::on_server_link_wanted(ServerId server, unsigned own_worker, unsigned peer_worker) {
  nodes_.server_link_wanted(server, own_worker, peer_worker);
}

void RelayLedger::on_server_link_up(const relay::ServerLink& link) {
  log::info("a link to another server is up", {{"server", to_string(link.peer)}, {"worker", link.peer_worker}});
}

void RelayLedger::on_server_link_down(const relay::ServerLink& link) {
  log::info("a link to another server is down", {{"server", to_string(link.peer)}, {"worker", link.peer_worker}});
}

}  // namespace higgs::boson

#include "bosonserver/server/relay_ledger.h"

#include "runtime/log.h"

namespace higgs::boson {

namespace log = runtime::log;

void RelayLedger::on_session_opened(SessionId session, NodeId node) {
  log::debug("a session opened", {{"session", to_string(session)}, {"node", to_string(node)}});
}

void RelayLedger::on_session_ready(SessionId session, NodeId node) {
  log::info("a session is ready", {{"session", to_string(session)}, {"node", to_string(node)}});
}

void RelayLedger::on_session_refused(SessionId session, NodeId node, relay::RefusalReason reason) {
  log::info("a node refused a session",
            {{"session", to_string(session)}, {"node", to_string(node)}, {"reason", relay::to_string(reason)}});
}

void RelayLedger::on_session_ended(SessionId session, NodeId node, relay::CloseReason reason, SessionBytes bytes) {
  log::info("a session left the relay", {{"session", to_string(session)},
                                         {"node", to_string(node)},
                                         {"reason", relay::to_string(reason)},
                                         {"up_bytes", bytes.up_bytes},
                                         {"down_bytes", bytes.down_bytes}});
  post_([this, session, reason, bytes] {
    auto& store = services_.store;
    if (!store.add_session_bytes(session, bytes.up_bytes, bytes.down_bytes))
      log::warn("the bytes of a session are lost", {{"session", to_string(session)}});
    // Only a refusal ends the session for good: otherwise its client may come back, also after a restart of ours.
    if (reason == relay::CloseReason::kRefused)
      (void)store.end_session(session, "refused", unix_seconds(services_.clock().wall));
  });
}

void RelayLedger::on_node_up(NodeId node) {
  log::info("a node's relay link is up", {{"node", to_string(node)}});
  post_([this, node] { node_changed(services_, node); });
}

void RelayLedger::on_node_down(NodeId node) {
  log::info("a node's relay link is down", {{"node", to_string(node)}});
  post_([this, node] { node_changed(services_, node); });
}

}  // namespace higgs::boson

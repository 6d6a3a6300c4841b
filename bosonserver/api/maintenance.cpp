#include "bosonserver/api/maintenance.h"

#include "bosonserver/domain/liveness.h"
#include "runtime/log.h"

namespace higgs::boson {

namespace log = runtime::log;

void Maintenance::run() {
  const auto now = services_.clock();
  try {
    end_expired(now);
    notice_silence(now);
    if (purged_ == Instant{} || now.monotonic - purged_ >= kPurgeInterval) {
      purged_ = now.monotonic;
      purge(now);
    }
  } catch (const std::exception& error) {
    ++stats_.failures;
    log::error("maintenance failed", {{"error", error.what()}});
  }
}

void Maintenance::end_expired(Now now) {
  const auto ended = services_.store.end_expired_sessions(unix_seconds(now.wall));
  if (!ended) {
    ++stats_.failures;
    return;
  }
  for (const auto& session : *ended) {
    session_over(services_, session, relay::CloseReason::kExpired);
    log::info("a session expired", {{"session", to_string(session)}});
  }
  stats_.expired_sessions += ended->size();
}

void Maintenance::notice_silence(Now now) {
  const auto nodes = services_.directory.nodes(now.monotonic);
  if (!nodes) {
    ++stats_.failures;
    return;
  }
  for (const auto& node : **nodes) {
    const bool link_up = is_linked(services_, node);
    const auto status = current_status(node, link_up, unix_seconds(now.wall));
    if (status != api::NodeStatus::kOffline || node.status == api::NodeStatus::kOffline) continue;
    // The snapshot may be older than a heartbeat that has just come.
    const auto fresh = services_.store.node(node.id);
    if (!fresh || current_status(*fresh, link_up, unix_seconds(now.wall)) != api::NodeStatus::kOffline) continue;
    if (!services_.store.set_node_status(node.id, api::NodeStatus::kOffline)) continue;
    node_changed(services_, node.id);
    ++stats_.offline_nodes;
    log::info("a node fell silent", {{"node", to_string(node.id)}, {"last_seen", node.last_seen}});
  }
}

void Maintenance::purge(Now now) {
  const auto gone = services_.store.purge(services_.settings.retention, unix_seconds(now.wall));
  if (!gone) {
    ++stats_.failures;
    return;
  }
  if (*gone > 0) services_.directory.forget();
  stats_.purged_rows += *gone;
  if (!services_.keys.refresh(now.wall)) ++stats_.failures;
}

}  // namespace higgs::boson

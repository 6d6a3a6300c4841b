#include "bosonserver/api/maintenance.h"

#include "bosonserver/domain/liveness.h"
#include "runtime/log.h"

namespace higgs::boson {

namespace log = runtime::log;

void Maintenance::run() {
  const auto now = services_.clock();
  try {
    if (is_settled(now)) {
      end_expired(now);
      notice_silence(now);
    }
    // So that no request waits until all nodes are read, at the start and after a gap in the events.
    (void)services_.directory.nodes(now);
    if (purged_ == Instant{} || now.monotonic - purged_ >= kPurgeInterval) {
      purged_ = now.monotonic;
      purge(now);
    }
  } catch (const std::exception& error) {
    ++stats_.failures;
    log::error("maintenance failed", {{"error", error.what()}});
  }
}

bool Maintenance::is_settled(Now now) {
  if (!services_.store.ping()) {
    ++stats_.failures;
    settled_at_ = now.monotonic + kStoreSettling;
    return false;
  }
  services_.grace.answered(now);
  if (settled_at_ && now.monotonic < *settled_at_) return false;
  settled_at_.reset();
  return true;
}

void Maintenance::end_expired(Now now) {
  std::size_t page = kMaxPage;
  while (page == kMaxPage) {
    const auto ended = services_.store.end_expired_sessions(unix_seconds(now.wall));
    if (!ended) {
      ++stats_.failures;
      return;
    }
    for (const auto& session : *ended) {
      session_over(services_, session, relay::CloseReason::kExpired);
      log::info("a session expired", {{"session", to_string(session)}});
    }
    page = ended->size();
    stats_.expired_sessions += page;
  }
}

void Maintenance::notice_silence(Now now) {
  const auto time = unix_seconds(now.wall);
  (void)services_.heartbeats.flush(now.monotonic);
  // A page of those that may be: the longest silent are judged first, the others five seconds later.
  const auto silent = services_.store.silent_nodes(time - kHeartbeatGrace, kMissedHeartbeatsWithoutLink, kMaxPage);
  if (!silent) {
    ++stats_.failures;
    return;
  }
  for (const auto& node : *silent) {
    const bool link_up = is_linked(services_, node);
    if (current_status(node, link_up, time) != api::NodeStatus::kOffline) continue;
    const auto offline = services_.store.set_node_offline(node.id, node.last_seen);
    if (!offline || !*offline) continue;
    node_moved(services_, node.id);
    ++stats_.offline_nodes;
    log::info("a node fell silent", {{"node", to_string(node.id)}, {"last_seen", node.last_seen}});
  }
}

void Maintenance::purge(Now now) {
  std::size_t rows = 0;
  for (unsigned round = 0; round < kMaxPurgeRounds; ++round) {
    const auto gone = services_.store.purge(services_.settings.retention, unix_seconds(now.wall));
    if (!gone) {
      ++stats_.failures;
      break;
    }
    rows += *gone;
    if (*gone < kPurgeBatch) break;
  }
  stats_.purged_rows += rows;
  if (!services_.keys.refresh(now.wall)) ++stats_.failures;
}

}  // namespace higgs::boson

#include "bosonserver/domain/liveness.h"

namespace higgs::boson {

std::int64_t allowed_silence(const NodeRecord& node, bool relay_link_up) {
  const auto missed = relay_link_up ? kMissedHeartbeats : kMissedHeartbeatsWithoutLink;
  return missed * static_cast<std::int64_t>(node.heartbeat_interval) + kHeartbeatGrace;
}

api::NodeStatus current_status(const NodeRecord& node, bool relay_link_up, std::int64_t now) {
  const auto shown = node.shown_status();
  const bool present = shown == api::NodeStatus::kOnline || shown == api::NodeStatus::kDegraded;
  if (present && now - node.last_seen > allowed_silence(node, relay_link_up)) return api::NodeStatus::kOffline;
  return shown;
}

}  // namespace higgs::boson

// Whether a node is there, judged by its heartbeats and its relay link.
#pragma once

#include <cstdint>

#include "bosonserver/store/records.h"

namespace higgs::boson {

inline constexpr std::int64_t kMissedHeartbeats = 3;
/// With the relay link gone, one missed heartbeat is enough: nothing could reach the node anyway.
inline constexpr std::int64_t kMissedHeartbeatsWithoutLink = 1;
/// A heartbeat may be this late before it counts as missed.
inline constexpr std::int64_t kHeartbeatGrace = 5;

/// Seconds of silence after which the node counts as offline.
std::int64_t allowed_silence(const NodeRecord& node, bool relay_link_up);
/// The status to show and to route by.
api::NodeStatus current_status(const NodeRecord& node, bool relay_link_up, std::int64_t now);

}  // namespace higgs::boson

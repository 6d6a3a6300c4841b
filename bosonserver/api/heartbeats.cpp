#include "bosonserver/api/heartbeats.h"

#include <algorithm>
#include <set>
#include <utility>

namespace higgs::boson {

Result<HeartbeatOutcome> Heartbeats::record(const HeartbeatRecord& heartbeat, bool alone, Instant now) {
  {
    const std::lock_guard lock(mutex_);
    const auto known = known_.find(heartbeat.node);
    const bool usual = !alone && known != known_.end() && known->second.status == heartbeat.status &&
                       now - known->second.asked < kHeartbeatMemory;
    const bool writing = !waiting_.empty() || !in_flight_.empty();
    if (usual && (!writing || now - taken_since_ < kHeartbeatTrust)) {
      if (!writing) taken_since_ = now;
      waiting_[heartbeat.node] = heartbeat;
      ++stats_.from_memory;
      return known->second.outcome;
    }
  }
  const std::lock_guard turn(turn_of(heartbeat.node));
  Waiting superseded;
  {
    const std::lock_guard lock(mutex_);
    // The newer one in place of that in flight.
    for (auto* const from : {&waiting_, &in_flight_}) superseded.insert(from->extract(heartbeat.node));
  }
  auto recorded = record_alone(heartbeat, now);
  if (!recorded && recorded.error() == StoreError::kUnavailable) {
    const std::lock_guard lock(mutex_);
    waiting_.merge(superseded);
  }
  return recorded;
}

Result<HeartbeatOutcome> Heartbeats::record_alone(const HeartbeatRecord& heartbeat, Instant now) {
  std::uint64_t epoch = 0;
  {
    const std::lock_guard lock(mutex_);
    known_.erase(heartbeat.node);
    epoch = epoch_of(heartbeat.node);
    ++stats_.alone;
  }
  const auto recorded =
      store_.record_heartbeat(heartbeat.node, heartbeat.status, heartbeat.metrics, heartbeat.address, heartbeat.time);
  if (!recorded) return recorded;
  if (recorded->status_changed) changed_(heartbeat.node);
  const std::lock_guard lock(mutex_);
  const bool usual = recorded->admission != NodeAdmission::kBanned && !recorded->actions_wait;
  // What was told meanwhile may be newer than the answer.
  if (!usual || epoch != epoch_of(heartbeat.node)) return recorded;
  if (known_.size() >= kMaxNodes) known_.clear();
  known_[heartbeat.node] = {heartbeat.status, *recorded, now};
  return recorded;
}

void Heartbeats::keep(const HeartbeatRecord& heartbeat) {
  const std::lock_guard lock(mutex_);
  if (waiting_.size() < kMaxNodes) waiting_.insert_or_assign(heartbeat.node, heartbeat);
}

void Heartbeats::forget(NodeId node) {
  const std::lock_guard lock(mutex_);
  known_.erase(node);
  ++epoch_of(node);
}

bool Heartbeats::flush(Instant now) {
  const std::lock_guard flushing(flushing_);
  std::vector<HeartbeatRecord> all;
  Instant since;
  {
    const std::lock_guard lock(mutex_);
    in_flight_.swap(waiting_);
    since = taken_since_;
    for (const auto& [node, heartbeat] : in_flight_) all.push_back(heartbeat);
  }
  // Servers that write the same nodes at once do it in the same order, and so do not wait for each other for ever.
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.node < b.node; });
  bool written = true;
  for (std::size_t from = 0; written && from < all.size(); from += kHeartbeatBatch) {
    const auto to = std::min(all.size(), from + kHeartbeatBatch);
    written =
        write({all.begin() + static_cast<std::ptrdiff_t>(from), all.begin() + static_cast<std::ptrdiff_t>(to)}, now);
  }
  const std::lock_guard lock(mutex_);
  taken_since_ = written ? now : since;
  for (const auto& [node, heartbeat] : in_flight_) waiting_.try_emplace(node, heartbeat);
  in_flight_.clear();
  return written;
}

bool Heartbeats::write(const std::vector<HeartbeatRecord>& batch, Instant now) {
  const auto recorded = store_.record_heartbeats(batch);
  if (!recorded) return false;
  for (const auto& node : recorded->moved) changed_(node);
  const std::set<NodeId> done(recorded->settled.begin(), recorded->settled.end());
  std::vector<NodeId> others;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& heartbeat : batch) {
      if (done.contains(heartbeat.node))
        in_flight_.erase(heartbeat.node);
      else
        others.push_back(heartbeat.node);
    }
  }
  return std::all_of(others.begin(), others.end(), [&](NodeId node) { return settle(node, now); });
}

/// It is banned in the store, something newer stands there, or an action waits for it.
bool Heartbeats::settle(NodeId node, Instant now) {
  const std::lock_guard turn(turn_of(node));
  HeartbeatRecord heartbeat;
  {
    const std::lock_guard lock(mutex_);
    const auto found = in_flight_.find(node);
    if (found == in_flight_.end()) return true;
    heartbeat = found->second;
  }
  const auto recorded = record_alone(heartbeat, now);
  if (!recorded && recorded.error() == StoreError::kUnavailable) return false;
  const std::lock_guard lock(mutex_);
  in_flight_.erase(node);
  return true;
}

HeartbeatsStats Heartbeats::stats() const {
  const std::lock_guard lock(mutex_);
  auto stats = stats_;
  stats.waiting = waiting_.size() + in_flight_.size();
  return stats;
}

}  // namespace higgs::boson

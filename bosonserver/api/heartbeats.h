// Takes heartbeats and writes them to the store, many at a time: a heartbeat that says what the node said before is
// answered from memory, and its time and metrics are in the store within kHeartbeatFlush. All else is in the store
// before its answer: a first heartbeat, one with another status, and whatever the node has to be told.
//
// Memory knows a node from its first heartbeat here until the store tells that something of it has changed
// (StoreEvents), and for kHeartbeatMemory at most; the next write finds out, too, where an event was late or lost.
// Who was taken for silent meanwhile is as well known as before: the next write makes all such nodes online together.
// While the store takes nothing, heartbeats are taken on trust for kHeartbeatTrust, and then go to the store again,
// which says that it is away.
//
// Thread-safe. record() and flush() may call the store.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "bosonserver/store/store.h"

namespace higgs::boson {

inline constexpr std::chrono::milliseconds kHeartbeatFlush{250};
inline constexpr std::chrono::seconds kHeartbeatTrust{10};
inline constexpr std::chrono::minutes kHeartbeatMemory{10};

struct HeartbeatsStats {
  std::uint64_t from_memory = 0;  ///< heartbeats that were answered so
  std::uint64_t alone = 0;        ///< that cost a call of the store of their own
  std::size_t waiting = 0;        ///< to be written
};

class Heartbeats {
 public:
  /// `changed`: a node's status is another than it was.
  Heartbeats(Store& store, std::function<void(NodeId)> changed) : store_(store), changed_(std::move(changed)) {}

  /// `alone`: it carries more than a status, so that the answer depends on what stands in the store.
  Result<HeartbeatOutcome> record(const HeartbeatRecord& heartbeat, bool alone, Instant now);
  /// What was answered though the store is away, to be written when it is back.
  void keep(const HeartbeatRecord& heartbeat);
  /// The next heartbeat of this node goes to the store.
  void forget(NodeId node);
  /// Writes what waits. To be called every kHeartbeatFlush, before nodes are judged by their silence, and at the end.
  /// False: the store did not take all of it; the rest waits.
  bool flush(Instant now);
  HeartbeatsStats stats() const;

 private:
  using Waiting = std::unordered_map<NodeId, HeartbeatRecord>;
  /// What the answer depends on, of a node that is not banned and for whom no action waits.
  struct Known {
    api::NodeStatus status = api::NodeStatus::kOnline;
    HeartbeatOutcome outcome;
    Instant asked;  ///< when the store said so
  };

  Result<HeartbeatOutcome> record_alone(const HeartbeatRecord& heartbeat, Instant now);
  bool write(const std::vector<HeartbeatRecord>& batch, Instant now);
  bool settle(NodeId node, Instant now);
  std::uint64_t& epoch_of(NodeId node) { return epochs_[std::hash<NodeId>{}(node) % epochs_.size()]; }
  std::mutex& turn_of(NodeId node) { return turns_[std::hash<NodeId>{}(node) % turns_.size()]; }

  Store& store_;
  const std::function<void(NodeId)> changed_;
  std::mutex flushing_;
  /// Held while a node is looked at alone, so that an older heartbeat never overtakes a newer one.
  std::array<std::mutex, 64> turns_;
  mutable std::mutex mutex_;
  std::unordered_map<NodeId, Known> known_;   // guarded by mutex_
  Waiting waiting_;                           // guarded by mutex_
  Waiting in_flight_;                         // guarded by mutex_; being written, and superseded by nothing yet
  Instant taken_since_{};                     // guarded by mutex_; since when something waits
  std::array<std::uint64_t, 4096> epochs_{};  // guarded by mutex_; a node's changes with forget()
  HeartbeatsStats stats_;                     // guarded by mutex_
};

}  // namespace higgs::boson

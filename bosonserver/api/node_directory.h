// All nodes in memory, for lists and routes, which look at every one. The store is read whole at first and after a gap
// in its events, then only what it says has changed. What heartbeats change (metrics, address, time) comes from those
// that are answered here, and, where there are other servers, is read every kPulseInterval while somebody asks. Pages
// and heartbeats may come from a read replica; what an event names is read where it was written.
//
// Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "base/time.h"
#include "bosonserver/api/cluster_view.h"
#include "bosonserver/store/store.h"

namespace higgs::boson {

/// For so long a reader is shown what it was shown before, but for what was forgotten since.
inline constexpr std::chrono::seconds kDirectoryAge{1};
inline constexpr std::chrono::seconds kPulseInterval{2};
/// For so long it may be shown what was shown before while another reads the store.
inline constexpr std::chrono::seconds kDirectoryPatience{10};

class NodeDirectory {
 public:
  using Node = std::shared_ptr<const NodeRecord>;
  using Snapshot = std::shared_ptr<const std::vector<Node>>;

  NodeDirectory(Store& store, const ClusterView& cluster) : store_(store), cluster_(cluster) {}
  /// In the order of ids. May call the store.
  Result<Snapshot> nodes(Now now);
  /// nullptr where it is not in the snapshot.
  static const NodeRecord* find(const std::vector<Node>& nodes, NodeId id);
  /// The next reader sees of this node what was written before this call, unless another reader is at it already.
  void forget(NodeId node);
  /// Of all nodes.
  void forget();
  /// A heartbeat that was answered here.
  void heard(const HeartbeatRecord& heartbeat);

 private:
  using Nodes = std::map<NodeId, Node>;

  Result<void> refresh(Now now);
  Result<Nodes> read_all();
  Result<void> read_pulses(Now now);
  void apply(const HeartbeatRecord& heartbeat);
  static void carry_over(const Nodes& before, NodeRecord& node);

  Store& store_;
  const ClusterView& cluster_;
  std::mutex reading_;             // held while the store is asked: one at a time
  std::int64_t pulses_until_ = 0;  // guarded by reading_; of the newest that was read, Unix seconds
  Instant pulses_read_{};          // guarded by reading_
  std::mutex mutex_;
  Nodes nodes_;               // guarded by mutex_
  std::set<NodeId> changed_;  // guarded by mutex_; to be read again
  bool all_changed_ = true;   // guarded by mutex_
  bool loaded_ = false;       // guarded by mutex_
  Snapshot snapshot_;         // guarded by mutex_
  Instant taken_{};           // guarded by mutex_
};

}  // namespace higgs::boson

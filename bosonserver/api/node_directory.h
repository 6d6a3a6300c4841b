// All nodes, read from the store at most once a second: lists and routes look at every node, and a heartbeat changes
// one.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "base/time.h"
#include "bosonserver/store/store.h"

namespace higgs::boson {

inline constexpr std::chrono::seconds kDirectoryAge{1};

class NodeDirectory {
 public:
  using Snapshot = std::shared_ptr<const std::vector<NodeRecord>>;

  explicit NodeDirectory(Store& store) : store_(store) {}
  /// In the order of ids. May call the store.
  Result<Snapshot> nodes(Instant now);
  /// The next reader sees what was written before this call.
  void forget();

 private:
  Store& store_;
  std::mutex mutex_;
  Snapshot snapshot_;        // guarded by mutex_
  Instant taken_{};          // guarded by mutex_
  std::uint64_t epoch_ = 0;  // guarded by mutex_; changes with forget()
};

}  // namespace higgs::boson

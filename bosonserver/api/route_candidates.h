// Nodes as a ranking looks at them: what a ranking needs of each and does not depend on who asks, put together once
// for many requests. Where there are many nodes that is at most once a second; where there are few, whenever the
// directory shows something else.
//
// Thread-safe. May call the store.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "bosonserver/api/node_directory.h"
#include "bosonserver/domain/route_scoring.h"

namespace higgs::boson {

struct Services;

/// For so long the candidates are good, and from so many on also if the directory shows something else meanwhile.
inline constexpr std::chrono::seconds kCandidatesAge{1};
inline constexpr std::size_t kManyCandidates = 1000;

class RouteCandidates {
 public:
  using List = std::shared_ptr<const std::vector<RouteCandidate>>;

  /// While another request puts them together, those of before, if they are not older than kDirectoryPatience.
  Result<List> get(const Services& services, Now now);

 private:
  struct Made {
    NodeDirectory::Snapshot from;
    List list;
    Instant when{};
  };

  Made made() const;

  std::mutex making_;  // held while they are put together, never while the store is asked
  mutable std::mutex mutex_;
  Made made_;  // guarded by mutex_
};

}  // namespace higgs::boson

// How a store fares, for /metrics.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/latency_buckets.h"

namespace higgs::boson {

/// Of a read replica.
struct ReplicaStats {
  bool up = false;                                        ///< it is read
  std::optional<std::chrono::duration<double>> age = {};  ///< what it has is not older; where that was ever known
  std::uint64_t reads = 0;                                ///< that it answered
  std::uint64_t passed_reads = 0;                         ///< of the same kind, that the primary had to answer
};

struct StoreStats {
  std::size_t connections = 0;               ///< that are open; SQLite has one
  std::uint64_t failed_calls = 0;            ///< answered kUnavailable
  std::uint64_t retries = 0;                 ///< of transactions that met another
  std::uint64_t lost_connections = 0;        ///< dropped because they broke, or no answer came in time
  std::uint64_t event_gaps = 0;              ///< resyncs that subscribers were told of
  LatencyBuckets calls{};                    ///< how long each took, with waiting for a connection
  std::optional<ReplicaStats> replica = {};  ///< where there is one
};

}  // namespace higgs::boson

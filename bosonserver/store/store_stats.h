// How a store fares, for /metrics.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/latency_buckets.h"

namespace higgs::boson {

struct StoreStats {
  std::size_t connections = 0;         ///< that are open; SQLite has one
  std::uint64_t failed_calls = 0;      ///< answered kUnavailable
  std::uint64_t retries = 0;           ///< of transactions that met another
  std::uint64_t lost_connections = 0;  ///< dropped because they broke, or no answer came in time
  std::uint64_t event_gaps = 0;        ///< resyncs that subscribers were told of
  LatencyBuckets calls{};              ///< how long each took, with waiting for a connection
};

}  // namespace higgs::boson

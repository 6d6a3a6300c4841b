// What Prometheus is told (text exposition format 0.0.4). Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/latency_buckets.h"

namespace higgs::boson {

/// A value read at the moment of a scrape.
struct Sample {
  std::string name;
  std::string help;
  double value = 0;
  bool counter = false;  ///< only grows
  std::string label, label_value;
  std::optional<LatencyBuckets> latency = {};  ///< instead of the value: a histogram of seconds
};

class ServerMetrics {
 public:
  ServerMetrics();
  ~ServerMetrics();

  /// `endpoint`: the path template, never the path itself, of which there is no end.
  void count_request(std::string_view method, std::string_view endpoint, unsigned status,
                     std::chrono::nanoseconds duration);
  /// Of sessions; `from` and `to` are of PathStatistics::kLabels.
  void count_path_changes(std::string_view from, std::string_view to, std::uint64_t changes);
  /// From the beginning of a session to its first direct path.
  void observe_time_to_direct(std::chrono::nanoseconds duration);
  /// How long a request waited for a thread of that pool.
  void observe_pool_wait(std::string_view pool, std::chrono::nanoseconds duration);
  std::string text(const std::vector<Sample>& samples) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::boson

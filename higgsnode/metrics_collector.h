// How busy this host and the tunnel are, from /proc and the device. Reading is separate from reckoning, which is pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "api/node.h"
#include "base/time.h"

namespace higgs::node {

/// proc(5), /proc/stat: time of all processors, in ticks.
struct CpuTimes {
  std::uint64_t busy = 0, total = 0;
};
std::optional<CpuTimes> parse_cpu_times(std::string_view proc_stat);
/// proc(5), /proc/meminfo: what is not available, as a percentage.
std::optional<double> parse_memory_usage(std::string_view proc_meminfo);

/// Bytes through the tunnel so far, as clients see them: up is what left this line for them.
struct TunnelTraffic {
  std::uint64_t sent_bytes = 0, received_bytes = 0;
};

class MetricsCollector {
 public:
  /// Usage and bandwidth since the last call. `round_trip` and `loss`: of the relay link, if it stands.
  api::HeartbeatMetrics collect(Instant now, const TunnelTraffic& traffic, std::uint32_t sessions,
                                std::optional<std::chrono::microseconds> round_trip);

  /// The pure half of collect().
  api::HeartbeatMetrics reckon(Instant now, std::optional<CpuTimes> cpu, std::optional<double> memory,
                               const TunnelTraffic& traffic, std::uint32_t sessions,
                               std::optional<std::chrono::microseconds> round_trip);

 private:
  std::optional<CpuTimes> last_cpu_;
  std::optional<Instant> last_time_;
  TunnelTraffic last_traffic_;
  std::optional<double> latency_ms_;
  double jitter_ms_ = 0;
  double cpu_usage_ = 0;
};

}  // namespace higgs::node

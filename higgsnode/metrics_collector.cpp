#include "higgsnode/metrics_collector.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "runtime/files.h"

namespace higgs::node {
namespace {

/// The next number of a line, which is taken off it.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  const auto start = text.find_first_of("0123456789\n");
  if (start == text.npos || text[start] == '\n') return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data() + start, text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

std::optional<std::uint64_t> field(std::string_view text, std::string_view name) {
  const auto at = text.find(name);
  if (at == text.npos) return std::nullopt;
  auto rest = text.substr(at + name.size());
  return take_number(rest);
}

double megabits_a_second(std::uint64_t now, std::uint64_t before, std::chrono::duration<double> elapsed) {
  // A peer that went takes its bytes with it: the sum may shrink.
  if (now < before || elapsed.count() <= 0) return 0;
  return static_cast<double>(now - before) * 8 / 1e6 / elapsed.count();
}

}  // namespace

std::optional<CpuTimes> parse_cpu_times(std::string_view proc_stat) {
  if (!proc_stat.starts_with("cpu ")) return std::nullopt;
  // user nice system idle iowait irq softirq steal; guest times are in user already.
  std::array<std::uint64_t, 8> values{};
  auto rest = proc_stat.substr(0, proc_stat.find('\n'));
  std::size_t count = 0;
  while (count < values.size()) {
    const auto value = take_number(rest);
    if (!value) break;
    values[count++] = *value;
  }
  if (count < 4) return std::nullopt;
  CpuTimes times;
  for (const auto value : values) times.total += value;
  times.busy = times.total - values[3] - values[4];
  return times;
}

std::optional<double> parse_memory_usage(std::string_view proc_meminfo) {
  const auto total = field(proc_meminfo, "MemTotal:");
  const auto available = field(proc_meminfo, "MemAvailable:");
  if (!total || !available || *total == 0 || *available > *total) return std::nullopt;
  return 100.0 * static_cast<double>(*total - *available) / static_cast<double>(*total);
}

api::HeartbeatMetrics MetricsCollector::reckon(Instant now, std::optional<CpuTimes> cpu, std::optional<double> memory,
                                               const TunnelTraffic& traffic, std::uint32_t sessions,
                                               std::optional<std::chrono::microseconds> round_trip) {
  api::HeartbeatMetrics metrics;
  if (cpu && last_cpu_ && cpu->total > last_cpu_->total && cpu->busy >= last_cpu_->busy) {
    cpu_usage_ =
        100.0 * static_cast<double>(cpu->busy - last_cpu_->busy) / static_cast<double>(cpu->total - last_cpu_->total);
  }
  if (cpu) last_cpu_ = cpu;
  metrics.cpu_usage = std::clamp(cpu_usage_, 0.0, 100.0);
  metrics.memory_usage = std::clamp(memory.value_or(0), 0.0, 100.0);
  if (last_time_) {
    const std::chrono::duration<double> elapsed = now - *last_time_;
    metrics.bandwidth.up = megabits_a_second(traffic.sent_bytes, last_traffic_.sent_bytes, elapsed);
    metrics.bandwidth.down = megabits_a_second(traffic.received_bytes, last_traffic_.received_bytes, elapsed);
  }
  last_time_ = now;
  last_traffic_ = traffic;
  if (round_trip) {
    const double sample = static_cast<double>(round_trip->count()) / 1000.0;
    // RFC 3550, 6.4.1: a sixteenth of each new difference.
    if (latency_ms_) jitter_ms_ += (std::abs(sample - *latency_ms_) - jitter_ms_) / 16;
    latency_ms_ = sample;
  }
  metrics.latency = latency_ms_.value_or(0);
  metrics.jitter = jitter_ms_;
  metrics.active_connections = sessions;
  return metrics;
}

api::HeartbeatMetrics MetricsCollector::collect(Instant now, const TunnelTraffic& traffic, std::uint32_t sessions,
                                                std::optional<std::chrono::microseconds> round_trip) {
  const auto stat = runtime::read_file("/proc/stat");
  const auto meminfo = runtime::read_file("/proc/meminfo");
  return reckon(now, stat ? parse_cpu_times(*stat) : std::nullopt,
                meminfo ? parse_memory_usage(*meminfo) : std::nullopt, traffic, sessions, round_trip);
}

}  // namespace higgs::node

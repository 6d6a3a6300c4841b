// How well the tunnel does: throughput, round trip and jitter from samples taken about once a second. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "base/time.h"

namespace higgs::vpn {

struct QualitySample {
  std::uint64_t sent_bytes = 0, received_bytes = 0;  ///< since the tunnel came up; never fall, or a new count began
  std::optional<std::chrono::microseconds> round_trip;
};

class Quality {
 public:
  void add(Instant now, const QualitySample& sample);

  std::uint64_t sent_bytes() const noexcept { return sent_before_ + last_.sent_bytes; }
  std::uint64_t received_bytes() const noexcept { return received_before_ + last_.received_bytes; }
  double sent_mbps() const noexcept { return sent_mbps_; }
  double received_mbps() const noexcept { return received_mbps_; }
  /// Smoothed as RFC 6298 does: 1/8 of each new sample.
  std::optional<double> round_trip_ms() const noexcept { return round_trip_ms_; }
  /// Mean deviation, RFC 6298: 1/4 of each new one.
  double jitter_ms() const noexcept { return jitter_ms_; }

 private:
  QualitySample last_;
  std::optional<Instant> last_at_;
  std::uint64_t sent_before_ = 0, received_before_ = 0;
  double sent_mbps_ = 0, received_mbps_ = 0, jitter_ms_ = 0;
  std::optional<double> round_trip_ms_;
};

}  // namespace higgs::vpn

#include "higgsvpn/quality.h"

#include <cmath>

namespace higgs::vpn {
namespace {

// Half of what is shown is at most one sample old: steady enough to read, quick enough to follow.
constexpr double kThroughputWeight = 0.5;

}  // namespace

void Quality::add(Instant now, const QualitySample& sample) {
  if (sample.sent_bytes < last_.sent_bytes || sample.received_bytes < last_.received_bytes) {
    sent_before_ += last_.sent_bytes;
    received_before_ += last_.received_bytes;
    last_ = {};
  }
  if (last_at_ && now > *last_at_) {
    const double micros = std::chrono::duration<double, std::micro>(now - *last_at_).count();
    const auto rate = [&](std::uint64_t bytes, std::uint64_t before) {
      return static_cast<double>(bytes - before) * 8 / micros;
    };
    sent_mbps_ += kThroughputWeight * (rate(sample.sent_bytes, last_.sent_bytes) - sent_mbps_);
    received_mbps_ += kThroughputWeight * (rate(sample.received_bytes, last_.received_bytes) - received_mbps_);
  }
  if (sample.round_trip) {
    const double ms = std::chrono::duration<double, std::milli>(*sample.round_trip).count();
    if (!round_trip_ms_) {
      round_trip_ms_ = ms;
      jitter_ms_ = ms / 2;
    } else {
      jitter_ms_ += (std::abs(*round_trip_ms_ - ms) - jitter_ms_) / 4;
      *round_trip_ms_ += (ms - *round_trip_ms_) / 8;
    }
  }
  last_ = sample;
  last_at_ = now;
}

}  // namespace higgs::vpn

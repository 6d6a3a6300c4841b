// Time as values. Protocols are handed both readings; only the clock in higgs::runtime takes them.
#pragma once

#include <chrono>
#include <cstdint>

namespace higgs {

/// A reading of the monotonic clock (CLOCK_MONOTONIC): for time-outs and ages. Never compared across machines.
using Instant = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;
/// A reading of the wall clock, UTC: for what other machines see (tokens, certificates, TAI64N). It may jump.
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>;

struct Now {
  Instant monotonic;
  WallTime wall;
};

inline std::int64_t unix_seconds(WallTime time) noexcept {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}
inline WallTime from_unix_seconds(std::int64_t seconds) noexcept { return WallTime(std::chrono::seconds(seconds)); }

}  // namespace higgs

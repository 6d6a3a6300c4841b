// TAI64N timestamps of handshake initiations: 8 bytes of seconds since 1970 TAI plus 2^62, then 4 of nanoseconds, both
// big-endian, so that comparing the bytes compares the times (paper, section 5.1).
#pragma once

#include <compare>

#include "base/bytes.h"
#include "base/time.h"

namespace higgs::wireguard {

struct Tai64n {
  ByteArray<12> bytes{};

  /// Rounded down to kTimestampGranularityNanoseconds.
  static Tai64n from(WallTime time) noexcept;
  /// The next later value of that granularity, for a clock that stands still or went back.
  Tai64n next() const noexcept;

  friend bool operator==(const Tai64n&, const Tai64n&) = default;
  friend std::strong_ordering operator<=>(const Tai64n& a, const Tai64n& b) noexcept { return a.bytes <=> b.bytes; }
};

}  // namespace higgs::wireguard

// The time over which what a user sends over the relay is added up: a calendar month, UTC.
#pragma once

#include <cstdint>

namespace higgs::boson {

/// What JSON's numbers hold exactly.
inline constexpr std::uint64_t kLargestQuotaBytes = 9'007'199'254'740'991;

struct QuotaPeriod {
  std::int64_t number = 0;   ///< year × 100 + month: 202611
  std::int64_t ends_at = 0;  ///< Unix seconds
};

QuotaPeriod quota_period_at(std::int64_t seconds);

}  // namespace higgs::boson

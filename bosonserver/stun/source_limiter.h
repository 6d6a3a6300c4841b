// How many answers a source may have: a token bucket for each IPv4 address or IPv6 /64, in a bounded table.
#pragma once

#include <cstddef>
#include <unordered_map>

#include "base/ip.h"
#include "base/time.h"
#include "base/token_bucket.h"

namespace higgs::boson {

struct SourceLimits {
  double per_second = 20;
  double burst = 40;
  std::size_t sources = 65536;
};

class SourceLimiter {
 public:
  explicit SourceLimiter(SourceLimits limits) : limits_(limits) {}
  /// Whether this source may have one more answer now. While the table is full, new sources share one bucket.
  bool allow(Instant now, const IpAddress& source);
  std::size_t tracked() const noexcept { return buckets_.size(); }

 private:
  void forget_idle(Instant now);

  SourceLimits limits_;
  std::unordered_map<IpAddress, TokenBucket> buckets_;
  std::optional<TokenBucket> overflow_;
  Instant swept_{};
};

}  // namespace higgs::boson

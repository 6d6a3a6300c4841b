// A token bucket on a clock that is handed in.
#pragma once

#include <algorithm>
#include <chrono>

#include "base/time.h"

namespace higgs {

class TokenBucket {
 public:
  /// Full at first.
  TokenBucket(Instant now, double per_second, double burst) noexcept
      : per_second_(per_second), burst_(burst), tokens_(burst), filled_(now) {}

  double available(Instant now) noexcept {
    if (now > filled_) {
      tokens_ = std::min(burst_, tokens_ + std::chrono::duration<double>(now - filled_).count() * per_second_);
      filled_ = now;
    }
    return tokens_;
  }
  bool take(Instant now, double count) noexcept {
    if (available(now) < count) return false;
    tokens_ -= count;
    return true;
  }
  /// Extra credit, which may exceed the burst until the next refill.
  void add(double count) noexcept { tokens_ += count; }
  double per_second() const noexcept { return per_second_; }

 private:
  double per_second_, burst_, tokens_;
  Instant filled_;
};

}  // namespace higgs

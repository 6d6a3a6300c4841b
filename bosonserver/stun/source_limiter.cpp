#include "bosonserver/stun/source_limiter.h"

namespace higgs::boson {

namespace {
constexpr std::chrono::seconds kForgetInterval{1};
constexpr unsigned kV6PrefixBits = 64;  ///< what one host is given at least

IpAddress key_of(const IpAddress& source) {
  const IpAddress plain = source.unmapped();
  return plain.is_v4() ? plain : IpPrefix::make(plain, kV6PrefixBits)->address();
}
}  // namespace

bool SourceLimiter::allow(Instant now, const IpAddress& source) {
  const IpAddress key = key_of(source);
  auto found = buckets_.find(key);
  if (found == buckets_.end()) {
    if (buckets_.size() >= limits_.sources && now - swept_ >= kForgetInterval) forget_idle(now);
    const TokenBucket fresh(now, limits_.per_second, limits_.burst);
    if (buckets_.size() >= limits_.sources) {
      if (!overflow_) overflow_ = fresh;
      return overflow_->take(now, 1);
    }
    found = buckets_.emplace(key, fresh).first;
  }
  return found->second.take(now, 1);
}

/// A full bucket is as good as none.
void SourceLimiter::forget_idle(Instant now) {
  swept_ = now;
  for (auto it = buckets_.begin(); it != buckets_.end();)
    it = it->second.available(now) >= limits_.burst ? buckets_.erase(it) : std::next(it);
}

}  // namespace higgs::boson

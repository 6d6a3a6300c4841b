#include "wireguard/rate_limiter.h"

#include <algorithm>

#include "wireguard/constants.h"

namespace higgs::wireguard {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

// Credit is time: a message costs what one at the allowed rate would have to wait.
constexpr nanoseconds kCost = nanoseconds(seconds(1)) / kHandshakesPerSecondPerSource;
constexpr nanoseconds kMaxCredit = kCost * kHandshakeBurstPerSource;

}  // namespace

bool RateLimiter::allow(Instant now, const PeerAddress& from) {
  const Source source = source_of(from);
  auto found = buckets_.find(source);
  if (found == buckets_.end()) {
    if (buckets_.size() >= max_sources_) forget_idle(now);
    if (buckets_.size() >= max_sources_) return false;
    found = buckets_.emplace(source, Bucket{kMaxCredit, now}).first;
  }
  Bucket& bucket = found->second;
  bucket.credit = std::min(kMaxCredit, bucket.credit + (now - bucket.last));
  bucket.last = now;
  if (bucket.credit < kCost) return false;
  bucket.credit -= kCost;
  return true;
}

// A bucket that has filled up again says no more than none. One sweep a second: a flood from many sources must not
// make each message walk the whole table.
void RateLimiter::forget_idle(Instant now) {
  if (now - last_sweep_ < seconds(1)) return;
  last_sweep_ = now;
  std::erase_if(buckets_,
                [&](const auto& entry) { return entry.second.credit + (now - entry.second.last) >= kMaxCredit; });
}

RateLimiter::Source RateLimiter::source_of(const PeerAddress& from) noexcept {
  if (from.path != 0) return {2, from.path};
  const ByteView bytes = from.endpoint.address.bytes();
  if (from.endpoint.address.is_v4()) return {0, load_be<std::uint32_t>(bytes.data())};
  return {1, load_be<std::uint64_t>(bytes.data())};
}

std::size_t RateLimiter::SourceHash::operator()(const Source& source) const noexcept {
  std::uint64_t x = source.value + source.kind * 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace higgs::wireguard

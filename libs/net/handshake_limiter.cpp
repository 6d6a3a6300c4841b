#include "net/handshake_limiter.h"

#include <algorithm>

namespace higgs::net {
namespace {

constexpr std::chrono::seconds kSweepInterval{1};
constexpr unsigned kV6PrefixBits = 64;

}  // namespace

IpAddress counted_address(const IpAddress& address) {
  const IpAddress plain = address.unmapped();
  return plain.is_v4() ? plain : IpPrefix::make(plain, kV6PrefixBits)->address();
}

HandshakeLimiter::Entry* HandshakeLimiter::entry_of(Instant now, const IpAddress& key) {
  if (const auto found = entries_.find(key); found != entries_.end()) return &found->second;
  if (entries_.size() >= limits_.addresses && now - swept_ >= kSweepInterval) forget_idle(now);
  if (entries_.size() >= limits_.addresses) return nullptr;
  return &entries_.emplace(key, Entry{TokenBucket(now, limits_.per_second, limits_.burst), 0}).first->second;
}

bool HandshakeLimiter::begin(Instant now, const IpAddress& address) {
  Entry* entry = entry_of(now, counted_address(address));
  if (entry == nullptr) {
    if (!others_) others_.emplace(now, limits_.per_second, limits_.burst);
    return others_->take(now, 1);
  }
  if (entry->under_way >= limits_.at_a_time || !entry->bucket.take(now, 1)) return false;
  ++entry->under_way;
  return true;
}

bool HandshakeLimiter::has_room(Instant now, const IpAddress& address) {
  const auto found = entries_.find(counted_address(address));
  if (found == entries_.end()) return true;
  return found->second.under_way < limits_.at_a_time && found->second.bucket.available(now) >= 1;
}

void HandshakeLimiter::blame(Instant now, const IpAddress& address) {
  if (Entry* entry = entry_of(now, counted_address(address))) {
    const double credit = entry->bucket.available(now) + limits_.burst;
    entry->bucket.add(-std::clamp(limits_.fault, 0.0, std::max(credit, 0.0)));
  }
}

void HandshakeLimiter::end(const IpAddress& address) noexcept {
  const auto found = entries_.find(counted_address(address));
  if (found != entries_.end() && found->second.under_way > 0) --found->second.under_way;
}

/// A full bucket of which nothing is under way is as good as none.
void HandshakeLimiter::forget_idle(Instant now) {
  swept_ = now;
  for (auto it = entries_.begin(); it != entries_.end();) {
    auto& [bucket, under_way] = it->second;
    it = under_way == 0 && bucket.available(now) >= limits_.burst ? entries_.erase(it) : std::next(it);
  }
}

}  // namespace higgs::net

#include "stun/transaction.h"

#include <algorithm>

namespace higgs::stun {

namespace {
constexpr unsigned kMaxDoublings = 16;
}

TransactionTimer::Step TransactionTimer::step(Instant now) noexcept {
  if (now < next_) return Step::kWait;
  if (sent_ >= policy_.rc) return Step::kGiveUp;
  // 0, RTO, 3·RTO, 7·RTO, …: each wait is twice the one before (RFC 8489, 6.2.1).
  const unsigned doublings = sent_;
  ++sent_;
  last_sent_ = now;
  next_ =
      now + (sent_ == policy_.rc ? policy_.rto * policy_.rm : policy_.rto * (1L << std::min(doublings, kMaxDoublings)));
  return Step::kSend;
}

}  // namespace higgs::stun

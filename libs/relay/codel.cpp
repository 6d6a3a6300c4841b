#include "relay/codel.h"

#include <cmath>

namespace higgs::relay {

// The names and the order are those of the pseudocode in RFC 8289, section 5.

bool CoDel::ok_to_drop(Instant now, const BatchQueue& queue) noexcept {
  if (queue.empty() || now - queue.head_time() < kTarget || queue.bytes() <= kFloorBytes) {
    first_above_.reset();
    return false;
  }
  if (!first_above_) {
    first_above_ = now + kInterval;
    return false;
  }
  return now >= *first_above_;
}

Instant CoDel::next_drop(Instant from) const noexcept {
  const auto interval = std::chrono::duration<double>(kInterval) / std::sqrt(static_cast<double>(count_));
  return from + std::chrono::duration_cast<std::chrono::nanoseconds>(interval);
}

std::size_t CoDel::control(Instant now, BatchQueue& queue) {
  std::size_t dropped = 0;
  bool ok = ok_to_drop(now, queue);
  if (dropping_) {
    if (!ok) dropping_ = false;
    while (dropping_ && now >= drop_next_) {
      dropped += queue.drop_head_packet(DropReason::kCoDel);
      ++count_;
      ok = ok_to_drop(now, queue);
      if (ok)
        drop_next_ = next_drop(drop_next_);
      else
        dropping_ = false;
    }
  } else if (ok) {
    dropped += queue.drop_head_packet(DropReason::kCoDel);
    ok_to_drop(now, queue);
    dropping_ = true;
    // A return to dropping soon after the last time starts from the rate that was found then.
    const std::uint32_t delta = count_ - last_count_;
    count_ = delta > 1 && now - drop_next_ < 16 * kInterval ? delta : 1;
    drop_next_ = next_drop(now);
    last_count_ = count_;
  }
  return dropped;
}

}  // namespace higgs::relay

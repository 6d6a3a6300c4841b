#include "runtime/backoff.h"

#include <algorithm>

namespace higgs::runtime {

std::chrono::milliseconds Backoff::next(Instant now, RandomSource& random) {
  if (attempts_ == 0) {
    since_ = now;
    step_ = policy_.first;
  } else {
    step_ = step_ * policy_.factor;
  }
  const auto cap = now - since_ < policy_.early ? std::min(policy_.early_cap, policy_.cap) : policy_.cap;
  step_ = std::min<std::chrono::duration<double, std::milli>>(step_, cap);
  if (attempts_ < 1'000'000) ++attempts_;
  const auto whole = std::max<std::int64_t>(1, static_cast<std::int64_t>(step_.count()));
  const auto half = whole / 2;
  const auto jitter = random.below(static_cast<std::uint64_t>(whole - half + 1));
  return std::chrono::milliseconds(half + static_cast<std::int64_t>(jitter));
}

void Backoff::reset() noexcept { attempts_ = 0; }

}  // namespace higgs::runtime

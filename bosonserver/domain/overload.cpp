#include "bosonserver/domain/overload.h"

#include <algorithm>

namespace higgs::boson {

std::string_view to_string(Work work) noexcept {
  constexpr std::array<std::string_view, kRefusableWork + 1> kNames{"anonymous", "list", "route", "renewal", "always"};
  return kNames[static_cast<std::size_t>(work)];
}

std::size_t OverloadGuard::level_of(const Load& load, double part) const {
  const auto lag = std::chrono::duration<double>(load.loop_lag);
  std::size_t level = 0;
  for (std::size_t i = 0; i < kRefusableWork; ++i) {
    const bool over = lag >= std::chrono::duration<double>(policy_.loop_lag[i]) * part ||
                      load.queue >= policy_.queue[i] * part || load.memory >= policy_.memory[i] * part;
    if (over) level = i + 1;
  }
  return level;
}

std::chrono::nanoseconds OverloadGuard::loop_lag() const noexcept {
  return *std::min_element(lags_.begin(), lags_.end());
}

void OverloadGuard::measure(Instant now, const Load& measured) {
  lags_[next_lag_++ % kLags] = measured.loop_lag;
  Load load = measured;
  load.loop_lag = loop_lag();
  if (const auto wanted = level_of(load, 1); wanted >= level_) {
    level_ = wanted;
    calm_since_.reset();
    return;
  }
  if (level_of(load, policy_.release) >= level_) {
    calm_since_.reset();
    return;
  }
  if (!calm_since_) calm_since_ = now;
  if (now - *calm_since_ < policy_.hold) return;
  --level_;
  calm_since_ = now;
}

}  // namespace higgs::boson

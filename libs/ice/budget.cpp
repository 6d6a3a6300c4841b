#include "ice/budget.h"

#include <algorithm>

#include "base/assert.h"

namespace higgs::ice {

namespace {

using namespace std::chrono_literals;

// Of our choosing.
constexpr unsigned kForProven = 2;            // destinations of an attempt
constexpr unsigned kForOthers = 1;            // of those: for others than peer-reflexive ones
constexpr unsigned kAttempts = 4;             // in a row
constexpr std::chrono::seconds kAttempt{10};  // and one each

}  // namespace

Budget::Budget(Instant now, unsigned packets_per_second, unsigned destinations)
    : packets_per_second_(packets_per_second), destinations_(destinations), attempts_full_(now) {
  HIGGS_ASSERT(packets_per_second > 0);
}

Instant Budget::next_probe() const noexcept {
  return sent_.size() < packets_per_second_ ? Instant::min() : sent_.front() + 1s;
}

Instant Budget::next_check() const noexcept {
  if (sent_.empty()) return Instant::min();
  return std::max(next_probe(), sent_.back() + std::chrono::nanoseconds(1s) / packets_per_second_);
}

void Budget::spend(Instant now) {
  if (sent_.size() == packets_per_second_) sent_.pop_front();
  sent_.push_back(now);
}

bool Budget::admit(const Endpoint& destination, bool proven, bool learned) {
  if (taken_.contains(destination)) return true;
  const unsigned kept = !proven ? kForProven : learned ? kForOthers : 0;
  const unsigned limit = destinations_ <= kForProven ? destinations_ : destinations_ - kept;
  if (taken_.size() >= limit) return false;
  taken_.insert(destination);
  return true;
}

void Budget::begin_attempt(Instant now, std::span<const Endpoint> in_use) {
  attempts_full_ = std::max(attempts_full_, now);
  postponed_ = attempts_full_ + kAttempt > now + kAttempts * kAttempt;
  if (postponed_) return;
  attempts_full_ += kAttempt;
  taken_.clear();
  for (const auto& endpoint : in_use)
    if (taken_.size() < destinations_) taken_.insert(endpoint);
}

std::optional<Instant> Budget::renewal() const noexcept {
  if (!postponed_) return std::nullopt;
  return attempts_full_ - (kAttempts - 1) * kAttempt;
}

}  // namespace higgs::ice

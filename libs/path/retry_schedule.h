// When to ask for a direct path again: soon after it was lost, then with doubling waits up to a cap, and at once when
// the network changed.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/time.h"
#include "path/path_manager.h"

namespace higgs::path {

class RetrySchedule {
 public:
  explicit RetrySchedule(const Limits& limits) noexcept : limits_(&limits), wait_(limits.retry_first) {}

  std::optional<Instant> due() const noexcept { return due_; }
  /// The first attempt has begun elsewhere; should nobody say how it ended, ask after this long.
  void first_attempt(Instant now) noexcept {
    if (!due_) due_ = now + kFirstAttempt;
  }
  /// A direct path is in use.
  void direct(Instant now) noexcept {
    direct_since_ = now;
    due_.reset();
  }
  /// No longer. One that had held begins the waits anew; one that flaps does not.
  void lost(Instant now) noexcept {
    if (direct_since_ && now - *direct_since_ >= kHeld) wait_ = limits_->retry_first;
    direct_since_.reset();
    wait(now);
  }
  void failed(Instant now) noexcept {
    if (!due_ || first_) wait(now);
  }
  void network_changed(Instant now) noexcept {
    first_ = false;
    wait_ = limits_->retry_first;
    due_ = fired_ ? std::max(now, *fired_ + kMinGap) : now;
  }
  /// True: ask now. `again`: and once more if that does not help.
  bool fire(Instant now, bool again) noexcept {
    if (!due_ || now < *due_) return false;
    fired_ = now;
    due_.reset();
    if (again) wait(now);
    return true;
  }

 private:
  // Of our choosing.
  static constexpr std::chrono::seconds kFirstAttempt{10};
  static constexpr std::chrono::seconds kHeld{10};
  static constexpr std::chrono::seconds kMinGap{1};  ///< however often the network changes

  void wait(Instant now) noexcept {
    first_ = false;
    due_ = now + wait_;
    wait_ = std::min(wait_ * 2, limits_->retry_cap);
  }

  const Limits* limits_;
  std::chrono::milliseconds wait_;
  std::optional<Instant> due_, fired_, direct_since_;
  bool first_ = true;
};

}  // namespace higgs::path

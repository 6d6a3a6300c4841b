// Consent to send on one pair (RFC 7675): given by each authenticated response, gone some time after the last one, and
// asked for again while it stands. Sans-IO.
#pragma once

#include <chrono>

#include "base/random.h"
#include "base/time.h"

namespace higgs::ice {

class Consent {
 public:
  /// An authenticated response came in.
  void given(Instant now, std::chrono::seconds expiry) noexcept { expires_ = now + expiry; }
  /// A request went out, of whatever kind: the next one by itself follows `interval` later, somewhat earlier or later
  /// so that no two ends fall into step (RFC 7675, 5.1: 0.8 to 1.2 times).
  void asked(Instant now, std::chrono::seconds interval, RandomSource& random) noexcept;
  Instant next() const noexcept { return next_; }
  Instant expires() const noexcept { return expires_; }

 private:
  Instant next_{}, expires_{};
};

}  // namespace higgs::ice

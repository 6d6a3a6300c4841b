// How long to wait before the next attempt: exponential with jitter, so that thousands of peers that lost one server
// do not come back in step. Pure: time and randomness are handed in.
#pragma once

#include <chrono>

#include "base/random.h"
#include "base/time.h"

namespace higgs::runtime {

struct BackoffPolicy {
  std::chrono::milliseconds first{100};
  double factor = 2.0;
  /// The cap while the trouble is younger than `early`: a restarting server is found again quickly.
  std::chrono::milliseconds early_cap{2000};
  std::chrono::milliseconds early{30000};
  std::chrono::milliseconds cap{30000};
};

class Backoff {
 public:
  explicit Backoff(BackoffPolicy policy = {}) : policy_(policy) {}

  /// The wait before the next attempt: uniform between half of the present step and all of it.
  std::chrono::milliseconds next(Instant now, RandomSource& random);
  /// An attempt succeeded (and held).
  void reset() noexcept;
  unsigned attempts() const noexcept { return attempts_; }

 private:
  BackoffPolicy policy_;
  unsigned attempts_ = 0;
  std::chrono::duration<double, std::milli> step_{0};
  Instant since_{};
};

}  // namespace higgs::runtime

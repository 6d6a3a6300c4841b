// A rate that many sessions share, on whatever shards they are: token buckets, one each way, that their threads draw
// from. Thread-safe; the clock is handed in.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>

#include "base/time.h"
#include "base/token_bucket.h"

namespace higgs::relay {

class SharedBucket {
 public:
  /// Unset: no limit. The limit that stands already changes nothing, and fills nothing.
  void limit_to(Instant now, std::optional<double> mbps);
  std::optional<double> mbps() const;
  /// Bytes that may go now; without a limit infinitely many.
  double available(Instant now);
  /// More than there is becomes a debt: others may have drawn since available() was asked.
  void spend(Instant now, double bytes);

 private:
  std::atomic<bool> limited_{false};  ///< so that nobody waits where there is no limit
  mutable std::mutex mutex_;
  std::optional<TokenBucket> bucket_;  // guarded by mutex_
};

struct SharedRate {
  SharedBucket up, down;

  void limit_to(Instant now, std::optional<double> mbps) {
    up.limit_to(now, mbps);
    down.limit_to(now, mbps);
  }
};

}  // namespace higgs::relay

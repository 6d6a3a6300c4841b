// LatencyBuckets for many threads, and a guard that measures a scope.
#pragma once

#include <mutex>

#include "base/latency_buckets.h"
#include "runtime/clock.h"

namespace higgs::runtime {

class LatencyMeter {
 public:
  void add(std::chrono::nanoseconds taken) {
    const std::lock_guard lock(mutex_);
    buckets_.add(taken);
  }
  LatencyBuckets buckets() const {
    const std::lock_guard lock(mutex_);
    return buckets_;
  }

  /// Adds its own lifetime.
  class Timer {
   public:
    explicit Timer(LatencyMeter& meter) : meter_(meter), begin_(now().monotonic) {}
    ~Timer() { meter_.add(now().monotonic - begin_); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

   private:
    LatencyMeter& meter_;
    const Instant begin_;
  };

 private:
  mutable std::mutex mutex_;
  LatencyBuckets buckets_;
};

}  // namespace higgs::runtime

// Whether a table is full, without counting its rows at each insert.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <mutex>

namespace higgs::boson {

/// Thread-safe. Others that share the table may overshoot the limit by kRecountEvery each.
class RowLimit {
 public:
  static constexpr std::size_t kRecountEvery = 256;

  explicit RowLimit(std::size_t limit) : limit_(limit) {}

  /// To be asked before each insert. `count` tells how many rows there are; it is asked now and then, and always before
  /// the answer is yes.
  bool full(const std::function<std::size_t()>& count) {
    {
      const std::lock_guard lock(mutex_);
      if (left_ > 0) {
        --left_;
        return false;
      }
    }
    const auto counted = count();
    if (counted >= limit_) return true;
    const std::lock_guard lock(mutex_);
    left_ = std::min(limit_ - counted, kRecountEvery) - 1;
    return false;
  }

 private:
  const std::size_t limit_;
  std::mutex mutex_;
  std::size_t left_ = 0;  // guarded by mutex_; inserts that need no count
};

}  // namespace higgs::boson

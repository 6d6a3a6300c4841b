// Spans that wait to be exported. What ends while it is full is dropped and counted: whoever is traced never waits.
// Thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "trace/span_data.h"

namespace higgs::trace {

inline constexpr std::size_t kMaxQueuedSpans = 2048;

class SpanQueue {
 public:
  explicit SpanQueue(std::size_t limit = kMaxQueuedSpans) : limit_(limit) {}

  void push(SpanData span);
  /// The oldest, at most so many.
  std::vector<SpanData> take(std::size_t most);
  std::size_t size() const;
  std::uint64_t dropped() const;

 private:
  const std::size_t limit_;
  mutable std::mutex mutex_;
  std::deque<SpanData> spans_;
  std::uint64_t dropped_ = 0;
};

}  // namespace higgs::trace

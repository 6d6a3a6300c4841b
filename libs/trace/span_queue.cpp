#include "trace/span_queue.h"

#include <algorithm>
#include <iterator>

namespace higgs::trace {

void SpanQueue::push(SpanData span) {
  const std::lock_guard lock(mutex_);
  if (spans_.size() >= limit_) {
    ++dropped_;
    return;
  }
  spans_.push_back(std::move(span));
}

std::vector<SpanData> SpanQueue::take(std::size_t most) {
  const std::lock_guard lock(mutex_);
  const auto end = spans_.begin() + static_cast<std::ptrdiff_t>(std::min(most, spans_.size()));
  std::vector<SpanData> taken(std::make_move_iterator(spans_.begin()), std::make_move_iterator(end));
  spans_.erase(spans_.begin(), end);
  return taken;
}

std::size_t SpanQueue::size() const {
  const std::lock_guard lock(mutex_);
  return spans_.size();
}

std::uint64_t SpanQueue::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

}  // namespace higgs::trace

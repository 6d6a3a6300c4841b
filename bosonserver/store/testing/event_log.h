// For tests: what a store has told.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "bosonserver/store/store.h"

namespace higgs::boson::testing {

class EventLog {
 public:
  /// Returns when events are heard.
  explicit EventLog(Store& store) : subscription_(store.subscribe([this](const StoreEvent& event) { add(event); })) {
    wait_for_resync();
  }

  /// The next event that is no resync; a resync if there is none in time.
  StoreEvent next() {
    std::unique_lock lock(mutex_);
    const auto is_event = [](const StoreEvent& event) { return event.kind != StoreEvent::Kind::kResync; };
    for (;;) {
      const auto found = std::find_if(events_.begin(), events_.end(), is_event);
      if (found != events_.end()) {
        auto event = std::move(*found);
        events_.erase(found);
        return event;
      }
      if (come_.wait_for(lock, kPatience) == std::cv_status::timeout) return {};
    }
  }
  /// False: it did not come in time.
  bool wait_for_resync() {
    std::unique_lock lock(mutex_);
    const auto before = seen_resyncs_;
    const bool come = come_.wait_for(lock, kPatience, [&] { return resyncs_ > before; });
    seen_resyncs_ = resyncs_;
    return come;
  }

 private:
  static constexpr std::chrono::seconds kPatience{30};

  void add(const StoreEvent& event) {
    {
      const std::lock_guard lock(mutex_);
      events_.push_back(event);
      if (event.kind == StoreEvent::Kind::kResync) ++resyncs_;
    }
    come_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable come_;
  std::vector<StoreEvent> events_;
  unsigned resyncs_ = 0, seen_resyncs_ = 0;
  std::unique_ptr<StoreSubscription> subscription_;  // last: it ends before what it calls
};

}  // namespace higgs::boson::testing

// One timer of an event loop for a machine whose next deadline moves all the time: set anew only for an earlier one; a
// later one is noticed when the timer fires. Loop's thread.
#pragma once

#include <functional>
#include <optional>

#include "net/event_loop.h"

namespace higgs::tunnel {

class DeadlineTimer {
 public:
  /// `action` is called at a deadline or before a later one, and is to call arm() again.
  DeadlineTimer(net::EventLoop& loop, std::function<void()> action) : loop_(loop), action_(std::move(action)) {}
  ~DeadlineTimer() {
    if (timer_) loop_.cancel(*timer_);
  }
  DeadlineTimer(const DeadlineTimer&) = delete;
  DeadlineTimer& operator=(const DeadlineTimer&) = delete;

  void arm(std::optional<Instant> due) {
    if (!due) return;
    if (timer_) {
      if (due_ <= *due) return;
      loop_.cancel(*timer_);
    }
    due_ = *due;
    timer_ = loop_.at(*due, [this] {
      timer_.reset();
      action_();
    });
  }

 private:
  net::EventLoop& loop_;
  std::function<void()> action_;
  std::optional<net::EventLoop::TimerId> timer_;
  Instant due_{};
};

}  // namespace higgs::tunnel

// For tests: an EventLoop on a thread of its own, asked from the test's thread; a wait that hangs fails instead.
#pragma once

#include <chrono>
#include <future>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <utility>

#include "net/event_loop.h"

namespace higgs::net::testing {

class LoopThread {
 public:
  LoopThread() : thread_([this] { loop_.run(); }) {}
  ~LoopThread() {
    loop_.stop();
    thread_.join();
  }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  EventLoop& loop() noexcept { return loop_; }

  /// Runs on the loop's thread and waits for it.
  template <class F>
  std::invoke_result_t<F> call(F action) {
    std::packaged_task<std::invoke_result_t<F>()> task(std::move(action));
    auto result = task.get_future();
    loop_.post([&task] { task(); });
    return result.get();
  }
  /// Until the condition, asked on the loop's thread between its turns, is true.
  template <class F>
  void wait(F condition, std::chrono::seconds deadline = std::chrono::seconds(20)) {
    const auto end = std::chrono::steady_clock::now() + deadline;
    while (!call(condition)) {
      if (std::chrono::steady_clock::now() > end) throw std::runtime_error("the test's deadline passed");
      std::this_thread::yield();
    }
  }

 private:
  EventLoop loop_;
  std::thread thread_;
};

}  // namespace higgs::net::testing

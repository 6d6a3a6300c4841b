// A flag to wait for. One executor, one thread at a time, one waiter.
#pragma once

#include <chrono>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

namespace higgs::runtime {

class AsyncEvent {
 public:
  explicit AsyncEvent(const boost::asio::any_io_executor& executor) : timer_(executor) {}

  /// Ends the wait; if nobody waits, the next wait returns at once.
  void notify();
  /// Until notify(), and takes it back. Throws operation_aborted when cancelled.
  boost::asio::awaitable<void> wait();
  /// As wait(), but false when the time is over first.
  boost::asio::awaitable<bool> wait_for(std::chrono::nanoseconds most);

 private:
  boost::asio::steady_timer timer_;
  bool set_ = false;
};

}  // namespace higgs::runtime

// Structured concurrency: every coroutine belongs to a group with one owner; a group ends by cancel, deadline, abort.
// One executor, one thread at a time.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace higgs::runtime {

class TaskGroup {
 public:
  using ErrorHandler = std::function<void(std::string_view task, std::exception_ptr error)>;

  explicit TaskGroup(boost::asio::any_io_executor executor, ErrorHandler on_error = {});
  /// Asserts that nothing runs any more, unless abandon() was called.
  ~TaskGroup();

  /// Starts a task. What it throws (but for cancellation) is logged with the name and passed to the error handler.
  void spawn(std::string name, boost::asio::awaitable<void> task);
  /// Asks all tasks to end (terminal cancellation); new ones are refused from here on.
  void cancel();
  /// Completes when all have ended; false if the deadline passed first (their names are logged).
  boost::asio::awaitable<bool> join(std::chrono::milliseconds deadline);
  /// The io_context is about to be destroyed, and whatever still waits on it with it.
  void abandon() noexcept;
  std::size_t size() const noexcept;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace higgs::runtime

// An operation or a timer, whichever ends first; the other is cancelled and waited for.
//
//   auto reading = stream.read_some(buffer);                        // name it: see the note on g++ 12 in CONTRIBUTING
//   const auto count = co_await with_deadline(std::move(reading), 5s);   // nullopt: the time was over
//
// The operation must honour cancellation, as Asio's own do.
#pragma once

#include <chrono>
#include <exception>
#include <optional>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace higgs::runtime {

/// Waits; throws operation_aborted when cancelled.
inline boost::asio::awaitable<void> sleep_for(std::chrono::nanoseconds duration) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, duration);
  co_await timer.async_wait(boost::asio::use_awaitable);
}

namespace detail {
/// `||` waits for the first success, so a failure must look like one, or the timer would be waited out.
template <class T>
boost::asio::awaitable<void> capture(boost::asio::awaitable<T> operation, std::optional<T>& value,
                                     std::exception_ptr& failure) {
  try {
    value.emplace(co_await std::move(operation));
  } catch (...) {
    failure = std::current_exception();
  }
}
inline boost::asio::awaitable<bool> as_value(boost::asio::awaitable<void> operation) {
  co_await std::move(operation);
  co_return true;
}
}  // namespace detail

/// nullopt: the time was over. What the operation throws is thrown.
template <class T>
boost::asio::awaitable<std::optional<T>> with_deadline(boost::asio::awaitable<T> operation,
                                                       std::chrono::nanoseconds deadline) {
  using namespace boost::asio::experimental::awaitable_operators;
  std::optional<T> value;
  std::exception_ptr failure;
  auto captured = detail::capture(std::move(operation), value, failure);
  auto timer = sleep_for(deadline);
  const auto first = co_await (std::move(captured) || std::move(timer));
  if (first.index() == 0 && failure) std::rethrow_exception(failure);
  co_return value;
}

/// False: the time was over.
inline boost::asio::awaitable<bool> with_deadline(boost::asio::awaitable<void> operation,
                                                  std::chrono::nanoseconds deadline) {
  auto valued = detail::as_value(std::move(operation));
  const auto done = co_await with_deadline(std::move(valued), deadline);
  co_return done.has_value();
}

}  // namespace higgs::runtime

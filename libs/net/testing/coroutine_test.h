// For tests: runs a coroutine on a context of its own thread until it ends; a test that hangs fails instead.
#pragma once

#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

namespace higgs::net::testing {

inline constexpr std::chrono::seconds kTestDeadline{20};

/// Runs the context until `done()`; throws after kTestDeadline.
template <class F>
void run_until(boost::asio::io_context& context, F done) {
  const auto end = std::chrono::steady_clock::now() + kTestDeadline;
  context.restart();
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) throw std::runtime_error("the test's deadline passed");
    if (context.stopped()) context.restart();
    context.run_one_for(std::chrono::milliseconds(20));
  }
}

inline void run(boost::asio::io_context& context, boost::asio::awaitable<void> task) {
  std::exception_ptr failure;
  bool ended = false;
  boost::asio::co_spawn(context, std::move(task), [&](const std::exception_ptr& e) {
    failure = e;
    ended = true;
  });
  run_until(context, [&] { return ended; });
  if (failure) std::rethrow_exception(failure);
}

template <class T>
T run(boost::asio::io_context& context, boost::asio::awaitable<T> task) {
  std::optional<T> value;
  auto keep = [](boost::asio::awaitable<T> t, std::optional<T>& v) -> boost::asio::awaitable<void> {
    v.emplace(co_await std::move(t));
  };
  run(context, keep(std::move(task), value));
  return std::move(*value);
}

}  // namespace higgs::net::testing

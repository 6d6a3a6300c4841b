// Runs a context until a condition holds; a wait is a condition with a deadline, never a sleep.
#pragma once

#include <chrono>
#include <functional>

#include <boost/asio/io_context.hpp>

namespace higgs::node::testing_support {

inline bool run_until(boost::asio::io_context& context, const std::function<bool()>& condition,
                      std::chrono::seconds deadline = std::chrono::seconds(20)) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  context.restart();
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    context.run_one_for(std::chrono::milliseconds(20));
  }
  return true;
}

}  // namespace higgs::node::testing_support

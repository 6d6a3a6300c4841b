// Runs a test body on a thread of its own inside a new, empty network namespace, which ends with it.
#pragma once

#include <functional>
#include <thread>

#include <gtest/gtest.h>
#include <sched.h>

namespace higgs::tunnel::testing {

/// False (and nothing run) where we may not make a namespace.
inline bool in_fresh_network(const std::function<void()>& body) {
  bool permitted = false;
  std::thread thread([&] {
    permitted = ::unshare(CLONE_NEWNET) == 0;
    if (permitted) body();
  });
  thread.join();
  return permitted;
}

}  // namespace higgs::tunnel::testing

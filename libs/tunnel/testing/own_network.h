// For tests that change the network: a thread in a network (and mount) namespace of its own, thrown away afterwards, so
// that nothing is left on the machine. Header only, since it belongs to tests.
#pragma once

#include <functional>
#include <string>
#include <thread>

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tunnel/command.h"

namespace higgs::tunnel::testing {

/// False (nothing run) where namespaces are not permitted: the caller skips. Commands started by `body` are inside too.
inline bool in_own_network(const std::function<void()>& body) {
  bool entered = false;
  // A namespace belongs to a thread; it goes with it.
  std::thread([&] {
    entered =
        ::unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    // sysfs and /proc/sys/net follow the namespace of the reader; nothing to mount for them.
    if (entered) body();
  }).join();
  return entered;
}

/// The text of a command's output, for comparing before and after; comment lines (they hold the date) are left out.
inline std::string output_of(const std::vector<std::string>& command) {
  const std::string all = run_command(command).out;
  std::string kept;
  for (std::size_t start = 0; start < all.size();) {
    const std::size_t end = std::min(all.find('\n', start), all.size());
    if (all[start] != '#') kept += all.substr(start, end - start) + "\n";
    start = end + 1;
  }
  return kept;
}

}  // namespace higgs::tunnel::testing

#include "bosonserver/store/socket_watchdog.h"

#include <sys/socket.h>

namespace higgs::boson {

SocketWatchdog::Watch::Watch(SocketWatchdog& dog, int socket, Clock::time_point deadline) : dog_(dog), socket_(socket) {
  const std::lock_guard lock(dog_.mutex_);
  place_ = dog_.watches_.emplace(deadline, this);
  // Mostly the thread sleeps until the end of an earlier watch, which is long gone: it need not be woken for this one.
  if (deadline < dog_.sleeps_until_) dog_.wake_.notify_one();
}

SocketWatchdog::Watch::~Watch() {
  const std::lock_guard lock(dog_.mutex_);
  if (!over_) dog_.watches_.erase(place_);
}

SocketWatchdog::SocketWatchdog() : thread_([this] { run(); }) {}

SocketWatchdog::~SocketWatchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void SocketWatchdog::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    while (!watches_.empty() && watches_.begin()->first <= Clock::now()) {
      auto* const watch = watches_.begin()->second;
      // Under the lock: its owner cannot close the socket before it has taken the watch away.
      ::shutdown(watch->socket_, SHUT_RDWR);
      watch->over_ = true;
      watches_.erase(watches_.begin());
    }
    if (watches_.empty()) {
      sleeps_until_ = Clock::time_point::max();
      wake_.wait(lock);
    } else {
      sleeps_until_ = watches_.begin()->first;
      wake_.wait_until(lock, sleeps_until_);
    }
  }
}

}  // namespace higgs::boson

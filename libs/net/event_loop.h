// The event loop of the data path: one thread, one epoll instance, timers and a mailbox. No Asio, no coroutine, no
// allocation per packet. The tunnel device and each relay worker own one.
//
// Threads: run() on one thread; post() and stop() from any; everything else only on the loop's thread
// (or before run() starts).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/time.h"

namespace higgs::net {

/// What is told of a descriptor's readiness.
class FdHandler {
 public:
  virtual ~FdHandler() = default;
  /// `events`: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP. The handler may remove itself, or others, from the loop.
  virtual void on_events(std::uint32_t events) = 0;
};

class EventLoop {
 public:
  using TimerId = std::uint64_t;

  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  /// Level-triggered. The descriptor stays its owner's; remove it before closing it.
  void add(int fd, std::uint32_t events, FdHandler& handler);
  void modify(int fd, std::uint32_t events);
  void remove(int fd);

  TimerId at(Instant when, std::function<void()> action);
  TimerId after(std::chrono::nanoseconds delay, std::function<void()> action);
  void cancel(TimerId id);

  /// Runs `action` on the loop's thread, soon. Thread-safe. Dropped if the loop has stopped.
  void post(std::function<void()> action);
  /// Called once at the end of each turn that handled anything: where what was gathered is flushed. Order of addition.
  std::uint64_t add_end_of_turn(std::function<void()> action);
  void remove_end_of_turn(std::uint64_t id);

  /// Until stop(). Returns with every handler still registered.
  void run();
  void stop();
  bool in_loop_thread() const noexcept;

  /// Both clocks, read once a turn.
  Now now() const noexcept { return now_; }

 private:
  class Impl;
  void read_clocks() noexcept;
  Now now_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::net

// A thread that makes store calls nobody waits for, one after the other: what the relay reports, and maintenance.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace higgs::boson {

inline constexpr std::size_t kMaxStoreJobs = 100'000;

class StoreWorker {
 public:
  /// Runs `periodic` at once and then every `interval`, between the jobs.
  StoreWorker(std::function<void()> periodic, std::chrono::milliseconds interval);
  /// Finishes the jobs that are queued.
  ~StoreWorker();

  /// Any thread. Dropped and counted above kMaxStoreJobs.
  void post(std::function<void()> job);
  std::uint64_t dropped() const;

 private:
  void run();

  const std::function<void()> periodic_;
  const std::chrono::milliseconds interval_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  std::uint64_t dropped_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace higgs::boson

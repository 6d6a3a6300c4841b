#include "bosonserver/server/store_worker.h"

#include <exception>

#include "runtime/log.h"

namespace higgs::boson {
namespace {

void run_guarded(const std::function<void()>& job) {
  try {
    job();
  } catch (const std::exception& error) {
    runtime::log::error("a background job failed", {{"error", error.what()}});
  }
}

}  // namespace

StoreWorker::StoreWorker(std::function<void()> periodic, std::chrono::milliseconds interval)
    : periodic_(std::move(periodic)), interval_(interval), thread_([this] { run(); }) {}

StoreWorker::~StoreWorker() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void StoreWorker::post(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (jobs_.size() >= kMaxStoreJobs) {
      ++dropped_;
      return;
    }
    jobs_.push_back(std::move(job));
  }
  wake_.notify_all();
}

std::uint64_t StoreWorker::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

void StoreWorker::run() {
  auto due = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!jobs_.empty()) {
      const auto job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      run_guarded(job);
      lock.lock();
    } else if (stopping_) {
      return;
    }
    if (!stopping_ && std::chrono::steady_clock::now() >= due) {
      lock.unlock();
      run_guarded(periodic_);
      lock.lock();
      due = std::chrono::steady_clock::now() + interval_;
    }
    wake_.wait_until(lock, due, [this] { return stopping_ || !jobs_.empty(); });
  }
}

}  // namespace higgs::boson

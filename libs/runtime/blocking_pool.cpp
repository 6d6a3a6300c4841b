#include "runtime/blocking_pool.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <time.h>

#include "runtime/thread_priority.h"

namespace higgs::runtime {
namespace asio = boost::asio;

namespace {

/// What the calling thread has had of the processor: neither a pause nor what others took from it.
std::chrono::nanoseconds thread_time() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

class BlockingPool::Impl {
 public:
  using Clock = std::chrono::steady_clock;
  struct Job {
    std::function<void()> run;
    Clock::time_point since;
  };

  explicit Impl(BlockingPoolLimits l) : limits(l) {
    for (std::size_t i = 0; i < limits.threads; ++i) {
      threads.emplace_back([this] {
        if (limits.nice != 0) set_thread_nice(limits.nice);
        serve();
      });
    }
  }
  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    wake.notify_all();
    resting.notify_all();
    for (auto& thread : threads) thread.join();
  }

  bool full(Clock::time_point now) const {
    if (jobs.size() >= limits.queued) return true;
    return limits.wait.count() > 0 && jobs.size() > limits.crowd && now - jobs.front().since > limits.wait;
  }

  /// False if there is no room; `job` is then untouched.
  bool add(std::function<void()>&& job) {
    const auto now = Clock::now();
    {
      const std::lock_guard lock(mutex);
      if (full(now)) {
        ++refused;
        return false;
      }
      jobs.push_back({std::move(job), now});
    }
    wake.notify_one();
    return true;
  }

  void serve() {
    for (;;) {
      std::function<void()> job;
      {
        std::unique_lock lock(mutex);
        wake.wait(lock, [this] { return stopping || !jobs.empty(); });
        if (jobs.empty()) return;
        job = std::move(jobs.front().run);
        jobs.pop_front();
      }
      const auto begin = thread_time();
      job();
      job = nullptr;
      if (limits.rest > 0) rest_from(thread_time() - begin);
    }
  }

  void rest_from(std::chrono::nanoseconds work) {
    const auto now = Clock::now();
    std::unique_lock lock(mutex);
    if (jobs.size() <= limits.crowd) return;
    // In turn with the others, who rest as well: nobody takes a job that came meanwhile any earlier for it.
    const auto until = now + std::chrono::duration_cast<Clock::duration>(work * limits.rest);
    resting.wait_until(lock, until, [this] { return stopping; });
  }

  const BlockingPoolLimits limits;
  mutable std::mutex mutex;
  std::condition_variable wake, resting;
  std::deque<Job> jobs;
  std::uint64_t refused = 0;
  bool stopping = false;
  std::vector<std::thread> threads;
};

BlockingPool::BlockingPool(BlockingPoolLimits limits) : impl_(std::make_unique<Impl>(limits)) {}
BlockingPool::~BlockingPool() = default;

asio::awaitable<void> BlockingPool::run_erased(std::function<void()>& work) {
  auto initiate = [impl = impl_.get(), &work](auto handler) {
    // The guard keeps the caller's io_context running while nothing but this thread knows of the work.
    auto executor = asio::get_associated_executor(handler);
    auto held = std::make_shared<decltype(handler)>(std::move(handler));
    auto guard = std::make_shared<asio::executor_work_guard<decltype(executor)>>(executor);
    const auto complete = [held, guard, executor](std::exception_ptr error) {
      asio::post(executor, [held, error] { (*held)(error); });
      guard->reset();
    };
    auto job = [&work, complete] {
      std::exception_ptr error;
      try {
        work();
      } catch (...) {
        error = std::current_exception();
      }
      complete(error);
    };
    if (!impl->add(job)) complete(nullptr);
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void(std::exception_ptr)>(std::move(initiate),
                                                                                         asio::use_awaitable);
}

std::size_t BlockingPool::queued() const noexcept {
  const std::lock_guard lock(impl_->mutex);
  return impl_->jobs.size();
}

std::uint64_t BlockingPool::refused() const noexcept {
  const std::lock_guard lock(impl_->mutex);
  return impl_->refused;
}

}  // namespace higgs::runtime

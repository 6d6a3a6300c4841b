// A bounded pool of threads for calls that block (databases, password hashes, DNS, files).
// Destroyed before the io_context of its callers; the destructor waits for what is queued. Work is never cancelled.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>

#include <boost/asio/awaitable.hpp>

namespace higgs::runtime {

struct BlockingPoolLimits {
  std::size_t threads = 4;
  std::size_t queued = 1024;
  int nice = 0;  ///< of the threads

  /// While more calls than this wait, the two below hold; a few that come together are served as fast as can be.
  std::size_t crowd = 0;
  /// While one of them has waited longer than this for a thread, further ones are refused. 0: however long.
  std::chrono::milliseconds wait{0};
  /// A thread rests after each call for so many times the processor time that it took: a storm leaves something of the
  /// processor to others.
  double rest = 0;
};

class BlockingPool {
 public:
  explicit BlockingPool(BlockingPoolLimits limits = {});
  ~BlockingPool();

  /// Runs `work` on a pool thread and resumes the caller on its own executor with the value; nullopt if the queue is
  /// full or has stood for too long. An exception of `work` is rethrown to the caller.
  template <class F>
  boost::asio::awaitable<std::optional<std::invoke_result_t<F>>> run(F work) {
    std::optional<std::invoke_result_t<F>> value;
    auto job = [&value, &work] { value.emplace(work()); };
    std::function<void()> erased = job;
    co_await run_erased(erased);
    co_return value;
  }
  std::size_t queued() const noexcept;
  std::uint64_t refused() const noexcept;

 private:
  boost::asio::awaitable<void> run_erased(std::function<void()>& work);
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::runtime

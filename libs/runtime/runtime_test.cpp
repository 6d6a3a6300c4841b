// Task groups, the blocking pool, deadlines, signals and the control socket: what runs on an io_context.
#include <atomic>
#include <csignal>
#include <filesystem>
#include <latch>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/uuid.h"
#include "runtime/async_event.h"
#include "runtime/blocking_pool.h"
#include "runtime/control_socket.h"
#include "runtime/deadline.h"
#include "runtime/memory_use.h"
#include "runtime/signals.h"
#include "runtime/task_group.h"
#include "runtime/thread_priority.h"

namespace higgs::runtime {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// Runs one coroutine to its end and hands on what it throws.
void run(asio::io_context& context, asio::awaitable<void> task) {
  std::exception_ptr failure;
  auto done = [&failure](const std::exception_ptr& error) { failure = error; };
  asio::co_spawn(context, std::move(task), done);
  context.run();
  if (failure) std::rethrow_exception(failure);
}

asio::awaitable<void> fail_with(const char* text) {
  throw std::runtime_error(text);
  co_return;
}

asio::awaitable<void> sleep_and_count(std::chrono::nanoseconds duration, int& ended) {
  struct Count {
    int& n;
    ~Count() { ++n; }
  } count{ended};
  co_await sleep_for(duration);
}

TEST(TaskGroup, CancelEndsEveryTaskAndRefusesNewOnes) {
  asio::io_context context;
  TaskGroup group(context.get_executor());
  int ended = 0;
  group.spawn("a", sleep_and_count(1h, ended));
  group.spawn("b", sleep_and_count(1h, ended));
  EXPECT_EQ(group.size(), 2u);
  const auto test = [&]() -> asio::awaitable<void> {
    co_await sleep_for(1ms);
    group.cancel();
    group.spawn("late", sleep_and_count(1h, ended));
    const bool all = co_await group.join(10s);
    EXPECT_TRUE(all);
  };
  run(context, test());
  EXPECT_EQ(ended, 2);
}

TEST(TaskGroup, HandsOnWhatATaskThrowsButNotCancellation) {
  asio::io_context context;
  std::vector<std::string> failed;
  TaskGroup group(context.get_executor(),
                  [&](std::string_view task, const std::exception_ptr&) { failed.emplace_back(task); });
  int ended = 0;
  group.spawn("failing", fail_with("on purpose"));
  group.spawn("cancelled", sleep_and_count(1h, ended));
  const auto test = [&]() -> asio::awaitable<void> {
    co_await sleep_for(1ms);
    group.cancel();
    co_await group.join(10s);
  };
  run(context, test());
  EXPECT_EQ(failed, std::vector<std::string>{"failing"});
}

TEST(TaskGroup, JoinGivesUpAtTheDeadline) {
  asio::io_context context;
  int ended = 0;
  {
    TaskGroup group(context.get_executor());
    group.spawn("slow", sleep_and_count(1h, ended));
    const auto test = [&]() -> asio::awaitable<void> {
      const bool early = co_await group.join(1ms);
      EXPECT_FALSE(early);
      group.cancel();
      const bool late = co_await group.join(10s);
      EXPECT_TRUE(late);
    };
    run(context, test());
  }
  EXPECT_EQ(ended, 1);
}

TEST(Deadline, TheEarlierEndWins) {
  asio::io_context context;
  int ended = 0;
  const auto test = [&]() -> asio::awaitable<void> {
    auto slow = sleep_and_count(1h, ended);
    const bool in_time = co_await with_deadline(std::move(slow), 1ms);
    EXPECT_FALSE(in_time);
    auto fast = sleep_and_count(1ns, ended);
    const bool second = co_await with_deadline(std::move(fast), 1h);
    EXPECT_TRUE(second);
  };
  run(context, test());
  EXPECT_EQ(ended, 2);
}

TEST(Deadline, AFailureIsThrownAtOnce) {
  asio::io_context context;
  const auto test = [&]() -> asio::awaitable<void> {
    auto failing = fail_with("on purpose");
    co_await with_deadline(std::move(failing), 1h);
  };
  EXPECT_THROW(run(context, test()), std::runtime_error);
}

TEST(AsyncEvent, IsKeptUntilSomebodyWaits) {
  asio::io_context context;
  AsyncEvent event(context.get_executor());
  const auto test = [&]() -> asio::awaitable<void> {
    event.notify();
    event.notify();
    co_await event.wait();
    const bool again = co_await event.wait_for(1ms);
    EXPECT_FALSE(again);
    auto endless = event.wait();
    const bool ended = co_await with_deadline(std::move(endless), 1ms);
    EXPECT_FALSE(ended);
    TaskGroup group(context.get_executor());
    bool woken = false;
    const auto waiter = [&]() -> asio::awaitable<void> {
      co_await event.wait();
      woken = true;
    };
    group.spawn("waiter", waiter());
    co_await sleep_for(1ms);
    EXPECT_FALSE(woken);
    event.notify();
    co_await group.join(10s);
    EXPECT_TRUE(woken);
  };
  run(context, test());
}

TEST(BlockingPool, ReturnsValuesAndExceptions) {
  asio::io_context context;
  BlockingPool pool({.threads = 2, .queued = 4});
  const auto test = [&]() -> asio::awaitable<void> {
    const auto caller = std::this_thread::get_id();
    const auto work = [caller] { return std::this_thread::get_id() != caller; };
    const auto elsewhere = co_await pool.run(work);
    EXPECT_EQ(elsewhere, std::optional(true));
    EXPECT_TRUE(std::this_thread::get_id() == caller);
    bool thrown = false;
    try {
      const auto failing = []() -> int { throw std::runtime_error("on purpose"); };
      co_await pool.run(failing);
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
  };
  run(context, test());
}

TEST(BlockingPool, RefusesAboveItsLimit) {
  asio::io_context context;
  std::latch release(1);
  std::atomic<int> done = 0;
  BlockingPool pool({.threads = 1, .queued = 1});
  std::atomic<int> started = 0;
  int refused = 0;
  const auto one = [&]() -> asio::awaitable<void> {
    const auto work = [&] {
      ++started;
      release.wait();
      return ++done;
    };
    const auto value = co_await pool.run(work);
    if (!value) ++refused;
  };
  const auto test = [&]() -> asio::awaitable<void> {
    TaskGroup group(context.get_executor());
    group.spawn("runs", one());
    while (started == 0) co_await sleep_for(1ms);
    for (int i = 0; i < 3; ++i) group.spawn("waits or is refused", one());
    while (refused < 2) co_await sleep_for(1ms);
    release.count_down();
    co_await group.join(10s);
  };
  run(context, test());
  EXPECT_EQ(done, 2);
  EXPECT_EQ(refused, 2);
  EXPECT_EQ(pool.refused(), 2u);
}

TEST(BlockingPool, RefusesWhileACallHasWaitedTooLong) {
  asio::io_context context;
  std::latch release(1);
  std::atomic<int> started = 0;
  BlockingPool pool({.threads = 1, .queued = 100'000, .crowd = 2, .wait = 1ms});
  const auto hold = [&] {
    ++started;
    release.wait();
    return true;
  };
  int done = 0, refused = 0;
  const auto one = [&]() -> asio::awaitable<void> {
    const auto value = co_await pool.run(hold);
    ++(value ? done : refused);
  };
  const auto test = [&]() -> asio::awaitable<void> {
    TaskGroup group(context.get_executor());
    group.spawn("runs", one());
    while (started == 0) co_await sleep_for(1ms);
    group.spawn("waits", one());
    while (pool.queued() == 0) co_await sleep_for(1ms);
    for (int tries = 0; refused == 0 && tries < 2000; ++tries) {
      group.spawn("waits or is refused", one());
      co_await sleep_for(1ms);
    }
    release.count_down();
    co_await group.join(10s);
  };
  run(context, test());
  EXPECT_GE(done, 4) << "one that runs, and no crowd yet: two that wait and one more";
  EXPECT_GE(refused, 1);
  EXPECT_EQ(pool.refused(), static_cast<std::uint64_t>(refused));
}

TEST(BlockingPool, WhileOthersWaitAThreadRestsAfterEachCall) {
  asio::io_context context;
  std::optional<BlockingPool> pool;
  pool.emplace(BlockingPoolLimits{.threads = 1, .rest = 1e6});
  std::latch release(1);
  std::atomic<int> done = 0;
  const auto one = [&]() -> asio::awaitable<void> {
    const auto work = [&] {
      release.wait();
      std::this_thread::sleep_for(1ms);
      return ++done;
    };
    co_await pool->run(work);
  };
  const auto test = [&]() -> asio::awaitable<void> {
    TaskGroup group(context.get_executor());
    for (int i = 0; i < 3; ++i) group.spawn("hashes", one());
    while (pool->queued() < 2) co_await sleep_for(1ms);
    release.count_down();
    while (done == 0) co_await sleep_for(1ms);
    co_await sleep_for(20ms);
    EXPECT_EQ(done, 1);
    pool.reset();
    EXPECT_EQ(done, 3) << "at the end nobody rests";
    co_await group.join(10s);
  };
  run(context, test());
}

/// How many of three calls are done when nothing more is awaited, with one thread and these limits.
int done_of_three(BlockingPoolLimits limits, std::chrono::milliseconds asleep) {
  limits.threads = 1;
  asio::io_context context;
  BlockingPool pool(limits);
  std::latch release(1);
  std::atomic<int> done = 0;
  const auto one = [&]() -> asio::awaitable<void> {
    const auto work = [&] {
      release.wait();
      std::this_thread::sleep_for(asleep);
      return ++done;
    };
    co_await pool.run(work);
  };
  const auto test = [&]() -> asio::awaitable<void> {
    TaskGroup group(context.get_executor());
    for (int i = 0; i < 3; ++i) group.spawn("hashes", one());
    while (pool.queued() < 2) co_await sleep_for(1ms);
    release.count_down();
    co_await group.join(10s);
  };
  run(context, test());
  return done;
}

TEST(BlockingPool, AFewCallsThatComeTogetherAreNoReasonToRest) {
  EXPECT_EQ(done_of_three({.crowd = 2, .rest = 1e9}, 0ms), 3);
}

TEST(BlockingPool, WhereNothingWasWorkedThereIsNothingToRestFrom) {
  // By the clock it would be 30 s: the process may have stood still meanwhile. What a slow machine spends on it is far
  // less.
  EXPECT_EQ(done_of_three({.rest = 100}, 300ms), 3);
}

TEST(BlockingPool, ItsThreadsStandBack) {
  asio::io_context context;
  const int own = thread_nice();
  BlockingPool pool({.threads = 1, .nice = 19}), other({.threads = 1});
  const auto ask = [] { return thread_nice(); };
  const auto test = [&]() -> asio::awaitable<void> {
    const auto behind = co_await pool.run(ask);
    const auto beside = co_await other.run(ask);
    EXPECT_EQ(behind, 19);
    EXPECT_EQ(beside, own);
  };
  run(context, test());
  EXPECT_EQ(thread_nice(), own) << "one thread's value is not the process's";
}

TEST(MemoryUse, IsWhatThisProcessHas) {
  const auto before = resident_bytes();
  ASSERT_GT(before, 0u);
  constexpr std::size_t kMore = 64 * 1024 * 1024;
  std::vector<char> more(kMore, 1);
  EXPECT_GE(resident_bytes(), before + kMore / 2);
  EXPECT_GT(more.back(), 0);
  EXPECT_GT(machine_bytes(), kMore);
}

TEST(Signals, AreValues) {
  asio::io_context context;
  Signals signals(context.get_executor());
  const auto test = [&]() -> asio::awaitable<void> {
    std::raise(SIGHUP);
    const int first = co_await signals.next();
    EXPECT_EQ(first, SIGHUP);
    std::raise(SIGTERM);
    const int second = co_await signals.next();
    EXPECT_EQ(second, SIGTERM);
  };
  run(context, test());
}

class ControlSocket : public testing::Test {
 protected:
  void SetUp() override {
    SystemRandom random;
    // Longer than a socket address holds.
    directory_ = std::filesystem::temp_directory_path() / ("higgs-test-" + Uuid::random(random).to_string()) /
                 std::string(100, 'd');
    std::filesystem::create_directories(directory_);
    path_ = directory_ / "control.sock";
  }
  void TearDown() override { std::filesystem::remove_all(directory_.parent_path()); }
  std::filesystem::path directory_, path_;
};

TEST_F(ControlSocket, AnswersALineAndRemovesItself) {
  EXPECT_EQ(control_request(path_, "x").error(), boost::system::errc::no_such_file_or_directory);
  asio::io_context context;
  BlockingPool pool;
  const auto handler = [](std::string request) -> asio::awaitable<std::string> { co_return "got " + request; };
  const auto test = [&]() -> asio::awaitable<void> {
    auto server = ControlServer::listen(context.get_executor(), path_, handler);
    if (!server) throw std::runtime_error(server.error().message());
    struct stat status {};
    EXPECT_EQ(::stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777u, 0600u);
    const auto ask = [&] { return control_request(path_, "status"); };
    const auto answer = co_await pool.run(ask);
    EXPECT_EQ(answer->value(), "got status");
    co_await (*server)->stop();
  };
  run(context, test());
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(ControlSocket, EndsARequestWithoutAnEnd) {
  asio::io_context context;
  BlockingPool pool;
  const auto handler = [](std::string) -> asio::awaitable<std::string> { co_return "never"; };
  const auto test = [&]() -> asio::awaitable<void> {
    auto server = ControlServer::listen(context.get_executor(), path_, handler, {.line_bytes = 100});
    const auto ask = [&] { return control_request(path_, std::string(5000, 'x')); };
    const auto answer = co_await pool.run(ask);
    EXPECT_TRUE(answer->has_error());
    co_await (*server)->stop();
  };
  run(context, test());
}

}  // namespace
}  // namespace higgs::runtime

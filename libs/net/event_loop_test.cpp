#include "net/event_loop.h"

#include <array>
#include <atomic>
#include <thread>

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace higgs::net {
namespace {

using std::chrono::milliseconds;

struct Pair {
  Pair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd.data()), 0); }
  ~Pair() {
    ::close(fd[0]);
    ::close(fd[1]);
  }
  void ring() { EXPECT_EQ(::write(fd[1], "x", 1), 1); }
  std::array<int, 2> fd{};
};

struct Call : FdHandler {
  explicit Call(std::function<void(std::uint32_t)> f) : action(std::move(f)) {}
  void on_events(std::uint32_t events) override { action(events); }
  std::function<void(std::uint32_t)> action;
};

TEST(EventLoop, TimersFireInOrderOfTimeThenOfCreation) {
  EventLoop loop;
  std::string order;
  const Instant base = loop.now().monotonic;
  loop.at(base + milliseconds(2), [&] { order += 'c'; });
  loop.at(base + milliseconds(1), [&] { order += 'a'; });
  loop.at(base + milliseconds(1), [&] { order += 'b'; });
  loop.at(base + milliseconds(3), [&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(order, "abc");
}

TEST(EventLoop, TimerNeverFiresEarly) {
  EventLoop loop;
  const Instant before = loop.now().monotonic;
  Instant fired{};
  loop.after(std::chrono::microseconds(1500), [&] {
    fired = loop.now().monotonic;
    loop.stop();
  });
  loop.run();
  EXPECT_GE(fired - before, std::chrono::microseconds(1500));
}

TEST(EventLoop, CancelledTimerDoesNotFireEvenWhenDueInTheSameTurn) {
  EventLoop loop;
  bool fired = false;
  EventLoop::TimerId victim = 0;
  const Instant when = loop.now().monotonic;
  loop.at(when, [&] { loop.cancel(victim); });
  victim = loop.at(when, [&] { fired = true; });
  loop.after(milliseconds(1), [&] { loop.stop(); });
  loop.cancel(987654);  // unknown: nothing happens
  loop.run();
  EXPECT_FALSE(fired);
}

TEST(EventLoop, TimerThatSetsItselfAtOnceDoesNotStarveDescriptors) {
  EventLoop loop;
  Pair pair;
  int spins = 0;
  std::function<void()> again = [&] {
    ++spins;
    loop.at(loop.now().monotonic, again);
  };
  Call handler([&](std::uint32_t) { loop.stop(); });
  loop.add(pair.fd[0], EPOLLIN, handler);
  loop.at(loop.now().monotonic, again);
  pair.ring();
  loop.run();
  EXPECT_LE(spins, 2);
}

TEST(EventLoop, PostFromAnotherThreadWakesTheLoopAndKeepsOrder) {
  EventLoop loop;
  std::vector<int> seen;
  bool on_loop = true;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i)
      loop.post([&, i] {
        seen.push_back(i);
        on_loop = on_loop && loop.in_loop_thread();
      });
    loop.post([&] { loop.stop(); });
  });
  loop.run();
  other.join();
  ASSERT_EQ(seen.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], i);
  EXPECT_TRUE(on_loop);
  EXPECT_FALSE(loop.in_loop_thread());
}

TEST(EventLoop, PostAfterStopIsDroppedAndFreed) {
  EventLoop loop;
  loop.post([&] { loop.stop(); });
  loop.run();
  const auto token = std::make_shared<int>(1);
  loop.post([token] { ADD_FAILURE(); });
  EXPECT_EQ(token.use_count(), 1);
}

TEST(EventLoop, HandlerRemovesItselfAndAnotherWhoseEventIsPending) {
  EventLoop loop;
  Pair a, b;
  int calls = 0;
  // Whichever comes first takes both out: the other's event of the same turn must not be delivered.
  Call handler([&](std::uint32_t) {
    ++calls;
    loop.remove(a.fd[0]);
    loop.remove(b.fd[0]);
    loop.after(milliseconds(1), [&] { loop.stop(); });
  });
  loop.add(a.fd[0], EPOLLIN, handler);
  loop.add(b.fd[0], EPOLLIN, handler);
  a.ring();
  b.ring();
  loop.run();
  EXPECT_EQ(calls, 1);
}

TEST(EventLoop, EventOfARemovedDescriptorDoesNotReachTheNextUserOfItsNumber) {
  EventLoop loop;
  Pair a, b;
  int late = 0;
  Call second([&](std::uint32_t) { ++late; });
  Call first([&](std::uint32_t) {
    // b's number now stands for another registration, without data of interest.
    for (const int fd : {a.fd[0], b.fd[0]}) {
      loop.remove(fd);
      loop.add(fd, 0, second);
    }
    loop.after(milliseconds(1), [&] { loop.stop(); });
  });
  loop.add(a.fd[0], EPOLLIN, first);
  loop.add(b.fd[0], EPOLLIN, first);
  a.ring();
  b.ring();
  loop.run();
  EXPECT_EQ(late, 0);
}

TEST(EventLoop, ModifyChangesWhatIsWatched) {
  EventLoop loop;
  Pair pair;
  std::uint32_t seen = 0;
  Call handler([&](std::uint32_t events) {
    seen = events;
    loop.stop();
  });
  loop.add(pair.fd[0], 0, handler);
  loop.post([&] { loop.modify(pair.fd[0], EPOLLOUT); });
  loop.run();
  EXPECT_EQ(seen, static_cast<std::uint32_t>(EPOLLOUT));
}

TEST(EventLoop, EndOfTurnRunsOnceAfterTheTurnsEventsAndMayRemoveItself) {
  EventLoop loop;
  std::string order;
  std::uint64_t once = 0;
  once = loop.add_end_of_turn([&] {
    order += 'o';
    loop.remove_end_of_turn(once);
  });
  loop.add_end_of_turn([&] { order += '|'; });
  loop.post([&] { order += '1'; });
  loop.post([&] {
    order += '2';
    loop.after(milliseconds(1), [&] {
      order += '3';
      loop.stop();
    });
  });
  loop.run();
  EXPECT_EQ(order, "12o|3|");
}

TEST(EventLoop, ClosedPeerIsReported) {
  EventLoop loop;
  Pair pair;
  std::uint32_t seen = 0;
  Call handler([&](std::uint32_t events) {
    seen = events;
    loop.stop();
  });
  loop.add(pair.fd[0], EPOLLIN, handler);
  ::shutdown(pair.fd[1], SHUT_RDWR);
  loop.run();
  EXPECT_TRUE(seen & EPOLLHUP);
}

}  // namespace
}  // namespace higgs::net

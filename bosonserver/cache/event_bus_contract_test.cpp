// What an event bus must do, run against each implementation.
#include <algorithm>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "bosonserver/cache/event_message.h"
#include "bosonserver/cache/local_event_bus.h"
#include "bosonserver/cache/redis_event_bus.h"
#include "bosonserver/cache/testing/redis_home.h"
#include "runtime/log.h"

namespace higgs::boson {
namespace {

using std::chrono::seconds;

constexpr seconds kDeadline{20};
using List = std::vector<std::string>;

/// Keeps what it is told: "topic=payload", "resync".
class RecordingListener {
 public:
  explicit RecordingListener(EventBus& bus) {
    subscription_ =
        bus.subscribe({[this](const std::string& topic, const std::string& payload) { add(topic + "=" + payload); },
                       [this] { add("resync"); }});
  }
  /// Whether a list for which this holds is reached.
  template <class F>
  bool sees_that(F condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, [&] { return condition(seen_); });
  }
  bool sees(const std::string& last) {
    return sees_that([&](const List& seen) { return !seen.empty() && seen.back() == last; });
  }
  List events() {
    const std::lock_guard lock(mutex_);
    List list = seen_;
    std::erase(list, "resync");
    return list;
  }
  void stop() { subscription_.reset(); }

 private:
  void add(std::string text) {
    const std::lock_guard lock(mutex_);
    seen_.push_back(std::move(text));
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  List seen_;
  std::unique_ptr<EventSubscription> subscription_;
};

bool wait_until(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + kDeadline;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

struct BusSubject {
  std::shared_ptr<EventBus> here, there;  ///< of two servers of one cluster, if it can have two
};
using BusFactory = BusSubject (*)();

BusSubject make_local_bus() {
  auto bus = std::make_shared<LocalEventBus>();
  return {bus, bus};
}

BusSubject make_redis_bus() {
  struct Made {
    testing::RedisHome home;
    RedisEventBus here{home.redis, testing::shared_redis().options(), home.prefix, home.random};
    RedisEventBus there{home.redis, testing::shared_redis().options(), home.prefix, home.random};
  };
  const auto made = std::make_shared<Made>();
  EXPECT_TRUE(wait_until([&] { return made->here.stats().connected && made->there.stats().connected; }));
  return {std::shared_ptr<EventBus>(made, &made->here), std::shared_ptr<EventBus>(made, &made->there)};
}

class EventBusContract : public ::testing::TestWithParam<BusFactory> {
 protected:
  BusSubject subject_ = GetParam()();
  EventBus& here_ = *subject_.here;
  EventBus& there_ = *subject_.there;
};

TEST_P(EventBusContract, EachSubscriberGetsEachEventOnceAndInOrder) {
  RecordingListener one(here_), two(here_), far(there_);
  List expected;
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(here_.publish("node/up", std::to_string(i)));
    expected.push_back("node/up=" + std::to_string(i));
  }
  ASSERT_TRUE(there_.publish("end", ""));
  expected.emplace_back("end=");
  for (auto* listener : {&one, &two, &far})
    EXPECT_TRUE(listener->sees_that([&](const List& seen) {
      return std::count(seen.begin(), seen.end(), "end=") == 1 && std::count(seen.begin(), seen.end(), "node/up=199");
    }));
  ASSERT_TRUE(here_.publish("last", ""));
  for (auto* listener : {&one, &two, &far}) {
    ASSERT_TRUE(listener->sees("last="));
    auto events = listener->events();
    events.pop_back();
    // The order between two publishers is open.
    std::stable_partition(events.begin(), events.end(), [](const auto& event) { return event != "end="; });
    EXPECT_EQ(events, expected);
  }
}

TEST_P(EventBusContract, PayloadsAreAnyBytesUpToTheLimit) {
  RecordingListener far(there_);
  const std::string odd("a:b\0\r\n:", 7), large(kMaxEventPayloadBytes, 'x');
  ASSERT_TRUE(here_.publish("a", odd));
  ASSERT_TRUE(here_.publish("b", large));
  EXPECT_TRUE(far.sees("b=" + large));
  EXPECT_EQ(far.events().front(), "a=" + odd);
  EXPECT_EQ(here_.publish("a", large + "x").error(), EventError::kPayload);
  for (const auto& topic : {std::string(), std::string("a:b"), std::string("A"), std::string("ä"),
                            std::string(kMaxEventTopicBytes + 1, 'a')})
    EXPECT_EQ(here_.publish(topic, "").error(), EventError::kTopic) << topic;
}

TEST_P(EventBusContract, ASlowHandlerHoldsUpNobodyAndIsToldWhatItMissed) {
  std::promise<void> go;
  const auto gate = go.get_future().share();
  std::promise<void> entered;
  std::atomic<bool> first = true;
  const auto slow = here_.subscribe({[&](const std::string&, const std::string&) {
                                       if (first.exchange(false)) entered.set_value();
                                       gate.wait();
                                     },
                                     [] {}});
  RecordingListener other(here_);
  ASSERT_TRUE(here_.publish("a", ""));
  ASSERT_EQ(entered.get_future().wait_for(kDeadline), std::future_status::ready);
  for (std::size_t i = 0; i < kMaxQueuedEvents + 10; ++i) ASSERT_TRUE(here_.publish("b", ""));
  EXPECT_GE(here_.stats().dropped, 10u);
  go.set_value();
  EXPECT_TRUE(other.sees_that(
      [](const List& seen) { return std::count(seen.begin(), seen.end(), "b=") > 0 && seen.back() == "resync"; }));
  ASSERT_TRUE(here_.publish("c", ""));
  EXPECT_TRUE(other.sees("c="));
}

TEST_P(EventBusContract, AnEndedSubscriptionIsToldNothing) {
  auto ended = std::make_unique<RecordingListener>(here_);
  RecordingListener kept(here_);
  std::unique_ptr<EventSubscription> own;
  std::atomic<int> calls = 0;
  own = here_.subscribe({[&](const std::string&, const std::string&) {
                           ++calls;
                           own.reset();
                         },
                         [] {}});
  ASSERT_TRUE(here_.publish("a", ""));
  EXPECT_TRUE(kept.sees("a="));
  ended->stop();
  const auto before = ended->events().size();
  ASSERT_TRUE(here_.publish("b", ""));
  EXPECT_TRUE(kept.sees("b="));
  EXPECT_EQ(ended->events().size(), before);
  RecordingListener last(here_);
  ASSERT_TRUE(here_.publish("c", ""));
  EXPECT_TRUE(last.sees("c="));
  EXPECT_EQ(calls, 1);
}

TEST_P(EventBusContract, AHandlerThatThrowsHarmsNobody) {
  runtime::log::set_level(runtime::log::Level::kOff);
  const auto bad =
      here_.subscribe({[](const std::string&, const std::string&) { throw std::runtime_error("bad"); }, [] {}});
  RecordingListener good(here_);
  ASSERT_TRUE(here_.publish("a", "1"));
  ASSERT_TRUE(here_.publish("a", "2"));
  EXPECT_TRUE(good.sees("a=2"));
}

INSTANTIATE_TEST_SUITE_P(Local, EventBusContract, ::testing::Values(&make_local_bus));
INSTANTIATE_TEST_SUITE_P(Redis, EventBusContract, ::testing::Values(&make_redis_bus));

/// Two servers, each with its own connections, and a Redis of the test's own.
class RedisEventBusTest : public ::testing::Test {
 protected:
  struct Node {
    Node(const RedisOptions& options, RandomSource& random)
        : redis(options, random), bus(redis, options, "higgs:", random) {}
    bool connected() const { return redis.connected() && bus.stats().connected; }
    bool disconnected() const { return !redis.connected() && !bus.stats().connected; }
    RedisConnection redis;
    RedisEventBus bus;
  };
  RedisEventBusTest() { runtime::log::set_level(runtime::log::Level::kOff); }
  RedisOptions options() const {
    auto options = server_.options();
    options.idle_ping = std::chrono::milliseconds(100);
    return options;
  }

  testing::RedisServer server_;
  SystemRandom random_;
};

TEST_F(RedisEventBusTest, AfterAnOutageEverybodyIsToldToReadAgain) {
  Node one(options(), random_), two(options(), random_);
  RecordingListener here(one.bus), far(two.bus);
  EXPECT_TRUE(far.sees("resync")) << "what was before it listened is not known";
  EXPECT_TRUE(wait_until([&] { return one.connected() && two.connected(); }));
  server_.kill();
  EXPECT_TRUE(wait_until([&] { return one.disconnected() && two.disconnected(); }));
  ASSERT_TRUE(one.bus.publish("a", "1"));
  EXPECT_TRUE(here.sees("a=1")) << "this server's own subscribers need no Redis";
  EXPECT_EQ(one.bus.stats().lost, 1u);
  server_.start();
  EXPECT_TRUE(far.sees_that([](const List& seen) { return std::count(seen.begin(), seen.end(), "resync") >= 2; }));
  EXPECT_TRUE(wait_until([&] { return one.connected() && two.connected(); }));
  ASSERT_TRUE(one.bus.publish("a", "2"));
  EXPECT_TRUE(far.sees("a=2"));
  EXPECT_EQ(far.events(), List{"a=2"});
}

TEST_F(RedisEventBusTest, LossesAreToldToThoseWhoHeardAllTheWhile) {
  Node one(options(), random_);
  EXPECT_TRUE(wait_until([&] { return one.connected(); }));
  Node two(options(), random_);
  EXPECT_TRUE(wait_until([&] { return two.connected(); }));
  RedisConnection admin(options(), random_);
  ASSERT_TRUE(admin.wait_connected(kDeadline));
  RecordingListener far(two.bus);
  const auto lose_one = [&] {
    const auto before = one.bus.stats().lost;
    ASSERT_TRUE(admin.call({{"ACL", "SETUSER", "default", "-publish"}, is_status}));
    ASSERT_TRUE(one.bus.publish("a", "lost"));
    EXPECT_TRUE(wait_until([&] { return one.bus.stats().lost == before + 1; }));
    ASSERT_TRUE(admin.call({{"ACL", "SETUSER", "default", "+publish"}, is_status}));
  };
  lose_one();
  ASSERT_TRUE(one.bus.publish("a", "next"));
  EXPECT_TRUE(far.sees("a=next"));
  EXPECT_TRUE(far.sees_that([](const List& seen) { return seen.size() >= 2 && seen[seen.size() - 2] == "resync"; }));

  // Nothing is published any more, but its other connection is made again.
  lose_one();
  const auto listening = admin.call({{"CLIENT", "LIST", "TYPE", "pubsub"}, is_text_or_nil});
  ASSERT_TRUE(listening);
  const auto first = listening->text.substr(3, listening->text.find(' ') - 3);  // "id=7 addr=…", the oldest first
  ASSERT_TRUE(admin.call({{"CLIENT", "KILL", "ID", first}, is_integer}));
  EXPECT_TRUE(far.sees("resync"));
  EXPECT_TRUE(two.bus.stats().connected);
}

TEST_F(RedisEventBusTest, APausedRedisIsNoticedByWhoListens) {
  Node one(options(), random_);
  EXPECT_TRUE(wait_until([&] { return one.connected(); }));
  server_.pause();
  EXPECT_TRUE(wait_until([&] { return !one.bus.stats().connected; }));
  server_.resume();
  EXPECT_TRUE(wait_until([&] { return one.connected(); }));
}

TEST_F(RedisEventBusTest, WhatIsNoEventIsCountedAndIgnored) {
  Node one(options(), random_);
  RecordingListener here(one.bus);
  EXPECT_TRUE(wait_until([&] { return one.connected(); }));
  const auto say = [&](const std::string& text) {
    ASSERT_TRUE(one.redis.call({{"PUBLISH", "higgs:events", text}, is_integer}));
  };
  const std::string origin(kEventOriginBytes, 'a');
  for (const auto& bad : {std::string(), std::string("nonsense"), origin, origin + ":", origin + ":a", origin + ":A:x",
                          std::string(kEventOriginBytes, 'g') + ":a:x", origin + "::x",
                          origin + ":a:" + std::string(kMaxEventPayloadBytes + 1, 'x')})
    say(bad);
  say(origin + ":a:good");
  EXPECT_TRUE(here.sees("a=good"));
  EXPECT_EQ(one.bus.stats().malformed, 9u);
  EXPECT_EQ(here.events(), List{"a=good"});
  say(origin + "::");
  EXPECT_TRUE(here.sees("resync"));
}

}  // namespace
}  // namespace higgs::boson

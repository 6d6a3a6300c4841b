// What presence must do, run against each implementation.
#include <algorithm>
#include <thread>

#include <gtest/gtest.h>

#include "bosonserver/cache/memory_presence.h"
#include "bosonserver/cache/redis_presence.h"
#include "bosonserver/cache/testing/redis_home.h"
#include "runtime/log.h"

namespace higgs::boson {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr PresenceLimits kLimits{.entries = 6, .listed = 4};

struct PresenceSubject {
  std::shared_ptr<Presence> presence;
  std::function<void(milliseconds)> advance;
};
using PresenceFactory = PresenceSubject (*)();

PresenceSubject make_memory_presence() {
  auto now = std::make_shared<Instant>();
  return {std::make_shared<MemoryPresence>([now] { return *now; }, kLimits), [now](milliseconds by) { *now += by; }};
}

/// Real time passes as well: what a test says about times leaves room for it.
PresenceSubject make_redis_presence() {
  struct Made {
    testing::RedisHome home;
    RedisPresence presence{home.redis, home.prefix, kLimits};
  };
  const auto made = std::make_shared<Made>();
  return {std::shared_ptr<Presence>(made, &made->presence), [made](milliseconds by) { made->home.advance(by); }};
}

class PresenceContract : public ::testing::TestWithParam<PresenceFactory> {
 protected:
  std::optional<std::string> get(const std::string& key) {
    const auto value = presence_.get(key);
    EXPECT_TRUE(value);
    return value ? *value : std::nullopt;
  }
  /// "name=value", sorted.
  std::vector<std::string> all(const std::string& directory) {
    const auto entries = presence_.all(directory);
    EXPECT_TRUE(entries);
    std::vector<std::string> list;
    for (const auto& entry : entries ? *entries : std::vector<Presence::Entry>())
      list.push_back(entry.name + "=" + entry.value);
    std::sort(list.begin(), list.end());
    return list;
  }
  using List = std::vector<std::string>;

  PresenceSubject subject_ = GetParam()();
  Presence& presence_ = *subject_.presence;
};

TEST_P(PresenceContract, IsTrueWhileSomebodySaysSo) {
  EXPECT_EQ(get("node/a"), std::nullopt);
  ASSERT_TRUE(presence_.set("node/a", "1", seconds(100)));
  subject_.advance(seconds(60));
  ASSERT_TRUE(presence_.set("node/a", "1", seconds(100)));
  subject_.advance(seconds(60));
  EXPECT_EQ(get("node/a"), "1");
  EXPECT_EQ(all("node"), List{"a=1"});
  subject_.advance(seconds(40));
  EXPECT_EQ(get("node/a"), std::nullopt);
  EXPECT_EQ(all("node"), List());
}

TEST_P(PresenceContract, TheLastWordCounts) {
  ASSERT_TRUE(presence_.set("node/a", "one", seconds(100)));
  ASSERT_TRUE(presence_.set("node/a", "two", seconds(200)));
  EXPECT_EQ(get("node/a"), "two");
  EXPECT_EQ(all("node"), List{"a=two"});
  subject_.advance(seconds(120));
  EXPECT_EQ(get("node/a"), "two");
}

TEST_P(PresenceContract, WhoWasReplacedTakesNothingAway) {
  ASSERT_TRUE(presence_.set("node/a", "one", seconds(100)));
  ASSERT_TRUE(presence_.set("node/a", "two", seconds(100)));
  EXPECT_EQ(presence_.erase("node/a", "one").value(), false);
  EXPECT_EQ(get("node/a"), "two");
  EXPECT_EQ(presence_.erase("node/a", "two").value(), true);
  EXPECT_EQ(get("node/a"), std::nullopt);
  EXPECT_EQ(all("node"), List());
  EXPECT_EQ(presence_.erase("node/a", "two").value(), false);
  EXPECT_EQ(presence_.erase("node/never", "").value(), false);
}

TEST_P(PresenceContract, ManyAreRenewedAtOnceButNotWhatIsAnothers) {
  ASSERT_TRUE(presence_.set("node/a", "mine", seconds(100)));
  ASSERT_TRUE(presence_.set("node/b", "another's", seconds(100)));
  subject_.advance(seconds(60));
  ASSERT_TRUE(presence_.renew("node", {"a", "b", "c"}, "mine", seconds(100)));
  EXPECT_EQ(all("node"), (List{"a=mine", "b=another's", "c=mine"}));
  subject_.advance(seconds(60));
  EXPECT_EQ(all("node"), (List{"a=mine", "c=mine"}));
  EXPECT_EQ(get("node/a"), "mine");
  EXPECT_EQ(get("node/b"), std::nullopt);
  subject_.advance(seconds(40));
  EXPECT_EQ(all("node"), List());
  EXPECT_TRUE(presence_.renew("node", {}, "mine", seconds(100)));
}

TEST_P(PresenceContract, WhatIsRenewedIsBounded) {
  ASSERT_TRUE(presence_.renew("node", {"0", "1", "2", "3"}, "x", seconds(100)));
  EXPECT_EQ(presence_.renew("node", {"4", "5", "6", "0"}, "x", seconds(200)).error(), PresenceError::kFull);
  EXPECT_EQ(get("node/5"), "x");
  EXPECT_EQ(get("node/6"), std::nullopt);
  subject_.advance(seconds(120));
  EXPECT_EQ(get("node/0"), "x") << "what has room is renewed all the same";
  EXPECT_EQ(get("node/1"), std::nullopt);
  EXPECT_EQ(presence_.renew("node", {std::string(kMaxPresenceKeyBytes, 'k')}, "x", seconds(1)).error(),
            PresenceError::kTooLarge);
  EXPECT_EQ(presence_.renew("node", {"0"}, std::string(kMaxPresenceValueBytes + 1, 'v'), seconds(1)).error(),
            PresenceError::kTooLarge);
}

TEST_P(PresenceContract, ADirectoryListsItsOwn) {
  const std::string odd("x/y\0*[?\r\n", 9);
  ASSERT_TRUE(presence_.set("server/a", "{\"url\":\"…\"}", seconds(100)));
  ASSERT_TRUE(presence_.set("server/" + odd, "", seconds(100)));
  ASSERT_TRUE(presence_.set("servers/b", "2", seconds(100)));
  EXPECT_EQ(all("server"), (List{"a={\"url\":\"…\"}", odd + "="}));
  EXPECT_EQ(get("server/" + odd), "");
  EXPECT_EQ(all("nobody"), List());
}

TEST_P(PresenceContract, IsBounded) {
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(presence_.set("node/" + std::to_string(i), "x", seconds(100)));
  EXPECT_EQ(all("node").size(), 4u);
  for (int i = 4; i < 6; ++i) ASSERT_TRUE(presence_.set("node/" + std::to_string(i), "x", seconds(100)));
  EXPECT_EQ(presence_.all("node").error(), PresenceError::kTooMany);
  EXPECT_EQ(presence_.set("node/6", "x", seconds(100)).error(), PresenceError::kFull);
  EXPECT_TRUE(presence_.set("node/0", "y", seconds(100))) << "is there already";
  EXPECT_TRUE(presence_.set("server/6", "x", seconds(100))) << "another directory";
  EXPECT_EQ(presence_.erase("node/0", "y").value(), true);
  EXPECT_TRUE(presence_.set("node/6", "x", seconds(100)));
  EXPECT_EQ(presence_.set("node/" + std::string(kMaxPresenceKeyBytes, 'k'), "x", seconds(1)).error(),
            PresenceError::kTooLarge);
  EXPECT_EQ(presence_.set("node/0", std::string(kMaxPresenceValueBytes + 1, 'v'), seconds(1)).error(),
            PresenceError::kTooLarge);
}

TEST_P(PresenceContract, OneOfTwoErasersWins) {
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(presence_.set("node/a", "1", seconds(100)));
    std::atomic<int> erased = 0;
    auto erase = [&] { erased += presence_.erase("node/a", "1").value() ? 1 : 0; };
    std::thread one(erase), two(erase);
    one.join();
    two.join();
    ASSERT_EQ(erased, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Memory, PresenceContract, ::testing::Values(&make_memory_presence));
INSTANTIATE_TEST_SUITE_P(Redis, PresenceContract, ::testing::Values(&make_redis_presence));

TEST(RedisPresence, IsSharedAndKeepsNothingForEver) {
  testing::RedisHome home;
  RedisPresence one(home.redis, home.prefix), two(home.redis, home.prefix);
  ASSERT_TRUE(one.set("node/a", "one", seconds(100)));
  ASSERT_TRUE(one.set("node/b", "one", seconds(10)));
  EXPECT_EQ(two.get("node/a").value(), "one");
  ASSERT_TRUE(two.set("node/a", "two", seconds(100)));
  EXPECT_EQ(one.erase("node/a", "one").value(), false);
  EXPECT_EQ(two.all("node")->size(), 2u);
  EXPECT_EQ(home.keys(), 3u);
  home.advance(seconds(100));
  EXPECT_EQ(home.keys(), 0u);
}

TEST(RedisPresence, RenewsManyWithFewCommands) {
  testing::RedisHome home;
  RedisPresence presence(home.redis, home.prefix, {.entries = 1'000, .listed = 1'000});
  std::vector<std::string> names;
  for (int i = 0; i < 950; ++i) names.push_back(std::to_string(i));
  const auto before = home.redis.stats().commands;
  ASSERT_TRUE(presence.renew("node", names, "x", seconds(100)));
  EXPECT_EQ(home.redis.stats().commands - before, 10u);
  EXPECT_EQ(presence.all("node")->size(), names.size());
}

TEST(RedisPresence, SaysWhenItIsNotKnown) {
  runtime::log::set_level(runtime::log::Level::kOff);
  testing::RedisServer server;
  SystemRandom random;
  RedisConnection redis(server.options(), random);
  ASSERT_TRUE(redis.wait_connected(seconds(20)));
  RedisPresence presence(redis, "higgs:");
  ASSERT_TRUE(presence.set("node/a", "1", seconds(100)));
  server.kill();
  EXPECT_EQ(presence.get("node/a").error(), PresenceError::kUnavailable);
  EXPECT_EQ(presence.set("node/a", "1", seconds(100)).error(), PresenceError::kUnavailable);
  EXPECT_EQ(presence.renew("node", {"a", "b"}, "1", seconds(100)).error(), PresenceError::kUnavailable);
  EXPECT_EQ(presence.erase("node/a", "1").error(), PresenceError::kUnavailable);
  EXPECT_EQ(presence.all("node").error(), PresenceError::kUnavailable);
  server.start();
  ASSERT_TRUE(redis.wait_connected(seconds(20)));
  EXPECT_EQ(presence.get("node/a").value(), std::nullopt);
}

}  // namespace
}  // namespace higgs::boson

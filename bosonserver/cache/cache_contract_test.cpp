// What every cache must do, run against each implementation.
#include <thread>

#include <gtest/gtest.h>

#include "bosonserver/cache/memory_cache.h"
#include "bosonserver/cache/redis_cache.h"
#include "bosonserver/cache/testing/redis_home.h"
#include "bosonserver/cache/testing/redis_server.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace higgs::boson {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct CacheSubject {
  std::shared_ptr<Cache> cache;
  std::function<void(milliseconds)> advance;
};
using CacheFactory = CacheSubject (*)();

CacheSubject make_memory_cache() {
  auto now = std::make_shared<Instant>();
  return {std::make_shared<MemoryCache>([now] { return *now; }), [now](milliseconds by) { *now += by; }};
}

/// Real time passes as well: what a test says about times leaves room for it.
CacheSubject make_redis_cache() {
  struct Made {
    testing::RedisHome home;
    RedisCache cache{home.redis, home.prefix, home.random, [] { return runtime::now().monotonic; }};
  };
  const auto made = std::make_shared<Made>();
  return {std::shared_ptr<Cache>(made, &made->cache), [made](milliseconds by) { made->home.advance(by); }};
}

class CacheContract : public ::testing::TestWithParam<CacheFactory> {
 protected:
  CacheSubject subject_ = GetParam()();
  Cache& cache_ = *subject_.cache;
};

TEST_P(CacheContract, EntriesLiveUntilTheirTimeIsOver) {
  EXPECT_EQ(cache_.get("a"), std::nullopt);
  cache_.set("a", "1", seconds(200), {});
  cache_.set("a", "2", seconds(500), {});
  subject_.advance(seconds(450));
  EXPECT_EQ(cache_.get("a"), "2");
  subject_.advance(seconds(50));
  EXPECT_EQ(cache_.get("a"), std::nullopt);
  cache_.set("a", "3", milliseconds(0), {});
  EXPECT_EQ(cache_.get("a"), std::nullopt);
}

TEST_P(CacheContract, ErasedAndTaggedEntriesGo) {
  cache_.set("a", "1", seconds(500), {"n1", "n2"});
  cache_.set("b", "2", seconds(500), {"n2"});
  cache_.set("c", "3", seconds(500), {"n3"});
  cache_.drop_tagged("n1");
  EXPECT_EQ(cache_.get("a"), std::nullopt);
  EXPECT_EQ(cache_.get("b"), "2");
  cache_.drop_tagged("n2");
  cache_.drop_tagged("unknown");
  EXPECT_EQ(cache_.get("b"), std::nullopt);
  cache_.erase("c");
  EXPECT_EQ(cache_.get("c"), std::nullopt);
}

TEST_P(CacheContract, AReplacedEntryLosesItsOldTags) {
  cache_.set("a", "1", seconds(500), {"old"});
  cache_.set("a", "2", seconds(500), {"new"});
  cache_.drop_tagged("old");
  EXPECT_EQ(cache_.get("a"), "2");
  cache_.drop_tagged("new");
  EXPECT_EQ(cache_.get("a"), std::nullopt);
}

TEST_P(CacheContract, ATagThatWasDroppedCanBeUsedAgain) {
  for (const auto* value : {"1", "2"}) {
    cache_.set("a", value, seconds(500), {"n"});
    EXPECT_EQ(cache_.get("a"), value);
    cache_.drop_tagged("n");
    EXPECT_EQ(cache_.get("a"), std::nullopt);
  }
}

TEST_P(CacheContract, KeysAndValuesAreAnyBytes) {
  const std::string odd("v\0\r\n\"' {t}:*", 12);
  cache_.set(odd, odd, seconds(500), {odd, ""});
  EXPECT_EQ(cache_.get(odd), odd);
  cache_.set("empty", "", seconds(500), {});
  EXPECT_EQ(cache_.get("empty"), "");
  cache_.drop_tagged(odd);
  EXPECT_EQ(cache_.get(odd), std::nullopt);
}

TEST_P(CacheContract, CountsInWindows) {
  EXPECT_EQ(cache_.count("k", seconds(100)).count, 1u);
  subject_.advance(seconds(40));
  const auto second = cache_.count("k", seconds(100));
  EXPECT_EQ(second.count, 2u);
  EXPECT_GT(second.resets_in, seconds(40));
  EXPECT_LE(second.resets_in, seconds(60));
  EXPECT_EQ(cache_.count("other", seconds(100)).count, 1u);
  subject_.advance(milliseconds(60'001));
  const auto first = cache_.count("k", seconds(100));
  EXPECT_EQ(first.count, 1u);
  EXPECT_GT(first.resets_in, seconds(80));
}

TEST_P(CacheContract, CountsOfManyThreadsAreAllCounted) {
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) cache_.count("k", seconds(500));
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(cache_.count("k", seconds(500)).count, 201u);
}

INSTANTIATE_TEST_SUITE_P(Memory, CacheContract, ::testing::Values(&make_memory_cache));
INSTANTIATE_TEST_SUITE_P(Redis, CacheContract, ::testing::Values(&make_redis_cache));

TEST(RedisCache, IsSharedByServersAndBoundToItsPrefix) {
  testing::RedisHome home;
  const auto clock = [] { return runtime::now().monotonic; };
  RedisCache one(home.redis, home.prefix, home.random, clock), two(home.redis, home.prefix, home.random, clock);
  RedisCache other(home.redis, home.prefix + "other:", home.random, clock);
  one.set("a", "1", seconds(500), {"n"});
  EXPECT_EQ(two.get("a"), "1");
  EXPECT_EQ(other.get("a"), std::nullopt);
  other.drop_tagged("n");
  EXPECT_EQ(one.get("a"), "1");
  two.drop_tagged("n");
  EXPECT_EQ(one.get("a"), std::nullopt);
  EXPECT_EQ(one.count("k", seconds(500)).count, 1u);
  EXPECT_EQ(two.count("k", seconds(500)).count, 2u);
}

TEST(RedisCache, KeepsNothingForEver) {
  testing::RedisHome home;
  RedisCache cache(home.redis, home.prefix, home.random, [] { return runtime::now().monotonic; });
  cache.set("a", "1", std::chrono::hours(1'000), {"n"});
  cache.drop_tagged("n");
  cache.count("k", seconds(500));
  EXPECT_EQ(home.keys(), 3u);
  home.advance(kLongestCacheEntry);
  EXPECT_EQ(home.keys(), 0u);
}

TEST(RedisCache, WithoutRedisNothingIsFoundAndLimitsHold) {
  runtime::log::set_level(runtime::log::Level::kOff);
  testing::RedisServer server;
  SystemRandom random;
  RedisConnection redis(server.options(), random);
  ASSERT_TRUE(redis.wait_connected(seconds(20)));
  Instant now;
  RedisCache cache(redis, "higgs:", random, [&now] { return now; });
  cache.set("a", "1", seconds(500), {"n"});
  EXPECT_EQ(cache.count("k", seconds(500)).count, 1u);
  server.kill();
  EXPECT_EQ(cache.get("a"), std::nullopt);
  cache.set("b", "1", seconds(500), {});
  cache.erase("a");
  cache.drop_tagged("n");
  for (std::uint64_t i = 1; i <= 3; ++i) EXPECT_EQ(cache.count("k", seconds(10)).count, i);
  now += seconds(10);
  EXPECT_EQ(cache.count("k", seconds(10)).count, 1u);
  server.start();
  ASSERT_TRUE(redis.wait_connected(seconds(20)));
  EXPECT_EQ(cache.get("b"), std::nullopt);
  cache.set("b", "2", seconds(500), {});
  EXPECT_EQ(cache.get("b"), "2");
  EXPECT_EQ(cache.count("k", seconds(500)).count, 1u) << "counted by Redis again, which has forgotten";
}

TEST(MemoryCache, IsBounded) {
  Instant now;
  MemoryCache cache([&] { return now; }, {2, 2});
  cache.set("a", "1", seconds(60), {"t"});
  cache.set("b", "2", seconds(60), {});
  cache.set("c", "3", seconds(60), {});
  EXPECT_EQ(cache.entries(), 2u);
  EXPECT_EQ(cache.get("a"), std::nullopt);
  EXPECT_EQ(cache.get("c"), "3");
  for (const auto* key : {"x", "y", "z"}) cache.count(key, seconds(60));
  EXPECT_EQ(cache.counters(), 2u);
  EXPECT_EQ(cache.evicted(), 2u);
  EXPECT_EQ(cache.count("z", seconds(60)).count, 2u);
}

}  // namespace
}  // namespace higgs::boson

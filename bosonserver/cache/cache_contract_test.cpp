// What every cache must do, run against each implementation.
#include <gtest/gtest.h>

#include "bosonserver/cache/memory_cache.h"

namespace higgs::boson {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Subject {
  std::unique_ptr<Cache> cache;
  std::function<void(milliseconds)> advance;
};
using Factory = Subject (*)();

Subject make_memory_cache() {
  auto now = std::make_shared<Instant>();
  return {std::make_unique<MemoryCache>([now] { return *now; }), [now](milliseconds by) { *now += by; }};
}

class CacheContract : public ::testing::TestWithParam<Factory> {
 protected:
  Subject subject_ = GetParam()();
  Cache& cache_ = *subject_.cache;
};

TEST_P(CacheContract, EntriesLiveUntilTheirTimeIsOver) {
  EXPECT_EQ(cache_.get("a"), std::nullopt);
  cache_.set("a", "1", seconds(2), {});
  cache_.set("a", "2", seconds(5), {});
  subject_.advance(milliseconds(4'900));
  EXPECT_EQ(cache_.get("a"), "2");
  subject_.advance(milliseconds(200));
  EXPECT_EQ(cache_.get("a"), std::nullopt);
}

TEST_P(CacheContract, ErasedAndTaggedEntriesGo) {
  cache_.set("a", "1", seconds(5), {"n1", "n2"});
  cache_.set("b", "2", seconds(5), {"n2"});
  cache_.set("c", "3", seconds(5), {"n3"});
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
  cache_.set("a", "1", seconds(5), {"old"});
  cache_.set("a", "2", seconds(5), {"new"});
  cache_.drop_tagged("old");
  EXPECT_EQ(cache_.get("a"), "2");
}

TEST_P(CacheContract, CountsInWindows) {
  EXPECT_EQ(cache_.count("k", seconds(10)).count, 1u);
  subject_.advance(seconds(4));
  const auto second = cache_.count("k", seconds(10));
  EXPECT_EQ(second.count, 2u);
  EXPECT_GT(second.resets_in, seconds(5));
  EXPECT_LE(second.resets_in, seconds(6));
  EXPECT_EQ(cache_.count("other", seconds(10)).count, 1u);
  subject_.advance(milliseconds(6'001));
  EXPECT_EQ(cache_.count("k", seconds(10)).count, 1u);
}

INSTANTIATE_TEST_SUITE_P(Memory, CacheContract, ::testing::Values(&make_memory_cache));

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

#include "base/latency_buckets.h"

#include <numeric>

#include <gtest/gtest.h>

namespace higgs {
namespace {

using namespace std::chrono_literals;

TEST(LatencyBucketsTest, EachFallsIntoItsStep) {
  LatencyBuckets buckets;
  for (const std::chrono::nanoseconds taken : {0ns, 100'000ns, 100'001ns, 2'500'000'000ns, 2'500'000'001ns})
    buckets.add(taken);
  EXPECT_EQ(buckets.counts[0], 2u) << "a bound belongs to its step";
  EXPECT_EQ(buckets.counts[1], 1u);
  EXPECT_EQ(buckets.counts[LatencyBuckets::kBounds.size() - 1], 1u);
  EXPECT_EQ(buckets.counts.back(), 1u);
  EXPECT_EQ(buckets.sum, 5'000'200'002ns);
  LatencyBuckets other;
  other.add(1s);
  buckets.add(other);
  EXPECT_EQ(std::accumulate(buckets.counts.begin(), buckets.counts.end(), std::uint64_t{0}), 6u);
  EXPECT_EQ(buckets.sum, 6'000'200'002ns);
}

}  // namespace
}  // namespace higgs

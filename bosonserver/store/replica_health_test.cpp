#include "bosonserver/store/replica_health.h"

#include <gtest/gtest.h>

namespace higgs::boson {
namespace {

using namespace std::chrono_literals;

class ReplicaHealthTest : public ::testing::Test {
 protected:
  static constexpr std::int64_t kCluster = 7;

  Instant at(std::chrono::milliseconds time) const { return begin_ + time; }
  void primary(std::chrono::milliseconds time, std::uint64_t position) {
    health_.primary_is_at(at(time), {kCluster, false, position});
  }
  ReplicaFault replica(std::chrono::milliseconds time, std::uint64_t position) {
    return health_.judge(at(time), {kCluster, true, position});
  }

  const Instant begin_{1h};
  ReplicaHealth health_;
};

TEST_F(ReplicaHealthTest, IsAsNewAsTheQuestionWhoseAnswerItHasReached) {
  EXPECT_EQ(replica(0s, 100), ReplicaFault::kUnknown);
  EXPECT_FALSE(health_.age(at(0s)));
  primary(0s, 100);
  EXPECT_EQ(replica(10s, 99), ReplicaFault::kUnknown);
  EXPECT_EQ(replica(11s, 99), ReplicaFault::kBehind);
  primary(1s, 200);
  primary(2s, 300);
  EXPECT_EQ(replica(3s, 250), ReplicaFault::kNone);
  EXPECT_EQ(health_.age(at(3s)), 2s);
  EXPECT_EQ(replica(3s, 300), ReplicaFault::kNone);
  EXPECT_EQ(health_.age(at(3s)), 1s);
}

TEST_F(ReplicaHealthTest, WhatIsTooOldIsNotRead) {
  for (int second = 0; second <= 30; ++second)
    primary(std::chrono::seconds(second), 100 + static_cast<std::uint64_t>(second));
  EXPECT_EQ(replica(30s, 100 + 20), ReplicaFault::kNone);
  EXPECT_EQ(replica(30s + 1ms, 100 + 20), ReplicaFault::kBehind);
  EXPECT_EQ(replica(30s, 99), ReplicaFault::kBehind) << "older than anything that is remembered";
  EXPECT_EQ(replica(30s, 130), ReplicaFault::kNone) << "it is used again";
}

TEST_F(ReplicaHealthTest, AnIdlePrimaryMakesNoReplicaOld) {
  for (int minute = 0; minute < 600; ++minute) {
    primary(std::chrono::minutes(minute), 100);
    ASSERT_EQ(replica(std::chrono::minutes(minute) + 1s, 100), ReplicaFault::kNone);
    ASSERT_EQ(health_.age(at(std::chrono::minutes(minute) + 1s)), 1s);
  }
}

TEST_F(ReplicaHealthTest, WithoutThePrimaryItGetsOlder) {
  primary(0s, 100);
  EXPECT_EQ(replica(10s, 100), ReplicaFault::kNone);
  EXPECT_EQ(replica(11s, 100), ReplicaFault::kBehind);
  EXPECT_EQ(health_.age(at(11s)), 11s);
}

TEST_F(ReplicaHealthTest, OneThatFollowsNobodyOrAnotherIsNone) {
  primary(0s, 100);
  EXPECT_EQ(health_.judge(at(1s), {kCluster, false, 500}), ReplicaFault::kNotAReplica);
  EXPECT_EQ(health_.judge(at(1s), {kCluster + 1, true, 500}), ReplicaFault::kOtherDatabase);
  EXPECT_EQ(replica(1s, 100), ReplicaFault::kNone);
}

TEST_F(ReplicaHealthTest, CatchesUpWithTheNewestQuestion) {
  const auto has = [&](std::uint64_t position) { return health_.caught_up({kCluster, true, position}); };
  EXPECT_TRUE(has(0));
  health_.catch_up(at(2s), {kCluster, false, 300});
  EXPECT_FALSE(has(299));
  EXPECT_TRUE(has(300));
  health_.catch_up(at(1s), {kCluster, false, 200});
  EXPECT_FALSE(has(299)) << "an older answer that came later";
  // A primary that took another's place has lost what the other had not sent yet.
  health_.catch_up(at(3s), {kCluster, false, 250});
  EXPECT_TRUE(has(250));
  EXPECT_EQ(replica(4s, 250), ReplicaFault::kNone);
  EXPECT_EQ(health_.age(at(4s)), 1s);
}

TEST_F(ReplicaHealthTest, RemembersSoMuch) {
  for (std::size_t i = 0; i <= ReplicaHealth::kMostQuestions; ++i) primary(std::chrono::milliseconds(i), 100 + i);
  EXPECT_NE(replica(1s, 100), ReplicaFault::kNone);
  EXPECT_EQ(replica(1s, 101), ReplicaFault::kNone);
}

}  // namespace
}  // namespace higgs::boson

#include "bosonserver/domain/overload.h"

#include <gtest/gtest.h>

namespace higgs::boson {
namespace {

using std::chrono::milliseconds;

class OverloadTest : public ::testing::Test {
 protected:
  /// The level a moment later, at that load.
  std::size_t after(const Load& load, milliseconds step = milliseconds(100)) {
    now_ += step;
    guard_.measure(now_, load);
    return guard_.level();
  }
  /// The level once the loop has been as late for a while.
  std::size_t after_lags(milliseconds lag) {
    for (int i = 0; i < 4; ++i) after({lag, 0, 0});
    return after({lag, 0, 0});
  }
  Instant now_{std::chrono::hours(1)};
  OverloadGuard guard_;
};

TEST_F(OverloadTest, TheLeastImportantGoesFirst) {
  EXPECT_FALSE(refused_at(0, Work::kAnonymous));
  EXPECT_TRUE(refused_at(1, Work::kAnonymous));
  EXPECT_FALSE(refused_at(1, Work::kList));
  EXPECT_TRUE(refused_at(2, Work::kList));
  EXPECT_FALSE(refused_at(2, Work::kRoute));
  EXPECT_TRUE(refused_at(3, Work::kRoute));
  EXPECT_FALSE(refused_at(3, Work::kRenewal));
  EXPECT_TRUE(refused_at(4, Work::kRenewal));
  EXPECT_FALSE(refused_at(kRefusableWork, Work::kAlways));
}

TEST_F(OverloadTest, EachMeasureAloneRaisesTheLevelAtOnce) {
  const OverloadPolicy policy;
  for (std::size_t i = 0; i < kRefusableWork; ++i) {
    for (const Load& load : {Load{{}, policy.queue[i], 0}, Load{{}, 0, policy.memory[i]}}) {
      guard_ = OverloadGuard();
      EXPECT_EQ(after({}), 0u);
      EXPECT_EQ(after(load), i + 1);
    }
    guard_ = OverloadGuard();
    EXPECT_EQ(after_lags(policy.loop_lag[i]), i + 1);
  }
  EXPECT_EQ(after({milliseconds(249), 0.249, 0.749}), kRefusableWork) << "and stays for now";
}

TEST_F(OverloadTest, ALoopThatWasLateForAMomentIsNotOverloaded) {
  for (int i = 0; i < 4; ++i) EXPECT_EQ(after({milliseconds(5000), 0, 0}), 0u);
  EXPECT_EQ(after({}), 0u);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(after({milliseconds(5000), 0, 0}), 0u);
  EXPECT_EQ(after({milliseconds(600), 0, 0}), 2u) << "the least of five";
  EXPECT_EQ(guard_.loop_lag(), milliseconds(600));
}

TEST_F(OverloadTest, ComesDownStepByStepWhenItHasBeenCalm) {
  EXPECT_EQ(after({{}, 0.75, 0}), 3u);
  EXPECT_EQ(after({}), 3u) << "the calm begins";
  EXPECT_EQ(after({}, milliseconds(999)), 3u);
  EXPECT_EQ(after({}, milliseconds(1)), 2u);
  EXPECT_EQ(after({}, milliseconds(999)), 2u) << "each step has its time";
  EXPECT_EQ(after({}, milliseconds(1)), 1u);
  EXPECT_EQ(after({}, milliseconds(1000)), 0u);
  EXPECT_EQ(after({}, milliseconds(1000)), 0u);
}

TEST_F(OverloadTest, JustBelowAStepIsNoCalm) {
  EXPECT_EQ(after({{}, 0, 0.8}), 2u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(after({{}, 0, 0.79}), 2u) << "it would be back at once";
  EXPECT_EQ(after({{}, 0, 0.63}), 2u);
  EXPECT_EQ(after({{}, 0, 0.7}), 2u) << "the calm was broken, and begins anew";
  EXPECT_EQ(after({{}, 0, 0.63}), 2u);
  EXPECT_EQ(after({{}, 0, 0.63}, milliseconds(1000)), 1u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(after({{}, 0, 0.63}), 1u) << "0.63 is above 0.8 of the first step";
}

TEST_F(OverloadTest, RisesAgainWhileItComesDown) {
  EXPECT_EQ(after({{}, 0.5, 0}), 2u);
  EXPECT_EQ(after({}), 2u);
  EXPECT_EQ(after({}, milliseconds(1000)), 1u);
  EXPECT_EQ(after({{}, 0.95, 0}), 4u);
}

TEST_F(OverloadTest, ClassesHaveNames) {
  EXPECT_EQ(to_string(Work::kAnonymous), "anonymous");
  EXPECT_EQ(to_string(Work::kRenewal), "renewal");
}

}  // namespace
}  // namespace higgs::boson

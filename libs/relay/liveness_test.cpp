#include "relay/liveness.h"

#include <gtest/gtest.h>

namespace higgs::relay {
namespace {

using namespace std::chrono_literals;
using Action = Liveness::Action;
const Instant kBegin{1000s};

TEST(Liveness, IdleLinkIsPingedEvery15SecondsAndGivenUpAfterThree) {
  Liveness liveness(kBegin);
  EXPECT_EQ(liveness.handle_timeout(kBegin + 14s), Action::kNone);
  for (int ping = 1; ping <= 3; ++ping) {
    ASSERT_EQ(liveness.deadline(), kBegin + ping * 15s);
    EXPECT_EQ(liveness.handle_timeout(liveness.deadline()), Action::kPing);
  }
  EXPECT_EQ(liveness.handle_timeout(kBegin + 59s), Action::kNone);
  EXPECT_EQ(liveness.handle_timeout(kBegin + 60s), Action::kDead);
}

TEST(Liveness, UnansweredDataIsProbedEvery500MsAndGivenUpAfterTwoSeconds) {
  Liveness liveness(kBegin);
  liveness.on_sent(kBegin + 1s);
  liveness.on_sent(kBegin + 1400ms);  // more of it moves nothing
  for (int probe = 1; probe <= 3; ++probe) {
    ASSERT_EQ(liveness.deadline(), kBegin + 1s + probe * 500ms);
    EXPECT_EQ(liveness.handle_timeout(liveness.deadline()), Action::kPing);
  }
  EXPECT_EQ(liveness.handle_timeout(kBegin + 3s - 1ms), Action::kNone);
  EXPECT_EQ(liveness.handle_timeout(kBegin + 3s), Action::kDead);
}

TEST(Liveness, TwoUnansweredProbesAreADoubt) {
  Liveness liveness(kBegin);
  liveness.handle_timeout(liveness.deadline());
  liveness.handle_timeout(liveness.deadline());
  EXPECT_FALSE(liveness.in_doubt()) << "an idle link has time";
  liveness.on_received(kBegin + 40s);
  liveness.on_sent(kBegin + 40s);
  liveness.handle_timeout(liveness.deadline());
  EXPECT_FALSE(liveness.in_doubt());
  liveness.handle_timeout(liveness.deadline());
  EXPECT_TRUE(liveness.in_doubt());
  liveness.on_received(kBegin + 41500ms);
  EXPECT_FALSE(liveness.in_doubt());
}

TEST(Liveness, AnyAnswerMakesItIdleAgain) {
  Liveness liveness(kBegin);
  liveness.on_sent(kBegin);
  EXPECT_EQ(liveness.handle_timeout(kBegin + 500ms), Action::kPing);
  EXPECT_EQ(liveness.handle_timeout(kBegin + 1000ms), Action::kPing);
  liveness.on_received(kBegin + 1200ms);
  EXPECT_EQ(liveness.deadline(), kBegin + 1200ms + 15s);
  liveness.on_sent(kBegin + 2s);
  for (int probe = 1; probe <= 3; ++probe) EXPECT_EQ(liveness.handle_timeout(liveness.deadline()), Action::kPing);
  EXPECT_EQ(liveness.handle_timeout(liveness.deadline()), Action::kDead);
}

TEST(Liveness, MachineThatSleptAsksAgainBeforeItGivesUp) {
  Liveness liveness(kBegin);
  liveness.on_sent(kBegin);
  const Instant woke = kBegin + 1h;
  EXPECT_EQ(liveness.handle_timeout(woke), Action::kPing);
  EXPECT_EQ(liveness.deadline(), woke + 500ms);
}

}  // namespace
}  // namespace higgs::relay

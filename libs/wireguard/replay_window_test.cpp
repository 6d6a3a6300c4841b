#include "wireguard/replay_window.h"

#include <set>

#include <gtest/gtest.h>

#include "base/random.h"

namespace higgs::wireguard {
namespace {

TEST(ReplayWindow, EachCounterOnce) {
  ReplayWindow window;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    ASSERT_TRUE(window.accept(i));
    ASSERT_FALSE(window.accept(i));
  }
}

TEST(ReplayWindow, ReachesExactlyAsFarBackAsItSays) {
  for (const std::uint64_t top : {kReplayWindow - 1, kReplayWindow, kReplayWindow + 63, kReplayWindow * 5 + 17}) {
    ReplayWindow window;
    ASSERT_TRUE(window.accept(top));
    EXPECT_TRUE(window.accept(top - (kReplayWindow - 1)));
    EXPECT_FALSE(window.accept(top - (kReplayWindow - 1)));
    if (top >= kReplayWindow) {
      EXPECT_FALSE(window.may_accept(top - kReplayWindow));
    }
  }
}

TEST(ReplayWindow, AJumpForgetsWhatWasBefore) {
  ReplayWindow window;
  for (std::uint64_t i = 0; i < kReplayWindow; ++i) ASSERT_TRUE(window.accept(i));
  const std::uint64_t far = std::uint64_t{1} << 50;
  ASSERT_TRUE(window.accept(far));
  for (std::uint64_t i = 1; i < kReplayWindow; ++i) ASSERT_TRUE(window.accept(far - i)) << i;
  EXPECT_FALSE(window.accept(far - kReplayWindow));
  EXPECT_FALSE(window.accept(5));
}

TEST(ReplayWindow, StopsAtTheMessageLimit) {
  ReplayWindow window;
  EXPECT_TRUE(window.accept(kRejectAfterMessages - 1));
  EXPECT_FALSE(window.accept(kRejectAfterMessages));
  EXPECT_FALSE(window.accept(~std::uint64_t{0}));
}

TEST(ReplayWindow, LookingChangesNothing) {
  ReplayWindow window;
  EXPECT_TRUE(window.may_accept(100000));
  EXPECT_TRUE(window.accept(0));
}

TEST(ReplayWindow, AgreesWithASetOnRandomWalks) {
  SeededRandom random(21);
  for (int round = 0; round < 20; ++round) {
    ReplayWindow window;
    std::set<std::uint64_t> seen;
    std::uint64_t greatest = 0;
    for (int i = 0; i < 5000; ++i) {
      const std::uint64_t back = random.below(kReplayWindow + 500);
      const std::uint64_t forward = random.below(10) == 0 ? random.below(3 * kReplayWindow) : random.below(100);
      const std::uint64_t counter = random.below(2) == 0 ? greatest + forward : greatest - std::min(greatest, back);
      const bool expected =
          (seen.empty() || counter > greatest || greatest - counter < kReplayWindow) && !seen.contains(counter);
      ASSERT_EQ(window.may_accept(counter), expected);
      ASSERT_EQ(window.accept(counter), expected);
      if (expected) seen.insert(counter);
      greatest = std::max(greatest, seen.empty() ? 0 : *seen.rbegin());
    }
  }
}

}  // namespace
}  // namespace higgs::wireguard

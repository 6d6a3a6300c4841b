// What comes back and how: retries, networks that change, sleep, and the end that follows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "path/testing/path_bench.h"

namespace higgs::path {
namespace {

using namespace std::chrono_literals;
using namespace testing;
using ::testing::Optional;

TEST(PathManager, ALostDirectPathIsAskedForWithBackOff) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.add(kV4, Kind::kDirectV4);
  bench.run(20s);
  bench.links[kV4].cut = true;
  bench.time_until(2s, [&] { return bench.manager.active() == kRelay; });
  const Instant lost = bench.now;
  bench.run(1h);
  std::vector<std::int64_t> at;
  for (std::size_t i = 0; i < bench.log.size(); ++i) {
    if (std::holds_alternative<RetryDirect>(bench.log[i])) {
      at.push_back(std::chrono::duration_cast<std::chrono::seconds>(bench.when[i] - lost + 10ms).count());
    }
  }
  ASSERT_GE(at.size(), 12u);
  EXPECT_THAT(std::vector(at.begin(), at.begin() + 9), ::testing::ElementsAre(2, 6, 14, 30, 62, 126, 254, 510, 810));
  for (std::size_t i = 9; i < at.size(); ++i) EXPECT_EQ(at[i] - at[i - 1], 300);
  EXPECT_EQ(bench.manager.counters().retries, at.size());

  // The network changes: at once, and from the beginning.
  bench.log.clear();
  bench.manager.network_changed(bench.now);
  bench.drain();
  EXPECT_EQ(bench.of<RetryDirect>().size(), 1u);
  bench.run(6500ms);
  EXPECT_EQ(bench.of<RetryDirect>().size(), 3u);

  // Direct again: no more of it.
  bench.links[kV4].cut = false;
  bench.time_until(20s, [&] { return bench.manager.active() == kV4; });
  bench.log.clear();
  bench.run(1h);
  EXPECT_EQ(bench.of<RetryDirect>().size(), 0u);
}

TEST(PathManager, ANetworkThatChangesAllTheTimeDoesNotMakeAFlood) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  for (int i = 0; i < 1000; ++i) {
    bench.manager.network_changed(bench.now);
    bench.run(10ms);
  }
  EXPECT_LE(bench.of<RetryDirect>().size(), 11u);
  EXPECT_GE(bench.of<RetryDirect>().size(), 9u);
}

TEST(PathManager, AFirstAttemptThatFoundNothingIsRetried) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.run(3s);
  EXPECT_EQ(bench.of<RetryDirect>().size(), 0u) << "the first attempt is under way";
  bench.manager.retry_failed(bench.now);
  bench.run(2100ms);
  EXPECT_EQ(bench.of<RetryDirect>().size(), 1u);
  Bench silent;  // nobody says how it ended
  silent.add(kRelay, Kind::kRelay);
  silent.run(11s);
  EXPECT_EQ(silent.of<RetryDirect>().size(), 1u);
}

TEST(PathManager, ANetworkChangeDoubtsDirectPathsAndKeepsThemIfTheyAnswer) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.add(kV4, Kind::kDirectV4);
  bench.run(10s);
  bench.manager.network_changed(bench.now);
  bench.drain();
  EXPECT_THAT(bench.manager.active(), Optional(kV4));
  EXPECT_THAT(bench.manager.second(), Optional(kRelay)) << "copies at once";
  bench.run(25ms);
  EXPECT_EQ(bench.manager.second(), std::nullopt);
  EXPECT_THAT(bench.changes(), ::testing::ElementsAre(kRelay, kV4));
}

TEST(PathManager, AMachineThatSleptAsksBeforeItJudges) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.add(kV4, Kind::kDirectV4);
  bench.run(10s + 75ms);
  bench.sleep(1h);
  bench.manager.handle_timeout(bench.now);
  bench.drain();
  EXPECT_EQ(bench.manager.counters().stalls, 1u);
  EXPECT_THAT(bench.manager.active(), Optional(kV4));
  EXPECT_THAT(bench.manager.second(), Optional(kRelay));
  bench.run(100ms);
  EXPECT_EQ(bench.manager.second(), std::nullopt);
  EXPECT_THAT(bench.changes(), ::testing::ElementsAre(kRelay, kV4));
  // And where the path is gone when it wakes, it is left as quickly as ever.
  bench.sleep(1h);
  bench.links[kV4].cut = true;
  const auto lost = bench.lost;
  bench.manager.handle_timeout(bench.now);
  EXPECT_LE(bench.time_until(2s, [&] { return bench.manager.active() == kRelay; }), 700ms);
  EXPECT_EQ(bench.lost, lost);
}

TEST(PathManager, AThreadThatWasHeldUpLosesNoProbes) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.add(kV4, Kind::kDirectV4);
  bench.run(10s);
  for (int i = 0; i < 50; ++i) {
    // Timers run before the answers that wait in the socket are read.
    bench.now += 900ms;
    bench.manager.handle_timeout(bench.now);
    bench.drain();
    EXPECT_EQ(bench.manager.second(), std::nullopt);
    bench.run(333ms);
  }
  EXPECT_THAT(bench.changes(), ::testing::ElementsAre(kRelay, kV4));
}

TEST(PathManager, AClockThatRunsBackwardsIsHeld) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.run(1s);
  bench.manager.add(bench.now - 10s, kV4, Kind::kDirectV4, 20ms);
  bench.manager.handle_timeout(bench.now - 20s);
  bench.links[kV4].round_trip = 20ms;
  bench.run(1s);
  EXPECT_THAT(bench.manager.active(), Optional(kV4));
}

TEST(PathManager, AnswersToUnknownProbesAndPathsCountForNothing) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.run(5s);
  bench.links[kV4].cut = true;
  bench.add(kV4, Kind::kDirectV4);
  bench.run(10ms);
  for (std::uint32_t probe = 1000; probe < 1100; ++probe) bench.manager.probe_answered(bench.now, kV4, probe, 1ms);
  const auto mine = bench.of<SendProbe>().back();
  for (int i = 0; i < 10; ++i) bench.manager.probe_answered(bench.now, kRelay, mine.probe, 1ms);
  bench.manager.probe_answered(bench.now, 77, 1, 1ms);
  EXPECT_THAT(bench.manager.active(), Optional(kRelay));
}

TEST(PathManager, TheSameAnswerTwiceIsOneAnswer) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.run(5s);
  bench.links[kV4].cut = true;
  bench.add(kV4, Kind::kDirectV4);
  bench.manager.remove(bench.now, kV4);
  bench.manager.add(bench.now, kV4, Kind::kDirectV4, std::nullopt);  // nothing known of it
  bench.drain();
  const auto probe = bench.of<SendProbe>().back();
  ASSERT_EQ(probe.path, kV4);
  for (int i = 0; i < 10; ++i) bench.manager.probe_answered(bench.now, kV4, probe.probe, 1ms);
  EXPECT_THAT(bench.manager.active(), Optional(kRelay));
}

TEST(PathManager, ARelayThatReturnsIsAReasonToAskAgain) {
  Bench bench;
  bench.add(kTurn, Kind::kTurn);
  bench.add(kRelay, Kind::kRelay);
  bench.run(1h);
  bench.log.clear();
  bench.manager.remove(bench.now, kRelay);
  bench.run(1s);
  EXPECT_EQ(bench.of<RetryDirect>().size(), 0u);
  bench.add(kRelay, Kind::kRelay);
  EXPECT_EQ(bench.of<RetryDirect>().size(), 1u);
  bench.run(1s);
  bench.add(kV4, Kind::kDirectV4);
  bench.run(2s);
  bench.log.clear();
  bench.manager.remove(bench.now, kRelay);
  bench.add(kRelay, Kind::kRelay);
  bench.run(10s);
  EXPECT_EQ(bench.of<RetryDirect>().size(), 0u) << "nothing is missing";
}

TEST(PathFollower, AsksForARetryAfterALongSleep) {
  for (const auto time : {10s, 3600s}) {
    Bench bench(false);
    bench.add(kRelay, Kind::kRelay);
    bench.run(10s);
    bench.sleep(time);
    bench.run(10s);
    EXPECT_EQ(bench.of<RetryDirect>().size(), time > 30s ? 1u : 0u);
  }
}

// --- the follower ----------------------------------------------------------------------------------------------------

TEST(PathFollower, FollowsTheLeaderAndNobodyElse) {
  Bench bench(false);
  bench.add(kRelay, Kind::kRelay);
  bench.add(kV4, Kind::kDirectV4);
  bench.add(kV6, Kind::kDirectV6);
  bench.run(10s);
  EXPECT_THAT(bench.changes(), ::testing::ElementsAre(kRelay)) << "it moves up only when told";
  bench.manager.peer_sends_on(bench.now, kV4, 5);
  bench.drain();
  EXPECT_THAT(bench.manager.active(), Optional(kV4));
  EXPECT_THAT(bench.manager.second(), Optional(kRelay));
  EXPECT_EQ(bench.of<PathChanged>().back().reason, Reason::kFollowedPeer);
  bench.run(1s);
  EXPECT_EQ(bench.manager.second(), std::nullopt);
  EXPECT_EQ(bench.manager.epoch(), 5u);
  EXPECT_EQ(bench.links[kV4].last_epoch, 5u);
  EXPECT_EQ(bench.links[kRelay].last_epoch, 0u);
}

TEST(PathFollower, AnOlderEpochAndDataMoveNothing) {
  Bench bench(false);
  bench.add(kRelay, Kind::kRelay);
  bench.add(kV4, Kind::kDirectV4);
  bench.manager.peer_sends_on(bench.now, kRelay, 1);
  bench.manager.peer_sends_on(bench.now, kV4, 2);
  bench.run(2s);
  bench.manager.peer_sends_on(bench.now, kRelay, 1);  // late
  bench.manager.peer_sends_on(bench.now, kRelay, 2);  // the same again
  for (int i = 0; i < 1000; ++i) bench.manager.note_received(bench.now, kRelay, 64);
  bench.run(2s);
  EXPECT_THAT(bench.manager.active(), Optional(kV4));
  EXPECT_EQ(bench.manager.epoch(), 2u);
  EXPECT_EQ(bench.manager.counters().follows, 1u);
}

TEST(PathFollower, ThePathOfTheEpochMayBecomeKnownLater) {
  Bench bench(false);
  bench.add(kRelay, Kind::kRelay);
  bench.run(1s);
  bench.manager.peer_sends_on(bench.now, kV4, 3);
  bench.run(1s);
  EXPECT_THAT(bench.manager.active(), Optional(kRelay));
  bench.add(kV4, Kind::kDirectV4);
  EXPECT_THAT(bench.manager.active(), Optional(kV4));
}

TEST(PathFollower, FallsBackByItselfAndReturns) {
  Bench bench(false);
  bench.add(kRelay, Kind::kRelay);
  bench.add(kV4, Kind::kDirectV4);
  bench.manager.peer_sends_on(bench.now, kV4, 2);
  bench.run(5s);
  bench.links[kV4].cut = true;
  EXPECT_LE(bench.time_until(2s, [&] { return bench.manager.active() == kRelay; }), 650ms);
  EXPECT_EQ(bench.manager.epoch(), 2u);
  bench.run(1s);
  EXPECT_EQ(bench.links[kRelay].last_epoch, 0u) << "that is not the leader's choice";
  bench.links[kV4].cut = false;
  EXPECT_LT(bench.time_until(20s, [&] { return bench.manager.active() == kV4; }), 8s);
  EXPECT_EQ(bench.of<RetryDirect>().size(), 0u) << "the leader asks";
}

TEST(PathFollower, TheLeadersWordGivesADeadPathAChance) {
  Bench bench(false);
  bench.add(kRelay, Kind::kRelay);
  bench.add(kV4, Kind::kDirectV4);
  bench.links[kV4].cut = true;
  bench.run(10s);
  bench.links[kV4].cut = false;
  bench.manager.peer_sends_on(bench.now, kV4, 9);
  bench.run(100ms);
  EXPECT_THAT(bench.manager.active(), Optional(kV4));
  EXPECT_EQ(bench.manager.second(), std::nullopt);
}

TEST(PathFollower, AsksForARetryWhenItsOwnNetworkChanges) {
  Bench bench(false);
  bench.add(kRelay, Kind::kRelay);
  bench.manager.network_changed(bench.now);
  bench.run(1h);
  EXPECT_EQ(bench.of<RetryDirect>().size(), 1u);
}

TEST(PathLeader, FollowsNobody) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.add(kV4, Kind::kDirectV4);
  bench.run(5s);
  bench.manager.peer_sends_on(bench.now, kRelay, 1000);
  bench.run(1s);
  EXPECT_THAT(bench.manager.active(), Optional(kV4));
  EXPECT_EQ(bench.manager.epoch(), 2u);
  EXPECT_EQ(bench.links[kV4].last_epoch, 2u);
}

}  // namespace
}  // namespace higgs::path

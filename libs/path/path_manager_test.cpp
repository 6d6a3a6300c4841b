#include "path/path_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "path/testing/path_bench.h"

namespace higgs::path {
namespace {

using namespace std::chrono_literals;
using namespace testing;
using ::testing::Optional;

TEST(PathManager, TheFirstPathIsUsedAtOnceAndBetterKindsInOrder) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  EXPECT_THAT(bench.manager.active(), Optional(kRelay));
  bench.run(1s);
  bench.add(kTurn, Kind::kTurn);
  bench.run(1s);
  bench.add(kV4, Kind::kDirectV4);
  bench.run(1s);
  bench.add(kV6, Kind::kDirectV6);
  bench.run(1s);
  bench.add(kOtherV4, Kind::kDirectV4);
  bench.run(20s);
  EXPECT_THAT(bench.changes(), ::testing::ElementsAre(kRelay, kTurn, kV4, kV6));
  EXPECT_EQ(bench.of<PathChanged>()[0].reason, Reason::kOnlyOne);
  EXPECT_EQ(bench.of<PathChanged>()[3].reason, Reason::kBetterKind);
  EXPECT_EQ(bench.manager.epoch(), 4u);
  EXPECT_EQ(bench.manager.counters().upgrades, 3u);
  EXPECT_EQ(bench.lost, 0u);
}

TEST(PathManager, ABetterKindMustAnswerTwiceInARow) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.run(500ms);
  bench.links[kV4].cut = true;
  bench.add(kV4, Kind::kDirectV4);  // found by a check: that was the first answer
  bench.run(5s);
  EXPECT_THAT(bench.manager.active(), Optional(kRelay));
  bench.links[kV4].cut = false;
  EXPECT_LT(bench.time_until(20s, [&] { return bench.manager.active() == kV4; }), 6s);
  // And it takes one round trip where it works.
  Bench quick;
  quick.add(kRelay, Kind::kRelay);
  quick.run(500ms);
  quick.add(kV4, Kind::kDirectV4);
  EXPECT_LE(quick.time_until(1s, [&] { return quick.manager.active() == kV4; }), 22ms);
}

TEST(PathManager, MakesBeforeItBreaks) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.run(500ms);
  EXPECT_EQ(bench.manager.second(), std::nullopt);
  bench.add(kV4, Kind::kDirectV4, 50ms);
  bench.time_until(1s, [&] { return bench.manager.active() == kV4; });
  EXPECT_THAT(bench.manager.second(), Optional(kRelay));
  // Until a probe sent since then is answered: a round trip later.
  const auto overlap = bench.time_until(1s, [&] { return !bench.manager.second(); });
  EXPECT_GE(overlap, 48ms);
  EXPECT_LE(overlap, 52ms);
  EXPECT_GT(bench.copied, 0u);
  EXPECT_EQ(bench.manager.counters().duplicated_packets, bench.copied);
}

TEST(PathManager, AnAnswerToAnEarlierProbeDoesNotEndTheOverlap) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.run(500ms);
  bench.add(kV4, Kind::kDirectV4, 200ms);
  // Probes before the change are under way when it comes; then the path dies.
  bench.time_until(1s, [&] { return bench.manager.active() == kV4; });
  bench.links[kV4].cut = true;
  const auto lost = bench.lost;
  bench.run(5s);
  EXPECT_THAT(bench.manager.active(), Optional(kRelay));
  EXPECT_EQ(bench.lost, lost);
}

TEST(PathManager, ThreeLostProbesUnderTrafficMoveItDown) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.add(kV4, Kind::kDirectV4);
  bench.run(10s);
  ASSERT_THAT(bench.manager.active(), Optional(kV4));
  bench.links[kV4].cut = true;
  const auto doubt = bench.time_until(3s, [&] { return bench.manager.second().has_value(); });
  EXPECT_LE(doubt, 302ms);  // the next probe, and its time-out
  const auto lost = bench.lost;
  const auto down = bench.time_until(3s, [&] { return bench.manager.active() == kRelay; });
  EXPECT_LE(doubt + down, 605ms);
  EXPECT_GE(doubt + down, 400ms);
  EXPECT_EQ(bench.of<PathChanged>().back().reason, Reason::kLostProbes);
  bench.run(20s);
  EXPECT_EQ(bench.lost, lost) << "from the first lost probe on, copies went over the next best path";
  EXPECT_EQ(bench.manager.counters().downgrades, 1u);
  EXPECT_THAT(bench.manager.active(), Optional(kRelay));
}

TEST(PathManager, OneOrTwoLostProbesMoveNothing) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.add(kV4, Kind::kDirectV4);
  bench.run(10s);
  for (int i = 0; i < 20; ++i) {
    bench.links[kV4].cut = true;
    bench.run(250ms);
    bench.links[kV4].cut = false;
    bench.run(1s);
  }
  EXPECT_THAT(bench.changes(), ::testing::ElementsAre(kRelay, kV4));
}

TEST(PathManager, TheTimeoutFollowsTheRoundTrip) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.add(kV4, Kind::kDirectV4, 700ms);  // a satellite
  bench.run(60s);
  EXPECT_THAT(bench.manager.active(), Optional(kV4));
  EXPECT_EQ(bench.manager.counters().downgrades, 0u);
  EXPECT_EQ(bench.manager.second(), std::nullopt);
  bench.links[kV4].cut = true;
  EXPECT_LE(bench.time_until(5s, [&] { return bench.manager.active() == kRelay; }), 1800ms);
}

TEST(PathManager, ALateAnswerIsAnAnswer) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.add(kV4, Kind::kDirectV4, 20ms);
  bench.run(10s);
  bench.links[kV4].round_trip = 350ms;  // a queue fills
  bench.run(30s);
  EXPECT_THAT(bench.changes(), ::testing::ElementsAre(kRelay, kV4));
  EXPECT_EQ(bench.manager.second(), std::nullopt);
}

TEST(PathManager, TheNextBestOfManyIsTaken) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.add(kTurn, Kind::kTurn);
  bench.add(kV4, Kind::kDirectV4);
  bench.add(kV6, Kind::kDirectV6);
  bench.run(20s);
  ASSERT_THAT(bench.manager.active(), Optional(kV6));
  bench.links[kTurn].cut = true;
  bench.run(10s);  // known to be dead by now
  bench.links[kV6].cut = true;
  bench.run(1s);
  EXPECT_THAT(bench.manager.active(), Optional(kV4));
  bench.links[kV4].cut = true;
  bench.run(1s);
  EXPECT_THAT(bench.manager.active(), Optional(kRelay));
}

TEST(PathManager, APathThatFailsInUseHasToProveMoreTheNextTime) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.add(kV4, Kind::kDirectV4);
  bench.run(5s);
  bench.links[kV4].cut = true;
  bench.run(5s);
  const auto before = bench.links[kV4].probes;
  bench.links[kV4].cut = false;
  bench.time_until(20s, [&] { return bench.manager.active() == kV4; });
  EXPECT_EQ(bench.links[kV4].probes - before, 4u + 1);  // 4 answers, and the first probe of its use
}

TEST(PathManager, AFlappingPathSwitchesLessAndLess) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.add(kV4, Kind::kDirectV4);
  for (int i = 0; i < 60; ++i) {
    bench.links[kV4].cut = true;
    bench.run(1s);
    bench.links[kV4].cut = false;
    bench.run(1s);
  }
  EXPECT_LT(bench.manager.counters().downgrades, 20u);
  bench.run(20s);
  EXPECT_THAT(bench.manager.active(), Optional(kV4));
}

TEST(PathManager, AFasterPathOfTheSameKindIsTakenOnlyIfClearlyAndLastinglyFaster) {
  Bench bench;
  bench.add(kV4, Kind::kDirectV4, 40ms);
  bench.run(2s);
  bench.add(kOtherV4, Kind::kDirectV4, 34ms);
  bench.run(60s);
  EXPECT_THAT(bench.manager.active(), Optional(kV4)) << "15 % is not clear";
  bench.links[kOtherV4].round_trip = 20ms;
  const auto time = bench.time_until(60s, [&] { return bench.manager.active() == kOtherV4; });
  EXPECT_GE(time, 5s);
  EXPECT_LE(time, 40s);
  EXPECT_EQ(bench.of<PathChanged>().back().reason, Reason::kFaster);
  bench.run(60s);
  EXPECT_THAT(bench.manager.active(), Optional(kOtherV4));
}

TEST(PathManager, AWorseKindIsNeverFasterEnough) {
  Bench bench;
  bench.add(kV4, Kind::kDirectV4, 300ms);
  bench.add(kRelay, Kind::kRelay, 5ms);
  bench.run(60s);
  EXPECT_THAT(bench.changes(), ::testing::ElementsAre(kV4));
}

TEST(PathManager, ARemovedPathIsLeftAtOnce) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.add(kV4, Kind::kDirectV4);
  bench.run(5s);
  bench.manager.remove(bench.now, kV4);
  bench.drain();
  EXPECT_THAT(bench.manager.active(), Optional(kRelay));
  EXPECT_EQ(bench.of<PathChanged>().back().reason, Reason::kRemoved);
  EXPECT_EQ(bench.manager.counters().downgrades, 1u);
  bench.manager.remove(bench.now, kRelay);
  bench.drain();
  EXPECT_EQ(bench.manager.active(), std::nullopt);
  EXPECT_EQ(bench.manager.second(), std::nullopt);
  EXPECT_EQ(bench.of<PathsGone>().size(), 1u);
  bench.add(kRelay, Kind::kRelay);
  EXPECT_THAT(bench.manager.active(), Optional(kRelay));
  EXPECT_EQ(bench.manager.epoch(), 4u);
}

TEST(PathManager, WithNothingElseADeadPathIsKept) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.run(1s);
  bench.links[kRelay].cut = true;
  bench.run(30s);
  EXPECT_THAT(bench.manager.active(), Optional(kRelay));
  bench.links[kRelay].cut = false;
  bench.run(10s);
  EXPECT_EQ(bench.manager.status().at(0).unanswered, 0u);
  EXPECT_THAT(bench.changes(), ::testing::ElementsAre(kRelay));
}

TEST(PathManager, OneAnswerIsEnoughWhereThePathInUseIsDead) {
  Bench bench;
  bench.links[kRelay].cut = true;
  bench.add(kV4, Kind::kDirectV4);
  bench.add(kRelay, Kind::kRelay);
  bench.run(5s);
  bench.links[kV4].cut = true;
  bench.run(5s);
  EXPECT_THAT(bench.manager.active(), Optional(kV4));
  bench.links[kRelay].cut = false;
  EXPECT_LT(bench.time_until(20s, [&] { return bench.manager.active() == kRelay; }), 6s);
}

TEST(PathManager, ProbesAreFrequentUnderTrafficAndRareWithout) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.add(kTurn, Kind::kTurn);
  bench.add(kV4, Kind::kDirectV4);
  bench.run(10s);
  auto before = bench.links;
  bench.run(60s);
  EXPECT_NEAR(static_cast<double>(bench.links[kV4].probes - before[kV4].probes), 400, 8);
  EXPECT_NEAR(static_cast<double>(bench.links[kRelay].probes - before[kRelay].probes), 12, 2);
  bench.busy = false;
  bench.run(2s);
  before = bench.links;
  bench.run(60s);
  for (const PathId path : {kRelay, kTurn, kV4}) {
    EXPECT_NEAR(static_cast<double>(bench.links[path].probes - before[path].probes), 12, 2) << path;
  }
  // Traffic that comes back is noticed at once, not at the next idle probe.
  before = bench.links;
  bench.busy = true;
  bench.run(1s);
  EXPECT_GE(bench.links[kV4].probes - before[kV4].probes, 6u);
}

TEST(PathManager, AnIdlePathThatDiedIsLeftWithoutTraffic) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.add(kV4, Kind::kDirectV4);
  bench.run(5s);
  bench.busy = false;
  bench.run(10s);
  bench.links[kV4].cut = true;
  EXPECT_LT(bench.time_until(10s, [&] { return bench.manager.active() == kRelay; }), 6500ms);
}

TEST(PathManager, ManyPathsTogetherStayFarBelowTheBudget) {
  Bench bench;
  for (PathId path = 0; path < 40; ++path) bench.add(path, path == 0 ? Kind::kRelay : Kind::kDirectV4);
  EXPECT_EQ(bench.manager.status().size(), 16u);
  EXPECT_EQ(bench.manager.counters().paths_refused, 24u);
  bench.run(2s);
  for (auto& [path, link] : bench.links) link.cut = true;
  bench.log.clear();
  bench.when.clear();
  for (int i = 0; i < 20; ++i) {
    bench.manager.network_changed(bench.now);
    bench.run(500ms);
  }
  for (std::size_t i = 0, j = 0; i < bench.log.size(); ++i) {
    while (bench.when[i] - bench.when[j] > 1s) ++j;
    ASSERT_LT(i - j, 40u) << "in one second";
  }
}

TEST(PathManager, ABetterPathTakesThePlaceOfAWorseOne) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  for (PathId path = 100; path < 115; ++path) bench.add(path, Kind::kTurn);
  ASSERT_EQ(bench.manager.status().size(), 16u);
  bench.add(kV4, Kind::kDirectV4);
  bench.run(1s);
  EXPECT_THAT(bench.manager.active(), Optional(kV4));
  const auto status = bench.manager.status();
  EXPECT_EQ(status.size(), 16u);
  EXPECT_EQ(status.front().kind, Kind::kRelay) << "the last of its kind is kept";
}

TEST(PathManager, AProbeThatCouldNotBeSentIsNotLost) {
  Bench bench;
  bench.add(kRelay, Kind::kRelay);
  bench.add(kV4, Kind::kDirectV4);
  bench.run(5s);
  bench.log.clear();
  for (int i = 0; i < 30; ++i) {
    bench.now = std::max(bench.now, bench.manager.poll_timeout().value());
    bench.manager.handle_timeout(bench.now);
    while (auto action = bench.manager.poll_action()) {
      ASSERT_FALSE(std::holds_alternative<PathChanged>(*action));
      if (const auto* probe = std::get_if<SendProbe>(&*action)) {
        bench.manager.probe_not_sent(bench.now, probe->path, probe->probe);
      }
    }
  }
  EXPECT_EQ(bench.manager.second(), std::nullopt);
}

TEST(PathManager, PoliciesAreKept) {
  Bench direct(true, Policy::kDirectOnly);
  direct.add(kRelay, Kind::kRelay);
  direct.add(kTurn, Kind::kTurn);
  EXPECT_EQ(direct.manager.active(), std::nullopt);
  direct.add(kV4, Kind::kDirectV4);
  EXPECT_THAT(direct.manager.active(), Optional(kV4));
  EXPECT_EQ(direct.of<PathChanged>().at(0).reason, Reason::kPolicy);
  direct.run(5s);
  direct.manager.remove(direct.now, kV4);
  direct.drain();
  EXPECT_EQ(direct.of<PathsGone>().size(), 1u);
  Bench relayed(true, Policy::kRelayOnly);
  relayed.add(kRelay, Kind::kRelay);
  relayed.add(kV4, Kind::kDirectV4);
  relayed.add(kTurn, Kind::kTurn);
  relayed.run(60s);
  relayed.manager.network_changed(relayed.now);
  relayed.run(60s);
  EXPECT_THAT(relayed.changes(), ::testing::ElementsAre(kRelay, kTurn));
  EXPECT_EQ(relayed.of<RetryDirect>().size(), 0u);
}

}  // namespace
}  // namespace higgs::path

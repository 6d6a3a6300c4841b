#include "path/path_manager.h"

#include <functional>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace higgs::path {
namespace {

using namespace std::chrono_literals;
using ::testing::Optional;

constexpr PathId kRelay = 0, kTurn = 1, kV4 = 2, kV6 = 3, kOtherV4 = 4;

/// A manager on a virtual clock, and a far end that answers its probes.
class Bench {
 public:
  struct Link {
    std::chrono::microseconds round_trip{20000};
    bool cut = false;
    std::uint64_t probes = 0;
    std::uint32_t last_epoch = 0;
  };

  explicit Bench(bool leads = true, Policy policy = Policy::kAuto, Limits limits = {})
      : manager(now, leads, policy, limits, random_) {}

  void add(PathId path, Kind kind, std::chrono::microseconds round_trip = 20ms) {
    links[path].round_trip = round_trip;
    manager.add(now, path, kind, round_trip);
    drain();
  }
  void run(std::chrono::nanoseconds time) {
    const Instant end = now + time;
    for (;;) {
      Instant next = end;
      if (const auto due = manager.poll_timeout()) next = std::min(next, std::max(now, *due));
      if (!answers_.empty()) next = std::min(next, answers_.begin()->first);
      if (busy) next = std::min(next, next_packet_);
      now = std::max(now, next);
      if (now >= end) break;
      step();
    }
    now = end;
  }
  /// The machine sleeps: nothing happens, and no answer that came meanwhile is kept.
  void sleep(std::chrono::nanoseconds time) {
    now += time;
    answers_.clear();
    next_packet_ = now;
  }
  template <class T>
  std::vector<T> of() const {
    std::vector<T> found;
    for (const Action& action : log) {
      if (const T* one = std::get_if<T>(&action)) found.push_back(*one);
    }
    return found;
  }
  std::vector<PathId> changes() const {
    std::vector<PathId> found;
    for (const auto& change : of<PathChanged>()) found.push_back(change.path);
    return found;
  }
  void drain() {
    while (auto action = manager.poll_action()) {
      if (const auto* probe = std::get_if<SendProbe>(&*action)) {
        Link& link = links[probe->path];
        ++link.probes;
        link.last_epoch = probe->epoch;
        if (!link.cut) answers_.emplace(now + link.round_trip, std::tuple(probe->path, probe->probe, link.round_trip));
      }
      log.push_back(*action);
      when.push_back(now);
    }
  }
  /// How long until `done`, within `limit`.
  std::chrono::nanoseconds time_until(std::chrono::nanoseconds limit, const std::function<bool()>& done) {
    const Instant begin = now;
    while (!done() && now - begin < limit) run(1ms);
    return now - begin;
  }

  Instant now{std::chrono::hours(1)};
  std::map<PathId, Link> links;
  bool busy = true;
  std::vector<Action> log;
  std::vector<Instant> when;  ///< of log
  std::uint64_t sent = 0, copied = 0, lost = 0;

 private:
  void step() {
    while (!answers_.empty() && answers_.begin()->first <= now) {
      const auto [path, probe, round_trip] = answers_.begin()->second;
      answers_.erase(answers_.begin());
      if (!links[path].cut) manager.probe_answered(now, path, probe, round_trip);
    }
    if (busy && now >= next_packet_) {
      ++sent;
      if (manager.second()) ++copied;
      const bool first = manager.active() && !links[*manager.active()].cut;
      const bool second = manager.second() && !links[*manager.second()].cut;
      if (!first && !second) ++lost;
      manager.note_sent(now, 1);
      next_packet_ = now + 10ms;
    }
    manager.handle_timeout(now);
    drain();
  }

  SeededRandom random_{7};
  std::multimap<Instant, std::tuple<PathId, std::uint32_t, std::chrono::microseconds>> answers_;
  Instant next_packet_ = now;

 public:
  PathManager manager;
};

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

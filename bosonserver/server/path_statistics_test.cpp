#include "bosonserver/server/path_statistics.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "bosonserver/server/relay_ledger.h"
#include "bosonserver/server/testing/no_watch.h"
#include "bosonserver/server/testing/server_fixture.h"

namespace higgs::boson::testing {
namespace {

using namespace std::chrono_literals;
using Counts = std::array<std::uint64_t, 4>;

class PathStatisticsTest : public ::testing::Test {
 protected:
  bool says(const std::string& line) const { return ("\n" + metrics_.text({})).find("\n" + line + "\n") != line.npos; }

  SessionId session(std::uint8_t number) const {
    auto bytes = Uuid().bytes();
    bytes.back() = std::byte{number};
    return SessionId(Uuid(bytes));
  }

  ServerMetrics metrics_;
  PathStatistics paths_{metrics_};
  Instant now_{1h};
};

TEST_F(PathStatisticsTest, StandingSessionsAreOnOnePathEach) {
  EXPECT_EQ(paths_.standing(), (Counts{0, 0, 0, 0}));
  for (std::uint8_t i = 0; i < 4; ++i) paths_.opened(session(i), now_);
  EXPECT_EQ(paths_.standing(), (Counts{4, 0, 0, 0})) << "the relay is where they begin";
  paths_.changed(session(1), "turn", now_);
  paths_.changed(session(2), "direct-v4", now_);
  paths_.changed(session(3), "direct-v6", now_);
  EXPECT_EQ(paths_.standing(), (Counts{1, 1, 1, 1}));
  paths_.changed(session(2), "relay", now_);
  EXPECT_EQ(paths_.standing(), (Counts{2, 1, 0, 1}));
  for (std::uint8_t i = 1; i < 4; ++i) paths_.ended(session(i));
  EXPECT_EQ(paths_.standing(), (Counts{1, 0, 0, 0}));
}

TEST_F(PathStatisticsTest, ChangesAreCountedByWhereFromAndWhereTo) {
  EXPECT_TRUE(says(R"(higgs_path_changes_total{from="relay",to="direct_v4"} 0)")) << metrics_.text({});
  EXPECT_FALSE(says(R"(higgs_path_changes_total{from="relay",to="relay"} 0)"));
  paths_.opened(session(1), now_);
  for (const auto* path : {"direct-v4", "direct-v4", "relay", "relay", "direct-v4", "turn"})
    paths_.changed(session(1), path, now_);
  EXPECT_TRUE(says(R"(higgs_path_changes_total{from="relay",to="direct_v4"} 2)")) << metrics_.text({});
  EXPECT_TRUE(says(R"(higgs_path_changes_total{from="direct_v4",to="relay"} 1)"));
  EXPECT_TRUE(says(R"(higgs_path_changes_total{from="direct_v4",to="turn"} 1)"));
  EXPECT_TRUE(says(R"(higgs_path_changes_total{from="turn",to="relay"} 0)"));
}

TEST_F(PathStatisticsTest, TimeToDirectIsThatOfTheFirstTime) {
  paths_.opened(session(1), now_);
  paths_.changed(session(1), "turn", now_ + 500ms);
  EXPECT_FALSE(says("higgs_time_to_direct_seconds_count 1")) << "TURN is not direct";
  paths_.changed(session(1), "direct-v4", now_ + 1250ms);
  paths_.changed(session(1), "direct-v6", now_ + 20s);
  paths_.changed(session(1), "relay", now_ + 30s);
  paths_.changed(session(1), "direct-v4", now_ + 40s);
  EXPECT_TRUE(says("higgs_time_to_direct_seconds_count 1")) << metrics_.text({});
  EXPECT_TRUE(says("higgs_time_to_direct_seconds_sum 1.25"));
  EXPECT_TRUE(says(R"(higgs_time_to_direct_seconds_bucket{le="1"} 0)"));
  EXPECT_TRUE(says(R"(higgs_time_to_direct_seconds_bucket{le="1.5"} 1)"));
}

TEST_F(PathStatisticsTest, LiesAddNoRowsAndNoSessions) {
  paths_.opened(session(1), now_);
  const auto lines = [this] {
    const auto text = metrics_.text({});
    return std::count(text.begin(), text.end(), '\n');
  };
  const auto before = lines();
  for (int i = 0; i < 1000; ++i) {
    paths_.changed(session(1), i % 2 == 0 ? "direct-v6" : "relay", now_);
    paths_.changed(session(1), "path" + std::to_string(i), now_);
    paths_.changed(session(static_cast<std::uint8_t>(2 + i % 200)), "direct-v4", now_);
  }
  EXPECT_EQ(lines(), before);
  EXPECT_EQ(paths_.standing(), (Counts{1, 0, 0, 0}));
  EXPECT_TRUE(says("higgs_time_to_direct_seconds_count 1"));
  paths_.ended(session(1));
  paths_.changed(session(1), "turn", now_);
  EXPECT_EQ(paths_.standing(), (Counts{0, 0, 0, 0})) << "what comes after its end";
}

class PathLedger : public ServerFixture {};

TEST_F(PathLedger, TheLedgerTellsWhatTheRelayReports) {
  start();
  ServerMetrics metrics;
  PathStatistics paths(metrics);
  TurnDesk turn(settings_, random_);
  NoWatch nodes;
  trace::Tracer tracer(std::nullopt, random_, runtime::now);
  ServerTraces traces(tracer);
  RelayMeter meter(services(), {}, [](SessionId) { return std::nullopt; });
  RelayLedger ledger(
      services(), [](const std::function<void()>&) { /* a store that is behind */ }, turn, paths, nodes, meter, traces);
  const SessionId session;
  ledger.on_session_opened(session, NodeId());
  ledger.on_path_changed(session, "direct-v4");
  ledger.on_path_changed(session, "turn");
  EXPECT_EQ(paths.standing(), (Counts{0, 1, 0, 0})) << "also a change that the store is not told";
  EXPECT_NE(metrics.text({}).find("higgs_time_to_direct_seconds_count 1\n"), std::string::npos) << metrics.text({});
  ledger.on_session_ended(session, NodeId(), relay::CloseReason::kClientGone, {});
  EXPECT_EQ(paths.standing(), (Counts{0, 0, 0, 0}));
}

}  // namespace
}  // namespace higgs::boson::testing

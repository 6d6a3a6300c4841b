#include "higgsnode/operator_actions.h"

#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "higgsnode/testing/temporary_directory.h"
#include "runtime/files.h"

namespace higgs::node {
namespace {

using namespace std::chrono_literals;
using api::ActionType;

class Operators : public testing::Test {
 protected:
  Operators() {
    configured_.max_connections = 20;
    begin();
  }
  /// As after a restart of the program.
  void begin() {
    actions_ =
        std::make_unique<OperatorActions>(directory_.path(), configured_,
                                          OperatorActions::Hooks{[this](const auto&) { ++changes_; },
                                                                 [this] { ++maintenances_; }, [this] { ++restarts_; }});
  }
  api::ActionResult execute(ActionType type, std::string payload) {
    return actions_->execute({"id-" + std::to_string(next_++), type, {std::move(payload)}});
  }
  api::ActionResult update(std::string payload) { return execute(ActionType::kUpdateConfig, std::move(payload)); }
  std::string file() { return runtime::read_file_if_there(actions_->file()).value().value_or(""); }

  testing_support::TemporaryDirectory directory_;
  Settings configured_;
  std::unique_ptr<OperatorActions> actions_;
  int next_ = 0, changes_ = 0, maintenances_ = 0, restarts_ = 0;
};

TEST_F(Operators, ChangeWhatTheyMayAndItOutlivesARestart) {
  EXPECT_TRUE(update(R"({"heartbeatInterval":30,"metricsInterval":120,"maxConnections":5,"logLevel":"debug"})").ok);
  EXPECT_EQ(changes_, 1);
  for (int run = 0; run < 2; ++run) {
    const auto settings = actions_->settings();
    EXPECT_EQ(settings.heartbeat_interval, 30s);
    EXPECT_EQ(settings.metrics_interval, 120s);
    EXPECT_EQ(settings.max_connections, 5u);
    EXPECT_EQ(settings.log_level, runtime::log::Level::kDebug);
    begin();
  }
  // One key at a time; null takes back.
  EXPECT_TRUE(update(R"({"heartbeatInterval":null,"maxConnections":7})").ok);
  EXPECT_EQ(actions_->settings().heartbeat_interval, configured_.heartbeat_interval);
  EXPECT_EQ(actions_->settings().metrics_interval, 120s);
  EXPECT_EQ(actions_->settings().max_connections, 7u);
}

TEST_F(Operators, ReachNothingThatIsTheVolunteersAlone) {
  const auto before = actions_->settings();
  for (const auto* payload :
       {R"({"egress.deny":[]})", R"({"egress":{"deny_ports":[]}})", R"({"server":"https://elsewhere.example"})",
        R"({"pin":null})", R"({"privacy":{"anonymize_ips":false}})", R"({"interface":"eth0"})",
        R"({"heartbeatInterval":30,"listen_port":22})", R"({"max_connections":5})", "[]", "null", "5", ""}) {
    const auto result = update(payload);
    EXPECT_FALSE(result.ok) << payload;
    EXPECT_FALSE(result.detail.empty()) << payload;
  }
  EXPECT_EQ(changes_, 0);
  EXPECT_EQ(file(), "");
  EXPECT_EQ(actions_->settings().heartbeat_interval, before.heartbeat_interval) << "all of an update or nothing";
}

TEST_F(Operators, StayWithinTheRangesOfTheConfiguration) {
  for (const auto* payload :
       {R"({"heartbeatInterval":1})", R"({"heartbeatInterval":301})", R"({"heartbeatInterval":-5})",
        R"({"heartbeatInterval":"30"})", R"({"heartbeatInterval":30.5})", R"({"metricsInterval":9})",
        R"({"metricsInterval":3601})", R"({"maxConnections":0})", R"({"logLevel":"off"})", R"({"relayServers":[]})",
        R"({"relayServers":[{"id":"a","host":"","port":443,"protocol":"websocket"}]})",
        R"({"stunServers":[{"host":"stun.example","port":0}]})", R"({"stunServers":"stun.example"})"}) {
    EXPECT_FALSE(update(payload).ok) << payload;
  }
  EXPECT_EQ(changes_, 0);
}

TEST_F(Operators, LowerALimitAndNeverRaiseIt) {
  const auto refused = update(R"({"maxConnections":21})");
  EXPECT_FALSE(refused.ok);
  EXPECT_NE(refused.detail.find("20 at most"), std::string::npos) << refused.detail;
  EXPECT_TRUE(update(R"({"maxConnections":15})").ok);
  configured_.max_connections = 10;  // the volunteer's new word
  begin();
  EXPECT_EQ(actions_->settings().max_connections, 10u);
}

TEST_F(Operators, MaintenanceBeginsAndEndsAndOutlivesARestart) {
  EXPECT_FALSE(execute(ActionType::kMaintenance, "{}").ok);
  EXPECT_FALSE(execute(ActionType::kMaintenance, R"({"on":"yes"})").ok);
  EXPECT_FALSE(actions_->standing().maintenance);
  EXPECT_TRUE(execute(ActionType::kMaintenance, R"({"on":true})").ok);
  begin();
  EXPECT_TRUE(actions_->standing().maintenance);
  EXPECT_TRUE(execute(ActionType::kMaintenance, R"({"on":true})").ok);
  EXPECT_EQ(maintenances_, 1) << "on is on";
  EXPECT_TRUE(execute(ActionType::kMaintenance, R"({"on":false})").ok);
  EXPECT_EQ(maintenances_, 2);
  EXPECT_FALSE(std::filesystem::exists(actions_->file())) << "nothing is changed, so there is nothing to read";
}

TEST_F(Operators, TheSameActionIsCarriedOutOnceAlsoOverARestart) {
  const api::NodeAction restart{"again", ActionType::kRestart, {"{}"}};
  for (int run = 0; run < 3; ++run) {
    const auto result = actions_->execute(restart);
    EXPECT_TRUE(result.ok);
    EXPECT_EQ(result.detail, "restarts");
    begin();
  }
  EXPECT_EQ(restarts_, 1);
  const api::NodeAction change{"change", ActionType::kUpdateConfig, {R"({"maxConnections":5})"}};
  EXPECT_TRUE(actions_->execute(change).ok);
  EXPECT_TRUE(update(R"({"maxConnections":6})").ok);
  EXPECT_TRUE(actions_->execute(change).ok);
  EXPECT_EQ(actions_->settings().max_connections, 6u) << "a late delivery changes nothing back";
}

TEST_F(Operators, ARestartThatCannotBeRememberedIsNotMade) {
  ASSERT_EQ(::mkdir((directory_.path() / "actions.json").c_str(), 0700), 0);
  std::ofstream(directory_.path() / "actions.json" / "full") << "in the way";
  const auto result = execute(ActionType::kRestart, "{}");
  EXPECT_FALSE(result.ok);
  EXPECT_EQ(restarts_, 0);
}

TEST_F(Operators, TheVolunteerDeletesOrSpoilsTheFileAndHasItsOwnSettings) {
  ASSERT_TRUE(update(R"({"maxConnections":5})").ok);
  const auto written = file();
  EXPECT_NE(written.find("\"maxConnections\": 5"), std::string::npos) << written;
  for (const auto& content : {std::string("nonsense"), std::string("{}"), written.substr(0, written.size() / 2),
                              std::string(R"({"config":{"maxConnections":5,"egress":1},"maintenance":false})"),
                              std::string(R"({"config":{"heartbeatInterval":1},"maintenance":false})")}) {
    ASSERT_TRUE(runtime::write_file_atomic(actions_->file(), content));
    begin();
    EXPECT_EQ(actions_->settings().max_connections, 20u) << content;
  }
  ASSERT_TRUE(runtime::remove_file(actions_->file()));
  begin();
  EXPECT_EQ(actions_->settings().max_connections, 20u);
}

TEST_F(Operators, ALongStoryIsCutToWhatAHeartbeatTakes) {
  const auto result = update("{\"" + std::string(5000, 'x') + "\":1}");
  EXPECT_FALSE(result.ok);
  api::HeartbeatRequest request;
  request.action_results = {result};
  EXPECT_TRUE(api::decode<api::HeartbeatRequest>(api::encode(request)));
}

TEST(ActionLog, RemembersTheLastOnes) {
  testing_support::TemporaryDirectory directory;
  const auto file = directory.path() / "actions.json";
  {
    ActionLog log(file);
    for (std::size_t i = 0; i < ActionLog::kMostRemembered + 10; ++i)
      ASSERT_TRUE(log.add({"id-" + std::to_string(i), i % 2 == 0, "detail \"" + std::to_string(i) + "\""}));
  }
  const ActionLog log(file);
  EXPECT_EQ(log.size(), ActionLog::kMostRemembered);
  EXPECT_EQ(log.find("id-9"), nullptr);
  ASSERT_NE(log.find("id-10"), nullptr);
  EXPECT_TRUE(log.find("id-10")->ok);
  EXPECT_EQ(log.find("id-265")->detail, "detail \"265\"");
  ASSERT_TRUE(runtime::write_file_atomic(file, "[[\"id-10\",true]]"));
  EXPECT_EQ(ActionLog(file).size(), 0u);
}

}  // namespace
}  // namespace higgs::node

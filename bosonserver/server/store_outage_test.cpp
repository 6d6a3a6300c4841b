// A server whose store cannot be reached: what stands goes on for the grace, nothing new begins, and nothing that had
// ended comes back.
#include "bosonserver/api/maintenance.h"
#include "bosonserver/server/testing/server_fixture.h"
#include "bosonserver/store/testing/postgres_server.h"
#include "jwt/verifier.h"

namespace higgs::boson::testing {
namespace {

using namespace std::chrono_literals;

class StoreOutage : public ServerFixture {
 protected:
  void begin() {
    start();
    alice_ = add_user("alice", api::Role::kUser);
    token_ = token_of(alice_);
    ASSERT_EQ(outcome(register_node(node_)), "200");
    ASSERT_EQ(outcome(send_heartbeat(node_)), "200");
    route_ = decoded<api::RoutingResponse>(request_route(token_, routing_request())).selected_route;
    wait_for_events();  // what is told while something is asked for is not remembered
    ASSERT_EQ(open_link(to_string(route_.session_id), route_.session_token), 101u);
    begun_ = unix_seconds(now().wall);
  }
  net::HttpResponse renew() { return renew(token_); }
  net::HttpResponse renew(const std::string& token) {
    return call("POST", "/api/v1/sessions/" + to_string(route_.session_id) + "/renew", token);
  }
  void lose_store() { *store_away_ = true; }
  /// Past the events that are on their way: the next one is behind them.
  void wait_for_events() {
    const auto id = services().keys.rotate(now().wall);
    ASSERT_TRUE(id);
    std::atomic<bool> heard = false;
    const auto subscription = services().store.subscribe([&](const StoreEvent&) { heard = true; });
    net::testing::run_until(io_, [&] { return heard.load(); });
  }
  /// The grace began when the store answered last, which is a moment ago.
  void expect_end_of_grace(std::int64_t time) const {
    EXPECT_LE(time, begun_ + 15 * 60);
    EXPECT_GT(time, begun_ + 14 * 60);
  }
  /// The store as another server finds it.
  std::unique_ptr<Store> elsewhere() { return open_store(settings_.store_settings()); }

  TestNode node_{random_};
  UserRecord alice_;
  std::string token_;
  api::SelectedRoute route_;
  std::int64_t begun_ = 0;
};

TEST_F(StoreOutage, SessionsRenewForFifteenMinutes) {
  settings_.api.session_lifetime = 10min;
  begin();
  lose_store();
  pass(9min);
  const auto renewed = decoded<api::SessionRenewal>(renew());
  expect_end_of_grace(renewed.expires_at);
  pass(5min);
  ASSERT_EQ(outcome(renew()), "200");
  pass(1min);
  EXPECT_EQ(outcome(renew()), "503 unavailable");
}

TEST_F(StoreOutage, WhatASessionHadIsNotTakenFromIt) {
  begin();
  lose_store();
  EXPECT_EQ(decoded<api::SessionRenewal>(renew()).expires_at, begun_ + 30 * 60);
}

TEST_F(StoreOutage, ATokenThatWasGoodAtTheBeginningOutlivesItself) {
  settings_.api.access_lifetime = 60s;
  begin();
  pass(2min);
  EXPECT_EQ(outcome(renew()), "401 unauthorized") << "the store is there";
  token_ = token_of(alice_);
  ASSERT_EQ(outcome(renew()), "200");
  lose_store();
  pass(10min);
  EXPECT_EQ(outcome(renew()), "200");
  EXPECT_EQ(outcome(call("GET", "/api/v1/nodes", token_)), "401 unauthorized") << "for renewals alone";
  pass(5min);
  EXPECT_EQ(outcome(renew()), "401 unauthorized");
}

TEST_F(StoreOutage, NothingNewBegins) {
  begin();
  lose_store();
  EXPECT_EQ(outcome(request_route(token_, routing_request())), "503 unavailable");
  EXPECT_EQ(outcome(call("GET", "/api/v1/nodes", token_)), "503 unavailable");
  EXPECT_EQ(outcome(call("POST", "/api/v1/auth/login", {}, R"({"username":"alice","password":"password"})")),
            "503 unavailable");
  EXPECT_EQ(outcome(call("DELETE", "/api/v1/sessions/" + to_string(route_.session_id), token_)), "503 unavailable");
  EXPECT_EQ(outcome(call("POST", "/api/v1/nodes/challenge")), "503 unavailable");
  EXPECT_EQ(outcome(call("GET", "/readyz")), "503");
}

TEST_F(StoreOutage, LinksComeBackForFifteenMinutes) {
  begin();
  ASSERT_EQ(open_link(to_string(node_.id()), node_.relay_token), 101u);
  const auto renewed = decoded<api::SessionRenewal>(renew());
  lose_store();
  pass(14min);
  EXPECT_EQ(open_link(to_string(node_.id()), node_.relay_token), 101u);
  EXPECT_EQ(open_link(to_string(route_.session_id), renewed.session_token), 101u);
  pass(1min);
  EXPECT_EQ(open_link(to_string(node_.id()), node_.relay_token), 503u);
  EXPECT_EQ(open_link(to_string(route_.session_id), renewed.session_token), 503u);
}

TEST_F(StoreOutage, ALinkWithWhatAnotherServerRenewedComesBack) {
  begin();
  const auto expires_at = begun_ + 40 * 60;
  const auto token = session_token(services(), route_.session_id, expires_at, now()).text;
  lose_store();
  pass(14min);
  EXPECT_EQ(open_link(to_string(route_.session_id), token), 101u);
}

TEST_F(StoreOutage, NodesGoOn) {
  settings_.api.node_lifetime = 10min;
  begin();
  lose_store();
  pass(6min);
  auto answer = decoded<api::HeartbeatResponse>(send_heartbeat(node_));
  ASSERT_TRUE(answer.session_token && answer.relay_token) << "their half is over";
  const auto claims = verify_token(services(), *answer.session_token, jwt::Audience::kNode, now());
  expect_end_of_grace(claims->expires_at);
  node_.session_token = *answer.session_token;
  pass(8min);
  answer = decoded<api::HeartbeatResponse>(send_heartbeat(node_));
  EXPECT_FALSE(answer.session_token) << "it has that already";
  pass(1min);
  EXPECT_EQ(outcome(send_heartbeat(node_)), "503 unavailable");
}

TEST_F(StoreOutage, ResultsOfActionsAreNotTakenWithoutBeingWritten) {
  begin();
  lose_store();
  api::HeartbeatRequest body;
  body.action_results.push_back({"some-action", true, {}});
  EXPECT_EQ(outcome(call("POST", "/api/v1/nodes/" + to_string(node_.id()) + "/heartbeat", node_.session_token,
                         api::encode(body))),
            "503 unavailable");
}

TEST_F(StoreOutage, WhoWasBannedBeforeItStaysAway) {
  begin();
  ASSERT_EQ(open_link(to_string(node_.id()), node_.relay_token), 101u);
  const auto root = token_of(add_user("root", api::Role::kAdmin));
  ASSERT_EQ(outcome(call("POST", "/api/v1/admin/nodes/" + to_string(node_.id()) + "/ban", root)), "200");
  wait_for_events();
  lose_store();
  EXPECT_NE(open_link(to_string(node_.id()), node_.relay_token), 101u);
  EXPECT_NE(outcome(send_heartbeat(node_)), "200");
  EXPECT_NE(open_link(to_string(route_.session_id), route_.session_token), 101u) << "its sessions ended with it";
  EXPECT_NE(outcome(renew()), "200");
}

TEST_F(StoreOutage, ASessionThatEndedBeforeItStaysEnded) {
  begin();
  ASSERT_EQ(outcome(renew()), "200");
  ASSERT_EQ(outcome(call("DELETE", "/api/v1/sessions/" + to_string(route_.session_id), token_)), "204");
  lose_store();
  EXPECT_EQ(outcome(renew()), "503 unavailable");
  EXPECT_EQ(open_link(to_string(route_.session_id), route_.session_token), 503u);
}

TEST_F(StoreOutage, WhoWasLoggedOutOrDisabledBeforeItStaysOut) {
  begin();
  ASSERT_EQ(outcome(renew()), "200");
  const auto refresh = random_secret(random_);
  ASSERT_TRUE(services().store.add_refresh_family("family", alice_.id, digest_of_secret(refresh), 1, begun_ * 2));
  const auto token = access_token(services(), alice_, "family", now()).text;
  ASSERT_EQ(outcome(renew(token)), "200");
  ASSERT_EQ(outcome(call("POST", "/api/v1/auth/logout", {}, R"({"refreshToken":")" + refresh + "\"}")), "204");
  wait_for_events();
  lose_store();
  EXPECT_EQ(outcome(renew(token)), "503 unavailable");
  *store_away_ = false;
  ASSERT_EQ(outcome(renew()), "200") << "his other login stands";
  ASSERT_TRUE(services().store.change_user(alice_.id, {.disabled = true}, begun_));
  wait_for_events();
  lose_store();
  EXPECT_EQ(outcome(renew()), "503 unavailable");
}

TEST_F(StoreOutage, WhatWasRenewedIsWrittenWhenTheStoreIsBack) {
  settings_.api.session_lifetime = 10min;
  begin();
  lose_store();
  pass(9min);
  ASSERT_EQ(outcome(renew()), "200");
  pass(3min);
  Maintenance maintenance(services());
  maintenance.run();
  *store_away_ = false;
  // Its end in the store is past, and it must not be ended before the renewal is written there.
  maintenance.run();
  net::testing::run_until(io_, [&] { return services().grace.stats().unsettled == 0; });
  maintenance.run();
  const auto row = elsewhere()->session(route_.session_id);
  EXPECT_FALSE(row->ended_at);
  expect_end_of_grace(row->expires_at);
  EXPECT_EQ(outcome(renew()), "200");
  pass(30min);
  maintenance.run();
  EXPECT_TRUE(elsewhere()->session(route_.session_id)->ended_at) << "afterwards all is as before";
}

TEST_F(StoreOutage, WhatAnotherServerEndedMeanwhileEndsWhenTheStoreIsBack) {
  begin();
  lose_store();
  ASSERT_EQ(outcome(renew()), "200");
  ASSERT_TRUE(*elsewhere()->end_session(route_.session_id, "ended", begun_));
  *store_away_ = false;
  net::testing::run_until(io_, [&] { return services().grace.stats().unsettled == 0; });
  EXPECT_EQ(outcome(renew()), "410 session-ended");
  EXPECT_EQ(open_link(to_string(route_.session_id), route_.session_token), 403u);
}

class PostgresOutage : public StoreOutage {
 protected:
  PostgresOutage() { settings_.store = database_.url(); }
  ~PostgresOutage() override {
    PostgresServer::shared().resume();
    client_.reset();
    server_.reset();
  }
  TestDatabase database_;
};

TEST_F(PostgresOutage, APausedDatabaseIsBridgedAndNothingHasToBeRestarted) {
  settings_.api.session_lifetime = 10min;
  begin();
  PostgresServer::shared().pause();
  pass(9min);
  EXPECT_EQ(outcome(renew()), "200");
  EXPECT_EQ(outcome(send_heartbeat(node_)), "200");
  EXPECT_EQ(open_link(to_string(route_.session_id), route_.session_token), 101u);
  EXPECT_EQ(outcome(request_route(token_, routing_request())), "503 unavailable");
  PostgresServer::shared().resume();
  net::testing::run_until(io_, [&] { return services().grace.stats().unsettled == 0; });
  expect_end_of_grace(elsewhere()->session(route_.session_id)->expires_at);
  EXPECT_EQ(outcome(send_heartbeat(node_)), "200");
  EXPECT_EQ(outcome(request_route(token_, routing_request())), "200");
}

}  // namespace
}  // namespace higgs::boson::testing

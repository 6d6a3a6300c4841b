// What happens behind the API: the worker, what the relay reports, draining, overload.
#include <future>
#include <thread>

#include <SQLiteCpp/SQLiteCpp.h>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "base/version.h"
#include "bosonserver/cache/testing/redis_server.h"
#include "bosonserver/server/front_door.h"
#include "bosonserver/server/relay_ledger.h"
#include "bosonserver/server/store_worker.h"
#include "bosonserver/server/testing/no_watch.h"
#include "bosonserver/server/testing/server_fixture.h"

namespace higgs::boson::testing {
namespace {

TEST(StoreWorkerTest, RunsJobsInOrderAndFinishesThemAtItsEnd) {
  std::vector<int> done;
  {
    StoreWorker worker([] {}, std::chrono::hours(1));
    for (int i = 0; i < 100; ++i)
      worker.post([&done, i] {
        if (i == 7) throw std::runtime_error("one job fails");
        done.push_back(i);
      });
  }
  ASSERT_EQ(done.size(), 99u);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
}

TEST(StoreWorkerTest, RunsThePeriodicJobAgainAndAgain) {
  std::promise<void> thrice;
  int runs = 0;
  StoreWorker worker(
      [&] {
        if (++runs == 3) thrice.set_value();
      },
      std::chrono::milliseconds(1));
  EXPECT_EQ(thrice.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
}

TEST(StoreWorkerTest, IsBounded) {
  std::promise<void> go;
  auto gate = go.get_future().share();
  StoreWorker worker([] {}, std::chrono::hours(1));
  for (std::size_t i = 0; i < kMaxStoreJobs + 10; ++i) worker.post([gate] { gate.wait(); });
  EXPECT_GE(worker.dropped(), 9u);
  go.set_value();
}

class Background : public ServerFixture {
 protected:
  ServerMetrics metrics_;
  PathStatistics paths_{metrics_};
  NoWatch nodes_;
  trace::Tracer tracer_{std::nullopt, random_, runtime::now};
  ServerTraces traces_{tracer_};

  std::string metrics() {
    boost::asio::ip::tcp::socket socket(io_);
    const auto where = server_->metrics_endpoint();
    socket.connect({boost::asio::ip::make_address(where.address.to_string()), where.port});
    const std::string request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    boost::asio::write(socket, boost::asio::buffer(request));
    std::string answer;
    boost::system::error_code error;
    boost::asio::read(socket, boost::asio::dynamic_buffer(answer), error);
    return answer;
  }
  SessionId open_session() {
    const auto user = token_of(add_user("u", api::Role::kUser));
    TestNode node(random_);
    register_node(node);
    return decoded<api::RoutingResponse>(request_route(user, routing_request())).selected_route.session_id;
  }
};

TEST_F(Background, TheLedgerKeepsBytesAndRefusals) {
  start();
  const auto session = open_session();
  TurnDesk turn(settings_, random_);
  RelayMeter meter(services(), {}, [](SessionId) { return std::nullopt; });
  RelayLedger ledger(
      services(), [](const std::function<void()>& job) { job(); }, turn, paths_, nodes_, meter, traces_);
  ledger.on_session_ended(session, NodeId(), relay::CloseReason::kClientGone, {1'000, 2'000, 1, 2});
  ledger.on_session_ended(session, NodeId(), relay::CloseReason::kEnded, {10, 20, 1, 2});
  auto row = services().store.session(session);
  EXPECT_EQ(row->bytes_to_node, 1'010u);
  EXPECT_EQ(row->bytes_to_client, 2'020u);
  EXPECT_FALSE(row->ended_at) << "its client may come back";
  ledger.on_session_ended(session, NodeId(), relay::CloseReason::kRefused, {});
  EXPECT_EQ(services().store.session(session)->end_reason, "refused");
}

TEST_F(Background, WhatSessionsLeaveWaitsForTheStore) {
  start();
  const auto session = open_session();
  SessionEndings endings(services().store);
  *store_away_ = true;
  endings.add(session, {1'000, 2'000, 1, 2}, {});
  EXPECT_FALSE(endings.write());
  endings.add(session, {10, 20, 1, 2}, 77);
  EXPECT_FALSE(endings.write());
  EXPECT_EQ(endings.waiting(), 1u);
  *store_away_ = false;
  EXPECT_TRUE(endings.write());
  EXPECT_EQ(endings.waiting(), 0u);
  EXPECT_TRUE(endings.write());
  const auto row = services().store.session(session);
  EXPECT_EQ(row->bytes_to_node, 1'010u);
  EXPECT_EQ(row->bytes_to_client, 2'020u);
  EXPECT_EQ(row->ended_at, 77);
  // Of one that is gone meanwhile nothing is kept.
  endings.add(SessionId(Uuid::random(random_)), {1, 1, 1, 1}, 78);
  EXPECT_TRUE(endings.write());
  EXPECT_EQ(endings.waiting(), 0u);
}

TEST_F(Background, TheBytesOfASessionThatEndsWithoutTheStoreAreWrittenWhenItIsBack) {
  start();
  const auto session = open_session();
  TurnDesk turn(settings_, random_);
  RelayMeter meter(services(), {}, [](SessionId) { return std::nullopt; });
  RelayLedger ledger(
      services(), [](const std::function<void()>& job) { job(); }, turn, paths_, nodes_, meter, traces_);
  *store_away_ = true;
  ledger.on_session_ended(session, NodeId(), relay::CloseReason::kClientGone, {1'000, 2'000, 1, 2});
  *store_away_ = false;
  ledger.write_endings();
  EXPECT_EQ(services().store.session(session)->bytes_to_node, 1'000u);
}

TEST_F(Background, TheLedgerKeepsTheLastPathOfASession) {
  start();
  const auto session = open_session();
  TurnDesk turn(settings_, random_);
  std::vector<std::function<void()>> jobs;
  RelayMeter meter(services(), {}, [](SessionId) { return std::nullopt; });
  RelayLedger ledger(
      services(), [&](std::function<void()> job) { jobs.push_back(std::move(job)); }, turn, paths_, nodes_, meter,
      traces_);
  // As fast as a client may talk: one job, which writes the last.
  for (int i = 0; i < 100; ++i) ledger.on_path_changed(session, i % 2 == 0 ? "turn" : "direct-v4");
  ASSERT_EQ(jobs.size(), 1u);
  jobs[0]();
  EXPECT_EQ(services().store.session(session)->path, "direct-v4");
  ledger.on_path_changed(session, "relay");
  ASSERT_EQ(jobs.size(), 2u);
  jobs[1]();
  EXPECT_EQ(services().store.session(session)->path, "relay");
}

TEST_F(Background, TurnKnowsASessionThatOpensAfterARestartUntilItEnds) {
  settings_.turn.allow_private_peers = true;
  start();
  const auto session = open_session();
  const auto row = services().store.session(session);
  TurnDesk turn(settings_, random_);  // as of a server that did not admit it
  RelayMeter meter(services(), {}, [](SessionId) { return std::nullopt; });
  RelayLedger ledger(
      services(), [](const std::function<void()>& job) { job(); }, turn, paths_, nodes_, meter, traces_);
  auto& sessions = *turn.sessions();
  const auto user = sessions.issue(session, row->expires_at).username;
  EXPECT_FALSE(sessions.password(now().wall, user));
  ledger.on_session_opened(session, row->node);
  EXPECT_TRUE(sessions.password(now().wall, user));
  EXPECT_TRUE(sessions.permits(user, *IpAddress::parse("192.0.2.10"))) << "what the node registered";
  EXPECT_TRUE(sessions.permits(user, *IpAddress::parse("127.0.0.1"))) << "where it came from";
  const auto told = *IpAddress::parse("198.51.100.7");
  EXPECT_FALSE(sessions.permits(user, told));
  ledger.on_candidate(session, told);
  EXPECT_TRUE(sessions.permits(user, told));
  ledger.on_session_ended(session, row->node, relay::CloseReason::kClientGone, {});
  EXPECT_TRUE(sessions.stands(session)) << "its client may come back";
  ledger.on_session_ended(session, row->node, relay::CloseReason::kEnded, {});
  EXPECT_FALSE(sessions.stands(session));

  ASSERT_TRUE(services().store.end_session(session, "ended", unix_seconds(now().wall)));
  ledger.on_session_opened(session, row->node);
  EXPECT_FALSE(sessions.stands(session)) << "one that has ended is not taken up again";
}

TEST_F(Background, DrainingSaysSoAndWaitsForPeers) {
  settings_.drain = std::chrono::seconds(30);
  start();
  TestNode node(random_);
  register_node(node);
  net::HttpHeaders headers;
  headers.set("Authorization", "Bearer " + node.relay_token);
  auto running =
      client_->upgrade("wss" + origin().substr(5) + "/relay/" + to_string(node.id()), headers, "higgs-relay.1");
  auto link = std::make_optional(net::testing::run(io_, std::move(running)));
  ASSERT_TRUE(*link);
  ASSERT_TRUE(wait_for_link(node.id()));
  EXPECT_EQ(call("GET", "/readyz").status, 200u);
  auto stopped = std::async(std::launch::async, [this] { server_->stop(); });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  unsigned status = 200;
  while (status == 200 && std::chrono::steady_clock::now() < deadline) status = call("GET", "/readyz").status;
  EXPECT_EQ(status, 503u);
  EXPECT_EQ(open_link(to_string(node.id()), node.relay_token), 503u) << "nobody new is let in";
  link.reset();
  EXPECT_EQ(stopped.wait_for(std::chrono::seconds(20)), std::future_status::ready) << "the last peer has left";
}

TEST_F(Background, AStoreThatDoesNotAnswerIs503) {
  start();
  SQLite::Database other((settings_.state_dir / "store.db").string(), SQLite::OPEN_READWRITE);
  other.exec("BEGIN EXCLUSIVE");
  const auto answer = call("POST", "/api/v1/nodes/challenge");
  EXPECT_EQ(outcome(answer), "503 unavailable");
  EXPECT_TRUE(answer.headers.get("Retry-After"));
  other.exec("ROLLBACK");
  EXPECT_EQ(call("POST", "/api/v1/nodes/challenge").status, 200u);
}

TEST_F(Background, AFullQueueIs503) {
  start();
  TurnDesk turn(settings_, random_);
  RelayMeter meter(services(), {}, [](SessionId) { return std::nullopt; });
  RelayLedger ledger(
      services(), [](const std::function<void()>& job) { job(); }, turn, paths_, nodes_, meter, traces_);
  RelayOptions options;
  options.workers = 1;
  RelayServer relay(options, ledger);
  runtime::BlockingPool full({1, 0}), other({1, 0});
  OverloadGate overload;
  FrontDoor door(services(), metrics_, full, other, overload, relay, meter, std::nullopt, traces_);
  net::HttpRequest request;
  request.method = "GET";
  const auto answer = [&](const std::string& path) {
    request.path = path;
    auto answering = door.handlers().request(request);
    return net::testing::run(io_, std::move(answering));
  };
  const auto refused = answer("/readyz");
  EXPECT_EQ(outcome(refused), "503 overloaded");
  EXPECT_TRUE(refused.headers.get("Retry-After"));
  EXPECT_EQ(outcome(answer("/healthz")), "200") << "it lives";
  request.path = "/relay/x";
  auto upgrading = door.handlers().upgrade(request);
  const auto decision = net::testing::run(io_, std::move(upgrading));
  ASSERT_TRUE(std::holds_alternative<net::HttpResponse>(decision));
  EXPECT_EQ(outcome(std::get<net::HttpResponse>(decision)), "503 overloaded");
}

TEST_F(Background, MetricsHaveAListenerOfTheirOwn) {
  start();
  call("GET", "/healthz");
  call("GET", "/readyz");
  const auto answer = metrics();
  EXPECT_EQ(answer.rfind("HTTP/1.1 200", 0), 0u) << answer.substr(0, 200);
  EXPECT_NE(answer.find("higgs_http_requests_total{endpoint=\"/healthz\",method=\"GET\",status=\"200\"} 1"),
            std::string::npos);
  EXPECT_NE(answer.find("higgs_store_up 1"), std::string::npos);
  EXPECT_NE(answer.find("higgs_cache_up 1"), std::string::npos);
  EXPECT_EQ(answer.find("higgs_cache_commands_total"), std::string::npos) << "there is no Redis";
  EXPECT_NE(answer.find("higgs_relay_dropped_packets_total"), std::string::npos);
  for (const std::string& line : {"higgs_build_info{version=\"" + std::string(kHiggsVersion) + "\"} 1",
                                  std::string("process_start_time_seconds "),
                                  std::string("higgs_store_call_duration_seconds_bucket{le=\"0.0001\"} "),
                                  std::string("higgs_relay_queue_delay_seconds_bucket{le=\"+Inf\"} 0"),
                                  std::string("higgs_pool_wait_seconds_count{pool=\"store\"} "),
                                  std::string("higgs_relayed_bytes_total{path=\"turn\"} 0"),
                                  std::string("higgs_log_lines_total{level=\"error\"} ")})
    EXPECT_NE(answer.find("\n" + line), std::string::npos) << line;
  EXPECT_EQ(answer.find("higgs_trace_spans_total"), std::string::npos) << "nothing is traced";
  EXPECT_NE(answer.find("higgs_session_paths{path=\"direct_v6\"} 0"), std::string::npos);
  EXPECT_NE(answer.find("higgs_path_changes_total{from=\"direct_v4\",to=\"relay\"} 0"), std::string::npos);
}

TEST_F(Background, ServersOfOneRedisShareTheirLimitsAndServeWithoutIt) {
  RedisServer redis;
  settings_.cache.location = CacheLocation::parse("redis://127.0.0.1:" + std::to_string(redis.port()));
  settings_.api.rates.general = 4;
  start();
  const auto up = [&] { return metrics().find("higgs_cache_up 1") != std::string::npos; };
  const auto listed = [&] { return outcome(call("GET", "/api/v1/nodes")); };
  net::testing::run_until(io_, up);
  EXPECT_EQ(listed(), "401 unauthorized");
  EXPECT_EQ(listed(), "401 unauthorized");
  restart();
  net::testing::run_until(io_, up);
  EXPECT_EQ(listed(), "401 unauthorized");
  EXPECT_EQ(listed(), "401 unauthorized");
  EXPECT_EQ(listed(), "429 too-many-requests") << "the one before has counted as well";
  redis.kill();
  net::testing::run_until(io_, [&] { return !up(); });
  EXPECT_EQ(call("GET", "/readyz").status, 200u) << "it serves, if worse";
  EXPECT_EQ(listed(), "401 unauthorized") << "each server counts alone";
  EXPECT_EQ(metrics().find("higgs_cache_failures_total 0"), std::string::npos);
  redis.start();
  net::testing::run_until(io_, up);
  EXPECT_NE(metrics().find("higgs_cache_reconnects_total 1"), std::string::npos);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(listed(), "401 unauthorized") << "Redis has begun anew";
  EXPECT_EQ(listed(), "429 too-many-requests");
}

TEST_F(Background, ServersOfOneRedisCountAnAccountTogether) {
  RedisServer redis;
  settings_.cache.location = CacheLocation::parse("redis://127.0.0.1:" + std::to_string(redis.port()));
  settings_.api.rates.account = 3;
  start();
  const auto up = [&] { return metrics().find("higgs_cache_up 1") != std::string::npos; };
  net::testing::run_until(io_, up);
  const auto token = token_of(add_user("alice", api::Role::kUser));
  EXPECT_EQ(call("GET", "/api/v1/nodes", token).status, 200u);
  EXPECT_EQ(call("GET", "/api/v1/nodes", token).status, 200u);
  restart();
  net::testing::run_until(io_, up);
  EXPECT_EQ(call("GET", "/api/v1/nodes", token).headers.get("RateLimit-Remaining"), "0");
  EXPECT_EQ(outcome(call("GET", "/api/v1/nodes", token)), "429 too-many-requests");
  EXPECT_NE(metrics().find("higgs_rate_limited_total{of=\"account\"} 1"), std::string::npos);
}

}  // namespace
}  // namespace higgs::boson::testing

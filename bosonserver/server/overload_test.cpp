// What the server refuses when it has too much to do or too little memory, and what each caller may ask for.
#include <latch>

#include "bosonserver/server/front_door.h"
#include "bosonserver/server/overload_watch.h"
#include "bosonserver/server/relay_ledger.h"
#include "bosonserver/server/testing/no_watch.h"
#include "bosonserver/server/testing/server_fixture.h"
#include "runtime/clock.h"

namespace higgs::boson::testing {
namespace {

TEST(OverloadGateTest, CountsWhatItRefusesByClass) {
  OverloadGate gate;
  EXPECT_TRUE(gate.take(Work::kAnonymous));
  gate.set(2, {});
  EXPECT_FALSE(gate.take(Work::kAnonymous));
  EXPECT_FALSE(gate.take(Work::kList));
  EXPECT_FALSE(gate.take(Work::kList));
  EXPECT_TRUE(gate.take(Work::kRoute));
  gate.set(kRefusableWork, {});
  EXPECT_FALSE(gate.take(Work::kRenewal));
  EXPECT_TRUE(gate.take(Work::kAlways));
  EXPECT_EQ(gate.refused(Work::kAnonymous), 1u);
  EXPECT_EQ(gate.refused(Work::kList), 2u);
  EXPECT_EQ(gate.refused(Work::kRoute), 0u);
  EXPECT_EQ(gate.refused(Work::kRenewal), 1u);
  EXPECT_EQ(gate.refused(Work::kAlways), 0u);
}

TEST(OverloadGateTest, SlowRequestsEndBeforeRenewalsAreRefusedAndConnectionsLast) {
  OverloadGate gate;
  const auto room = [&](double memory) {
    gate.set(0, {.memory = memory});
    return std::pair(gate.has_memory(OverloadGate::kForRequests), gate.has_memory(OverloadGate::kForConnections));
  };
  EXPECT_EQ(room(0.79), std::pair(true, true));
  EXPECT_EQ(room(0.81), std::pair(false, true));
  EXPECT_EQ(room(0.94), std::pair(false, true));
  EXPECT_EQ(room(0.96), std::pair(false, false));
  EXPECT_EQ(room(0.5), std::pair(true, true));
  EXPECT_LT(OverloadGate::kForRequests, OverloadPolicy{}.memory.back());
}

TEST(OverloadWatchTest, MeasuresAndSetsTheGate) {
  boost::asio::io_context context;
  OverloadGate gate;
  OverloadPolicy patient;
  patient.loop_lag.fill(std::chrono::hours(1));
  patient.hold = std::chrono::milliseconds(0);
  std::size_t used = 10;
  double queue = 0;
  OverloadWatch watch(context.get_executor(), gate, patient, 100, {[&] { return queue; }, [&] { return used; }});
  used = 81;
  net::testing::run_until(context, [&] { return gate.level() == 2; });
  used = 99;
  net::testing::run_until(context,
                          [&] { return gate.level() == 4 && !gate.has_memory(OverloadGate::kForConnections); });
  used = 10;
  net::testing::run_until(context, [&] { return gate.level() == 0 && gate.has_memory(OverloadGate::kForConnections); });
  queue = 0.3;
  net::testing::run_until(context, [&] { return gate.level() == 1; });
}

/// A front door with a gate that the test sets.
class AdmissionTest : public ServerFixture {
 protected:
  void open() {
    start();
    turn_.emplace(settings_, random_);
    meter_.emplace(services(), RelayMeterSettings{}, [](SessionId) { return std::nullopt; });
    ledger_.emplace(
        services(), [](const std::function<void()>& job) { job(); }, *turn_, paths_, nodes_, *meter_, traces_);
    RelayOptions options;
    options.workers = 1;
    relay_.emplace(options, *ledger_);
    door_.emplace(services(), metrics_, store_pool_, password_pool_, gate_, *relay_, *meter_, std::nullopt, traces_);
  }
  net::HttpResponse ask(const std::string& method, const std::string& path, const std::string& token = {},
                        const std::string& body = {}) {
    net::HttpRequest request;
    request.method = method;
    request.path = path;
    request.remote = {IpAddress::v4(0x7f000001), 1};
    request.body = body;
    request.headers.set("Content-Type", "application/json");
    if (!token.empty()) request.headers.set("Authorization", "Bearer " + token);
    auto answering = door_->handlers().request(std::move(request));
    return net::testing::run(io_, std::move(answering));
  }
  unsigned link(const std::string& path) {
    net::HttpRequest request;
    request.method = "GET";
    request.path = path;
    auto deciding = door_->handlers().upgrade(std::move(request));
    const auto decision = net::testing::run(io_, std::move(deciding));
    const auto* refused = std::get_if<net::HttpResponse>(&decision);
    return refused ? refused->status : 101;
  }

  ServerMetrics metrics_;
  PathStatistics paths_{metrics_};
  NoWatch nodes_;
  std::optional<TurnDesk> turn_;
  std::optional<RelayMeter> meter_;
  std::optional<RelayLedger> ledger_;
  std::optional<RelayServer> relay_;
  runtime::BlockingPool store_pool_{{.threads = 1}}, password_pool_{{.threads = 1}};
  trace::Tracer tracer_{std::nullopt, random_, runtime::now};
  ServerTraces traces_{tracer_};
  OverloadGate gate_;
  std::optional<FrontDoor> door_;
};

TEST_F(AdmissionTest, NewWorkIsRefusedBeforeWorkThatStands) {
  open();
  const auto token = token_of(add_user("alice", api::Role::kUser));
  const std::string login = R"({"username":"nobody","password":"wrong password"})";
  const auto outcomes = [&] {
    return std::vector<std::string>{outcome(ask("POST", "/api/v1/nodes/challenge")),
                                    outcome(ask("POST", "/api/v1/auth/login", {}, login)),
                                    outcome(ask("GET", "/nowhere")),
                                    outcome(ask("GET", "/api/v1/nodes", token)),
                                    outcome(ask("POST", "/api/v1/routing/request", token, "{}")),
                                    outcome(ask("POST", "/api/v1/sessions/x/renew", token)),
                                    outcome(ask("GET", "/healthz"))};
  };
  const std::string refused = "503 overloaded";
  const std::vector<std::string> all{
      "200", "401 bad-credentials", "404 not-found", "200", "422 invalid-fields", "404 not-found", "200"};
  EXPECT_EQ(outcomes(), all);
  EXPECT_EQ(link("/relay/x"), 401u);
  auto wanted = all;
  gate_.set(1, {});
  wanted[0] = wanted[1] = wanted[2] = refused;
  EXPECT_EQ(outcomes(), wanted);
  EXPECT_TRUE(ask("POST", "/api/v1/nodes/challenge").headers.get("Retry-After"));
  gate_.set(2, {});
  wanted[3] = refused;
  EXPECT_EQ(outcomes(), wanted);
  gate_.set(3, {});
  wanted[4] = refused;
  EXPECT_EQ(outcomes(), wanted);
  EXPECT_EQ(link("/relay/x"), 401u) << "a link of what stands is let in until the last";
  gate_.set(4, {});
  wanted[5] = refused;
  EXPECT_EQ(outcomes(), wanted);
  EXPECT_EQ(link("/relay/x"), 503u);
  EXPECT_EQ(gate_.refused(Work::kRoute), 2u);
  EXPECT_EQ(gate_.refused(Work::kRenewal), 2u);
}

TEST_F(AdmissionTest, WhoIsOverALimitTakesNoThreadThatHashes) {
  settings_.api.rates.login = 1;
  open();
  // Nobody serves that pool any more: its only thread is held.
  std::latch release(1);
  const auto hold = [&] { return release.wait(), true; };
  auto holding = password_pool_.run(hold);
  boost::asio::co_spawn(io_, std::move(holding), boost::asio::detached);
  io_.restart();
  io_.poll();
  const std::string login = R"({"username":"nobody","password":"wrong password"})";
  net::HttpRequest request;
  request.method = "POST";
  request.path = "/api/v1/auth/login";
  request.body = login;
  request.headers.set("Content-Type", "application/json");
  bool first = false;
  auto answering = door_->handlers().request(request);
  boost::asio::co_spawn(io_, std::move(answering),
                        [&](const std::exception_ptr&, const net::HttpResponse&) { first = true; });
  net::testing::run_until(io_, [&] { return password_pool_.queued() == 1; });
  auto second = door_->handlers().request(request);
  const auto answer = net::testing::run(io_, std::move(second));
  EXPECT_EQ(outcome(answer), "429 too-many-requests");
  EXPECT_FALSE(first) << "which waits for the thread";
  release.count_down();
  net::testing::run_until(io_, [&] { return first; });
}

using RatesTest = ServerFixture;

TEST_F(RatesTest, AnAccountHasALimitWhereverItsRequestsComeFrom) {
  settings_.api.rates.account = 3;
  settings_.proxies.networks = {*IpPrefix::parse("127.0.0.0/8")};
  settings_.proxies.header = net::TrustedProxies::Header::kForwardedFor;
  start();
  const auto alice = add_user("alice", api::Role::kUser), bob = add_user("bob", api::Role::kUser);
  const auto list = [this](const std::string& token, const std::string& address) {
    net::HttpHeaders headers;
    headers.set("X-Forwarded-For", address);
    return call("GET", "/api/v1/api-keys", token, {}, headers);
  };
  // Two logins, three addresses.
  const auto one = token_of(alice), two = token_of(alice);
  EXPECT_EQ(list(one, "192.0.2.1").headers.get("RateLimit-Remaining"), "2");
  EXPECT_EQ(list(two, "192.0.2.2").headers.get("RateLimit-Remaining"), "1");
  EXPECT_EQ(list(one, "192.0.2.3").headers.get("RateLimit-Limit"), "3");
  const auto refused = list(two, "192.0.2.4");
  EXPECT_EQ(outcome(refused), "429 too-many-requests");
  EXPECT_TRUE(refused.headers.get("Retry-After"));
  EXPECT_EQ(refused.headers.get("RateLimit-Remaining"), "0");
  EXPECT_EQ(list(token_of(bob), "192.0.2.4").status, 200u) << "others are not it";
  EXPECT_EQ(services().rate_refusals.of(RateScope::kAccount), 1u);
  EXPECT_EQ(services().rate_refusals.of(RateScope::kAddress), 0u);
}

TEST_F(RatesTest, ListsAndRoutesHaveLimitsOfTheirOwn) {
  settings_.api.rates.lists = 2;
  settings_.api.rates.routes = 1;
  start();
  const auto token = token_of(add_user("alice", api::Role::kUser));
  EXPECT_EQ(call("GET", "/api/v1/nodes", token).headers.get("RateLimit-Limit"), "2") << "the nearest limit is told";
  EXPECT_EQ(call("GET", "/api/v1/nodes", token).status, 200u);
  EXPECT_EQ(outcome(call("GET", "/api/v1/nodes", token)), "429 too-many-requests");
  EXPECT_EQ(outcome(request_route(token, routing_request())), "409 no-node-fits");
  EXPECT_EQ(outcome(request_route(token, routing_request())), "429 too-many-requests");
  EXPECT_EQ(call("POST", "/api/v1/sessions/x/renew", token).status, 404u) << "what stands goes on";
}

TEST_F(RatesTest, ANodeHasALimit) {
  settings_.api.rates.node = 2;
  start();
  TestNode one(random_), two(random_);
  ASSERT_EQ(register_node(one).status, 200u);
  ASSERT_EQ(register_node(two).status, 200u);
  EXPECT_EQ(send_heartbeat(one).headers.get("RateLimit-Remaining"), "1");
  EXPECT_EQ(send_heartbeat(one).status, 200u);
  EXPECT_EQ(outcome(send_heartbeat(one)), "429 too-many-requests");
  EXPECT_EQ(send_heartbeat(two).status, 200u);
  EXPECT_EQ(services().rate_refusals.of(RateScope::kNode), 1u);
}

TEST_F(RatesTest, ALinkThatComesBackAgainAndAgainIsRefused) {
  settings_.api.rates.links = 2;
  start();
  TestNode node(random_);
  ASSERT_EQ(register_node(node).status, 200u);
  EXPECT_EQ(open_link(to_string(node.id()), node.relay_token), 101u);
  EXPECT_EQ(open_link(to_string(node.id()), node.relay_token), 101u);
  EXPECT_EQ(open_link(to_string(node.id()), node.relay_token), 429u);
  EXPECT_EQ(services().rate_refusals.of(RateScope::kLink), 1u);
}

TEST_F(RatesTest, AnIpv6CustomerIsOneAddress) {
  settings_.api.rates.general = 2;
  settings_.proxies.networks = {*IpPrefix::parse("127.0.0.0/8")};
  settings_.proxies.header = net::TrustedProxies::Header::kForwardedFor;
  start();
  const auto from = [this](const std::string& address) {
    net::HttpHeaders headers;
    headers.set("X-Forwarded-For", address);
    return call("GET", "/api/v1/nodes", {}, {}, headers).status;
  };
  EXPECT_EQ(from("2001:db8:1:2::1"), 401u);
  EXPECT_EQ(from("2001:db8:1:2::2"), 401u);
  EXPECT_EQ(from("2001:db8:1:2:ffff::3"), 429u);
  EXPECT_EQ(from("2001:db8:1:3::1"), 401u);
}

using MemoryTest = ServerFixture;

TEST_F(MemoryTest, WhatIsNewIsClosedWithoutMemory) {
  settings_.memory_mib = 1;  // less than this process has by being there
  start();
  const auto refused = [&] {
    client_->close();  // one that stands is served
    auto running = client_->request("GET", origin() + "/healthz", {}, "");
    return !net::testing::run(io_, std::move(running));
  };
  net::testing::run_until(io_, refused);
}

}  // namespace
}  // namespace higgs::boson::testing

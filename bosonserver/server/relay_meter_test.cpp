#include "bosonserver/server/relay_meter.h"

#include <map>

#include "bosonserver/domain/quota_period.h"
#include "bosonserver/server/relay_gate.h"
#include "bosonserver/server/testing/server_fixture.h"

namespace higgs::boson::testing {
namespace {

using namespace std::chrono_literals;

TEST(QuotaPeriodTest, IsAMonthInUtc) {
  const auto january = quota_period_at(1'769'903'999);  // 2026-01-31 23:59:59
  EXPECT_EQ(january.number, 202601);
  EXPECT_EQ(january.ends_at, 1'769'904'000);
  EXPECT_EQ(quota_period_at(january.ends_at).number, 202602);
  const auto december = quota_period_at(1'798'761'599);  // 2026-12-31 23:59:59
  EXPECT_EQ(december.number, 202612);
  EXPECT_EQ(quota_period_at(december.ends_at).number, 202701);
  EXPECT_EQ(quota_period_at(0).number, 197001);
}

class RelayMeterTest : public ServerFixture {
 protected:
  void begin(std::optional<std::uint64_t> quota) {
    settings_.api.relay_quota_bytes = quota;
    start();
    alice_ = add_user("alice", api::Role::kUser);
    token_ = token_of(alice_);
  }
  std::uint64_t used() { return services().store.relay_account(alice_.id, period())->used_bytes; }
  std::int64_t period() { return quota_period_at(unix_seconds(now().wall)).number; }
  std::unique_ptr<RelayMeter> make_meter(std::optional<double> rate = {}) {
    return std::make_unique<RelayMeter>(services(), RelayMeterSettings{rate, 0.5, 10}, [this](SessionId session) {
      const auto found = forwarded_.find(session);
      return found == forwarded_.end() ? std::nullopt : std::optional(found->second);
    });
  }

  const SessionId one_{Uuid::random(random_)}, two_{Uuid::random(random_)};
  std::map<SessionId, std::uint64_t> forwarded_;
  UserRecord alice_;
  std::string token_;
};

TEST_F(RelayMeterTest, EveryByteIsCountedOnce) {
  begin({});
  const auto meter = make_meter();
  meter->join(one_, alice_.id);
  meter->join(two_, alice_.id);
  forwarded_ = {{one_, 1'000}, {two_, 50}};
  meter->tick();
  EXPECT_EQ(used(), 1'050u);
  meter->tick();
  EXPECT_EQ(used(), 1'050u);
  forwarded_[one_] = 1'700;
  meter->tick();
  EXPECT_EQ(used(), 1'750u);
  forwarded_.erase(one_);
  meter->left(one_, 2'000);
  meter->tick();
  EXPECT_EQ(used(), 2'050u);
  // It comes back, and counts from nothing.
  meter->join(one_, alice_.id);
  forwarded_[one_] = 10;
  meter->tick();
  EXPECT_EQ(used(), 2'060u);
}

TEST_F(RelayMeterTest, WithoutTheStoreNothingIsLost) {
  begin({});
  const auto meter = make_meter();
  meter->join(one_, alice_.id);
  forwarded_[one_] = 1'000;
  *store_away_ = true;
  meter->tick();
  forwarded_.erase(one_);
  meter->left(one_, 1'500);
  pass(10min);
  meter->tick();
  EXPECT_EQ(meter->stats().unsaved_bytes, 1'500u);
  *store_away_ = false;
  meter->tick();
  EXPECT_EQ(used(), 1'500u);
  EXPECT_EQ(meter->stats().unsaved_bytes, 0u);
}

TEST_F(RelayMeterTest, OverQuotaAUserIsSlowedDownOnAllSessionsAndServers) {
  begin(1'000);
  const auto here = make_meter(100), elsewhere = make_meter();
  const auto rate = here->join(one_, alice_.id), other_rate = elsewhere->join(two_, alice_.id);
  EXPECT_EQ(rate->up.mbps(), 100);
  EXPECT_EQ(other_rate->up.mbps(), std::nullopt);
  EXPECT_EQ(here->join(two_, alice_.id), rate) << "one for all sessions";
  forwarded_[one_] = 999;
  here->tick();
  EXPECT_EQ(rate->up.mbps(), 100);
  forwarded_[one_] = 1'000;
  here->tick();
  elsewhere->tick();
  for (const auto& held : {rate, other_rate}) {
    EXPECT_EQ(held->up.mbps(), 0.5);
    EXPECT_EQ(held->down.mbps(), 0.5);
  }
  EXPECT_TRUE(here->is_over_quota(alice_.id));
  EXPECT_EQ(make_meter()->join(one_, alice_.id)->up.mbps(), 0.5) << "who comes to a server that knew nothing, too";
  // The next month, at the latest in 31 days.
  pass(31 * 24h);
  here->tick();
  EXPECT_EQ(rate->up.mbps(), 100);
}

TEST_F(RelayMeterTest, WithoutTheStoreWhoUsesUpAQuotaIsSlowedDownAllTheSame) {
  begin(1'000);
  const auto meter = make_meter(100);
  ASSERT_TRUE(services().store.add_relay_usage(period(), {{alice_.id, 400}}));
  const auto rate = meter->join(one_, alice_.id);
  forwarded_[one_] = 100;
  meter->tick();
  *store_away_ = true;
  forwarded_[one_] = 599;
  meter->tick();
  EXPECT_EQ(rate->up.mbps(), 100);
  forwarded_[one_] = 600;
  meter->tick();
  EXPECT_EQ(rate->up.mbps(), 0.5);
  EXPECT_TRUE(meter->is_over_quota(one_));
  meter->tick();
  EXPECT_EQ(rate->up.mbps(), 0.5);
  *store_away_ = false;
  meter->tick();
  EXPECT_EQ(rate->up.mbps(), 0.5);
  EXPECT_EQ(used(), 1'000u);
}

TEST_F(RelayMeterTest, WithoutTheStoreAQuotaThatWasRaisedBeforeIsStillTheRaisedOne) {
  begin(1'000);
  const auto meter = make_meter();
  const auto rate = meter->join(one_, alice_.id);
  forwarded_[one_] = 1'000;
  meter->tick();
  ASSERT_EQ(rate->up.mbps(), 0.5);
  ASSERT_TRUE(services().store.set_relay_quota(alice_.id, 2'000));
  meter->tick();
  *store_away_ = true;
  forwarded_[one_] = 1'999;
  meter->tick();
  EXPECT_EQ(rate->up.mbps(), std::nullopt);
  forwarded_[one_] = 2'000;
  meter->tick();
  EXPECT_EQ(rate->up.mbps(), 0.5);
}

TEST_F(RelayMeterTest, WhoCameWithoutTheStoreIsAskedForWhenItIsBack) {
  begin(1'000);
  ASSERT_TRUE(services().store.add_relay_usage(period(), {{alice_.id, 500}}));
  const auto meter = make_meter();
  *store_away_ = true;
  const auto rate = meter->join(one_, alice_.id);
  *store_away_ = false;
  meter->tick();
  *store_away_ = true;
  forwarded_[one_] = 500;
  meter->tick();
  EXPECT_EQ(rate->up.mbps(), 0.5);
}

TEST_F(RelayMeterTest, AQuotaOfOnesOwnComesFirst) {
  begin(1'000);
  const auto meter = make_meter();
  const auto rate = meter->join(one_, alice_.id);
  forwarded_[one_] = 5'000;
  ASSERT_TRUE(services().store.set_relay_quota(alice_.id, 10'000));
  meter->tick();
  EXPECT_EQ(rate->up.mbps(), std::nullopt);
  ASSERT_TRUE(services().store.set_relay_quota(alice_.id, 0));
  meter->tick();
  EXPECT_EQ(rate->up.mbps(), 0.5);
  ASSERT_TRUE(services().store.set_relay_quota(alice_.id, 10'000));
  meter->tick();
  EXPECT_EQ(rate->up.mbps(), std::nullopt);
}

TEST_F(RelayMeterTest, CountsNoMoreSessionsThanItsLimit) {
  begin({});
  const auto meter = make_meter();
  for (int i = 0; i < 12; ++i) meter->join(SessionId(Uuid::random(random_)), alice_.id);
  EXPECT_EQ(meter->stats().unmetered, 2u);
  pass(2min);
  meter->tick();
  meter->join(one_, alice_.id);
  EXPECT_EQ(meter->stats().unmetered, 2u) << "those without a link were forgotten";
}

TEST_F(RelayMeterTest, OverQuotaNewRoutesAreRefusedUnlessTheyAreDirect) {
  begin(1'000);
  TestNode hidden(random_), open(random_);
  auto body = hidden.request(challenge());
  body.network_info.nat_type = api::NatType::kSymmetric;
  ASSERT_EQ(outcome(send_registration(hidden, body)), "200");
  auto wanted = routing_request();
  wanted.client_network_info.nat_type = api::NatType::kSymmetric;
  auto answer = request_route(token_, wanted);
  ASSERT_EQ(outcome(answer), "200");
  EXPECT_FALSE(decoded<api::RoutingResponse>(answer).selected_route.turn.empty());
  ASSERT_TRUE(services().store.add_relay_usage(period(), {{alice_.id, 1'000}}));
  wanted.wireguard_public_key = routing_request().wireguard_public_key;
  answer = request_route(token_, wanted);
  EXPECT_EQ(outcome(answer), "403 quota-exhausted");
  EXPECT_EQ(decoded<api::Problem>(answer).resets_at, quota_period_at(unix_seconds(now().wall)).ends_at);
  body = open.request(challenge());
  body.network_info.nat_type = api::NatType::kOpen;
  ASSERT_EQ(outcome(send_registration(open, body)), "200");
  pass(10s);
  wanted.wireguard_public_key = routing_request().wireguard_public_key;
  answer = request_route(token_, wanted);
  ASSERT_EQ(outcome(answer), "200");
  const auto route = decoded<api::RoutingResponse>(answer).selected_route;
  EXPECT_EQ(route.node_endpoint.node_id, open.id());
  EXPECT_TRUE(route.turn.empty()) << "TURN would be a way around it";
}

TEST_F(RelayMeterTest, AdminsSeeUsageAndSetQuotas) {
  begin({});
  const auto root = token_of(add_user("root", api::Role::kAdmin));
  const auto path = "/api/v1/users/" + to_string(alice_.id);
  ASSERT_TRUE(services().store.add_relay_usage(period(), {{alice_.id, 42}}));
  auto shown = decoded<api::UserDetails>(call("GET", path, root));
  EXPECT_EQ(shown.user.username, "alice");
  EXPECT_EQ(shown.relay.used_bytes, 42u);
  EXPECT_FALSE(shown.relay.quota_bytes || shown.relay.own_quota);
  EXPECT_EQ(outcome(call("PATCH", path, root, R"({"relayQuota":42})")), "200");
  shown = decoded<api::UserDetails>(call("GET", path, root));
  EXPECT_EQ(shown.relay.quota_bytes, 42u);
  EXPECT_TRUE(shown.relay.own_quota);
  EXPECT_EQ(services().store.audit({}, 1)->front().outcome, "ok: relay-quota=42");
  EXPECT_EQ(outcome(call("PATCH", path, root, R"({"relayQuota":-1})")), "200");
  EXPECT_FALSE(decoded<api::UserDetails>(call("GET", path, root)).relay.own_quota);
  EXPECT_EQ(outcome(call("PATCH", path, root, R"({"relayQuota":-2})")), "422 invalid-fields");
  EXPECT_EQ(outcome(call("PATCH", path, root, R"({"relayQuota":1e300})")), "422 invalid-fields");
}

TEST_F(RelayMeterTest, ALinkOfTheServerIsMetered) {
  begin(0);
  TestNode node(random_);
  ASSERT_EQ(outcome(register_node(node)), "200");
  SessionRow session;
  session.id = one_;
  session.user = alice_.id;
  session.node = node.id();
  session.address4 = *IpAddress::parse("10.77.0.9");
  session.expires_at = unix_seconds(now().wall) + 600;
  ASSERT_TRUE(services().store.add_session(session));
  const auto meter = make_meter();
  net::HttpRequest request;
  request.method = "GET";
  request.path = "/relay/" + to_string(one_);
  request.headers.set("Authorization", "Bearer " + session_token(services(), one_, session.expires_at, now()).text);
  request.headers.set("Sec-WebSocket-Protocol", "higgs-relay.1");
  const auto grant = authorise_relay_link(services(), *meter, request, std::nullopt);
  const auto* client = std::get_if<ClientLinkGrant>(&grant);
  ASSERT_TRUE(client && client->ticket.user_rate);
  EXPECT_EQ(client->ticket.user_rate->up.mbps(), 0.5);
  EXPECT_TRUE(meter->is_over_quota(one_));
}

}  // namespace
}  // namespace higgs::boson::testing

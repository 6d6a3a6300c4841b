#include <map>
#include <set>

#include "bosonserver/api/maintenance.h"
#include "bosonserver/server/testing/server_fixture.h"
#include "jwt/verifier.h"
#include "mmdb/testing/writer.h"
#include "runtime/files.h"

namespace higgs::boson::testing {
namespace {

class SessionApi : public ServerFixture {
 protected:
  void begin() {
    start();
    alice_ = token_of(add_user("alice", api::Role::kUser));
    bob_ = token_of(add_user("bob", api::Role::kUser));
    op_ = token_of(add_user("op", api::Role::kOperator));
    ASSERT_EQ(outcome(register_node(node_)), "200");
  }
  api::RoutingResponse route(const std::string& token) {
    return decoded<api::RoutingResponse>(request_route(token, routing_request()));
  }
  std::string path_of(const api::RoutingResponse& route) {
    return "/api/v1/sessions/" + to_string(route.selected_route.session_id);
  }

  TestNode node_{random_};
  std::string alice_, bob_, op_;
};

TEST_F(SessionApi, ARouteHoldsAllThatATunnelNeeds) {
  begin();
  const auto answer = route(alice_);
  const auto& selected = answer.selected_route;
  EXPECT_EQ(selected.relay_endpoint,
            "wss://" + server_->api_endpoint().to_string() + "/relay/" + to_string(selected.session_id));
  EXPECT_EQ(selected.node_endpoint.node_id, node_.id());
  const auto& wireguard = selected.node_endpoint.wireguard_config;
  EXPECT_EQ(wireguard.public_key, node_.wireguard_key);
  EXPECT_TRUE(api::verify_key_certificate(wireguard.key_certificate, node_.id(), now().wall));
  EXPECT_FALSE(wireguard.preshared_key);
  ASSERT_EQ(wireguard.address.size(), 2u);
  EXPECT_TRUE(IpPrefix::parse("10.77.0.0/24")->contains(wireguard.address[0].address()));
  EXPECT_EQ(wireguard.address[0].length(), 32u);
  EXPECT_TRUE(IpPrefix::parse("fd00:77::/64")->contains(wireguard.address[1].address()));
  EXPECT_FALSE(wireguard.dns.empty());
  ASSERT_EQ(answer.routes.size(), 1u);
  EXPECT_EQ(answer.routes[0].id, selected.id);
  EXPECT_EQ(answer.routes[0].type, api::RouteType::kRelay);
  EXPECT_EQ(open_link(to_string(selected.session_id), selected.session_token), 101u);
}

TEST_F(SessionApi, ARouteSaysHowToReachStunAndTurn) {
  begin();
  const auto answer = route(alice_).selected_route;
  const auto stun = server_->stun_endpoint();
  ASSERT_EQ(answer.stun_servers.size(), 1u);
  EXPECT_EQ(answer.stun_servers[0].host, "127.0.0.1");
  EXPECT_EQ(answer.stun_servers[0].port, stun.port);
  ASSERT_EQ(answer.turn.size(), 3u);
  EXPECT_EQ(answer.turn[0].urls, "turn:" + stun.to_string() + "?transport=udp");
  EXPECT_TRUE(answer.turn[1].urls.starts_with("turn:127.0.0.1:") && answer.turn[1].urls.ends_with("?transport=tcp"));
  EXPECT_TRUE(answer.turn[2].urls.starts_with("turns:127.0.0.1:"));
  for (const auto& turn : answer.turn) {
    EXPECT_EQ(turn.username, std::to_string(turn.expires_at) + ":" + to_string(answer.session_id));
    EXPECT_EQ(turn.expires_at, unix_seconds(now().wall) + settings_.turn.credential_lifetime.count());
    EXPECT_FALSE(turn.credential.empty());
  }
  EXPECT_NE(route(alice_).selected_route.turn[0].credential, answer.turn[0].credential);
}

TEST_F(SessionApi, AddressesOfANameGoWithTheRoute) {
  settings_.public_url = "https://relay.example:8443";
  settings_.api.public_addresses = {*IpAddress::parse("198.51.100.1"), *IpAddress::parse("2001:db8::1")};
  settings_.finish();
  start();
  const auto node = node_.request(challenge());
  const auto text = api::encode(node);
  net::HttpHeaders headers;
  headers.set(api::kSignatureHeader,
              api::sign_registration(node_.identity, *settings_.api.public_origin, node.nonce, text));
  ASSERT_EQ(outcome(call("POST", "/api/v1/nodes/register", {}, text, headers)), "200");
  const auto answer = route(token_of(add_user("alice", api::Role::kUser))).selected_route;
  EXPECT_TRUE(answer.relay_endpoint.starts_with("wss://relay.example:8443/relay/"));
  ASSERT_EQ(answer.hosts.size(), 1u);
  EXPECT_EQ(answer.hosts[0].name, "relay.example");
  EXPECT_EQ(answer.hosts[0].addresses, settings_.api.public_addresses);
}

TEST_F(SessionApi, WithoutTurnARouteOffersNone) {
  settings_.turn.enabled = false;
  begin();
  EXPECT_TRUE(route(alice_).selected_route.turn.empty());
}

TEST_F(SessionApi, ANodeThatNamesNoPlaceIsFoundWhereItsAddressIs) {
  mmdb::testing::Writer world;
  world.add("127.0.0.0/8", mmdb::testing::city_record("SE", "Stockholm", "Solna", 59.36, 18));
  settings_.geoip_database = settings_.state_dir / "city.mmdb";
  ASSERT_TRUE(runtime::write_file_atomic(*settings_.geoip_database, world.file()));
  node_.country.clear();
  begin();
  const auto shown = decoded<api::NodeList>(call("GET", "/api/v1/nodes?country=SE&region=Stockholm", alice_)).nodes;
  ASSERT_EQ(shown.size(), 1u);
  EXPECT_EQ(shown[0].location->country, "SE");
  EXPECT_FALSE(shown[0].location->coordinates);
  auto body = routing_request();
  body.requirements.preferred_country = "DE";
  EXPECT_EQ(outcome(request_route(alice_, body)), "409 no-node-fits");
  body.requirements.preferred_country = "SE";
  body.requirements.preferred_location = "Solna";
  const auto answer = decoded<api::RoutingResponse>(request_route(alice_, body));
  EXPECT_EQ(answer.selected_route.node_endpoint.node_id, node_.id());
  EXPECT_EQ(answer.routes[0].estimated_latency, 20) << "measured goes before distance";
}

TEST_F(SessionApi, ADirectPathIsToldWhereTheNatsAllowIt) {
  begin();
  auto body = routing_request();
  body.client_network_info.nat_type = api::NatType::kOpen;
  EXPECT_FALSE(
      decoded<api::RoutingResponse>(request_route(alice_, body)).selected_route.node_endpoint.direct_connection);
  auto registration = node_.request(challenge());
  registration.network_info.nat_type = api::NatType::kPortRestricted;
  ASSERT_EQ(send_registration(node_, registration).status, 200u);
  body.wireguard_public_key = routing_request().wireguard_public_key;
  const auto answer = decoded<api::RoutingResponse>(request_route(alice_, body));
  EXPECT_TRUE(answer.selected_route.node_endpoint.direct_connection);
  EXPECT_EQ(answer.routes[0].type, api::RouteType::kDirect);
}

TEST_F(SessionApi, AddressesAndKeysAreNeverShared) {
  begin();
  std::set<IpPrefix> addresses;
  for (int i = 0; i < 10; ++i) {
    const auto answer = route(i % 2 ? alice_ : bob_);
    for (const auto& address : answer.selected_route.node_endpoint.wireguard_config.address)
      EXPECT_TRUE(addresses.insert(address).second);
  }
  const auto full = request_route(alice_, routing_request());
  EXPECT_EQ(outcome(full), "409 no-node-fits");
  EXPECT_EQ(decoded<api::Problem>(full).ruled_out.at("full"), 1u);

  TestNode second(random_);
  ASSERT_EQ(outcome(register_node(second)), "200");
  services().directory.forget();
  services().cache.drop_tagged(route_tag(node_.id()));
  auto body = routing_request();
  ASSERT_EQ(outcome(request_route(alice_, body)), "200");
  EXPECT_EQ(outcome(request_route(bob_, body)), "409 key-taken");
}

TEST_F(SessionApi, WhereAllOfACachedRankingIsFullANodeThatCameSinceIsFound) {
  begin();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(route(alice_).selected_route.node_endpoint.node_id, node_.id());
  TestNode second(random_);
  ASSERT_EQ(outcome(register_node(second)), "200");
  services().directory.forget();
  const auto answer = request_route(alice_, routing_request());
  ASSERT_EQ(outcome(answer), "200");
  const auto found = decoded<api::RoutingResponse>(answer);
  EXPECT_EQ(found.selected_route.node_endpoint.node_id, second.id());
  ASSERT_EQ(found.routes.size(), 1u);
  EXPECT_EQ(found.routes[0].id, found.selected_route.id);
}

TEST_F(SessionApi, OneAccountCannotTakeEverything) {
  settings_.api.sessions_per_user = 2;
  begin();
  const auto first = route(alice_);
  route(alice_);
  EXPECT_EQ(outcome(request_route(alice_, routing_request())), "409 too-many-sessions");
  EXPECT_EQ(call("DELETE", path_of(first), alice_).status, 204u);
  EXPECT_EQ(request_route(alice_, routing_request()).status, 200u);
}

TEST_F(SessionApi, ASessionIsItsOwners) {
  begin();
  const auto answer = route(alice_);
  EXPECT_EQ(outcome(call("DELETE", path_of(answer), bob_)), "404 not-found");
  EXPECT_EQ(outcome(call("POST", path_of(answer) + "/renew", bob_)), "404 not-found");
  EXPECT_EQ(outcome(call("POST", path_of(answer) + "/renew", op_)), "404 not-found") << "nor an operator's to use";
  const auto other = route(bob_);
  EXPECT_EQ(open_link(to_string(answer.selected_route.session_id), other.selected_route.session_token), 403u);
  EXPECT_EQ(open_link(to_string(node_.id()), other.selected_route.session_token), 403u);
  EXPECT_EQ(open_link(to_string(answer.selected_route.session_id), node_.relay_token), 403u);
  const auto unknown = "/api/v1/sessions/" + Uuid::random(random_).to_string();
  EXPECT_EQ(outcome(call("DELETE", unknown, op_)), "404 not-found");
  EXPECT_EQ(services().store.audit({}, 1)->front().action, "session.end");
  EXPECT_EQ(services().store.audit({}, 1)->front().outcome, "refused: 404 not-found");
  EXPECT_EQ(call("DELETE", path_of(answer), op_).status, 204u) << "but an operator may end it";
  EXPECT_EQ(services().store.audit({}, 1)->front().outcome, "ok");
}

TEST_F(SessionApi, RenewalExtendsAndExpiryEnds) {
  begin();
  const auto answer = route(alice_);
  const auto id = to_string(answer.selected_route.session_id);
  pass(settings_.api.session_lifetime - std::chrono::seconds(60));
  alice_ = token_of(*services().store.user_by_name("alice"));
  const auto renewed = decoded<api::SessionRenewal>(call("POST", path_of(answer) + "/renew", alice_));
  EXPECT_GT(renewed.expires_at, answer.selected_route.expires_at);
  pass(std::chrono::seconds(120));
  EXPECT_EQ(open_link(id, answer.selected_route.session_token), 401u) << "the first token has ended";
  EXPECT_EQ(open_link(id, renewed.session_token), 101u);
  pass(settings_.api.session_lifetime);
  alice_ = token_of(*services().store.user_by_name("alice"));
  EXPECT_EQ(outcome(call("POST", path_of(answer) + "/renew", alice_)), "410 session-ended");
  Maintenance maintenance(services());
  maintenance.run();
  EXPECT_EQ(services().store.session(answer.selected_route.session_id)->end_reason, "expired");
}

TEST_F(SessionApi, AnEndedSessionIsShutOut) {
  begin();
  const auto answer = route(alice_);
  EXPECT_EQ(call("DELETE", path_of(answer), alice_).status, 204u);
  EXPECT_EQ(call("DELETE", path_of(answer), alice_).status, 204u) << "ending twice is no fault";
  EXPECT_EQ(open_link(to_string(answer.selected_route.session_id), answer.selected_route.session_token), 403u);
  const auto list = decoded<api::SessionList>(call("GET", "/api/v1/admin/sessions", op_));
  ASSERT_EQ(list.sessions.size(), 1u);
  EXPECT_TRUE(list.sessions[0].ended_at);
}

TEST_F(SessionApi, TheRelayTakesOnlyItsOwnSubprotocol) {
  begin();
  EXPECT_EQ(open_link(to_string(node_.id()), node_.relay_token, "chat"), 400u);
  EXPECT_EQ(open_link(to_string(node_.id()), node_.relay_token), 101u);
}

TEST_F(SessionApi, AnOlderTokenDoesNotReplaceANewerOne) {
  begin();
  const auto old_token = node_.relay_token;
  pass(std::chrono::seconds(10));
  const auto newer = node_relay_token(services(), node_.id(), node_tokens_end(services(), now()), now()).text;
  net::HttpHeaders headers;
  headers.set("Authorization", "Bearer " + newer);
  auto running =
      client_->upgrade("wss" + origin().substr(5) + "/relay/" + to_string(node_.id()), headers, "higgs-relay.1");
  const auto standing = net::testing::run(io_, std::move(running));
  ASSERT_TRUE(standing);
  ASSERT_TRUE(wait_for_link(node_.id()));
  EXPECT_EQ(open_link(to_string(node_.id()), old_token), 409u);
}

TEST_F(SessionApi, ARestartLosesNoSession) {
  begin();
  const auto answer = route(alice_);
  const auto id = to_string(answer.selected_route.session_id);
  const auto pin = server_->pin();
  restart();
  EXPECT_EQ(server_->pin(), pin);
  EXPECT_EQ(open_link(id, answer.selected_route.session_token), 101u);
  EXPECT_EQ(open_link(to_string(node_.id()), node_.relay_token), 101u);
  EXPECT_EQ(send_heartbeat(node_).status, 200u);
  EXPECT_EQ(call("POST", path_of(answer) + "/renew", alice_).status, 200u);
}

TEST_F(SessionApi, NoNodeFitsSaysWhy) {
  begin();
  auto body = routing_request();
  body.requirements.preferred_country = "SE";
  const auto problem = decoded<api::Problem>(request_route(alice_, body));
  EXPECT_TRUE(problem.is("no-node-fits"));
  EXPECT_EQ(problem.ruled_out.at("country"), 1u);
  body = routing_request();
  body.target_node_id = NodeId(Uuid::random(random_));
  EXPECT_EQ(decoded<api::Problem>(request_route(alice_, body)).ruled_out.at("other-node"), 1u);
}

TEST_F(SessionApi, WhatHappenedToANodeSinceItWasRankedIsSaid) {
  begin();
  route(alice_);  // from here on the ranking is remembered
  ASSERT_TRUE(services().store.set_node_admission(node_.id(), NodeAdmission::kBanned));
  const auto problem = decoded<api::Problem>(request_route(alice_, routing_request()));
  EXPECT_TRUE(problem.is("no-node-fits"));
  EXPECT_EQ(problem.ruled_out, (std::map<std::string, std::uint32_t>{{"not-admitted", 1}}));
}

TEST_F(SessionApi, MaintenanceNoticesSilence) {
  begin();
  pass(std::chrono::seconds(200));
  Maintenance maintenance(services());
  services().directory.forget();
  maintenance.run();
  EXPECT_EQ(services().store.node(node_.id())->status, api::NodeStatus::kOffline);
  pass(std::chrono::hours(24 * 31));
  Maintenance later(services());
  later.run();
  EXPECT_EQ(services().store.node(node_.id()).error(), StoreError::kNotFound) << "silent for a month: forgotten";
}

TEST_F(SessionApi, OperationEndpointsAnswer) {
  begin();
  EXPECT_EQ(call("GET", "/healthz").status, 200u);
  EXPECT_EQ(call("GET", "/readyz").status, 200u);
  EXPECT_NE(call("GET", "/openapi.json").body.find("\"openapi\":\"3.1.0\""), std::string::npos);
  EXPECT_EQ(call("GET", "/metrics").status, 404u) << "metrics have a listener of their own";
}

TEST_F(SessionApi, TwoServersDoNotShareAStateDirectory) {
  begin();
  EXPECT_THROW(BosonServer second(settings_), std::runtime_error);
}

TEST_F(SessionApi, KeyFilesArePrivate) {
  begin();
  for (const auto* name : {"server.key", "sealing.key", "store.db"}) {
    const auto mode = std::filesystem::status(settings_.state_dir / name).permissions();
    EXPECT_EQ(mode & std::filesystem::perms(0077), std::filesystem::perms::none) << name;
  }
}

}  // namespace
}  // namespace higgs::boson::testing

#include "bosonserver/server/testing/server_fixture.h"

namespace higgs::boson::testing {
namespace {

class NodeApi : public ServerFixture {
 protected:
  TestNode node_{random_};
};

TEST_F(NodeApi, ANodeRegistersBeatsAndIsListed) {
  start();
  const auto registered = register_node(node_);
  ASSERT_EQ(outcome(registered), "200") << registered.body;
  const auto body = decoded<api::RegisterResponse>(registered);
  EXPECT_EQ(body.node_id, node_.id());
  EXPECT_FALSE(body.pending);
  EXPECT_EQ(body.observed_address, IpAddress::parse("127.0.0.1"));
  ASSERT_EQ(body.relay_servers.size(), 1u);
  EXPECT_EQ(body.relay_servers[0].port, server_->api_endpoint().port);
  ASSERT_EQ(body.stun_servers.size(), 1u);
  EXPECT_EQ(body.stun_servers[0].port, server_->stun_endpoint().port);

  const auto beat = decoded<api::HeartbeatResponse>(send_heartbeat(node_));
  EXPECT_GT(beat.next_heartbeat, unix_seconds(now().wall));
  EXPECT_FALSE(beat.session_token) << "tokens are renewed in the second half of their life";

  const auto user = token_of(add_user("u", api::Role::kUser));
  const auto answer = call("GET", "/api/v1/nodes", user);
  const auto list = decoded<api::NodeList>(answer);
  ASSERT_EQ(list.nodes.size(), 1u);
  EXPECT_EQ(list.nodes[0].node_id, node_.id());
  EXPECT_TRUE(api::verify_key_certificate(list.nodes[0].key_certificate, node_.id(), now().wall));
  for (const auto* secret : {"192.0.2.10", "127.0.0.1", "10.77.0"})
    EXPECT_EQ(answer.body.find(secret), std::string::npos) << "clients never see a node's address";
  EXPECT_EQ(decoded<api::NodeSummary>(call("GET", "/api/v1/nodes/" + to_string(node_.id()), user)).node_id, node_.id());
}

TEST_F(NodeApi, BehindAProxyAddressesAreTheClients) {
  settings_.proxies.networks = {*IpPrefix::parse("127.0.0.0/8")};
  settings_.proxies.header = net::TrustedProxies::Header::kForwardedFor;
  settings_.api.admission.mode = AdmissionPolicy::Mode::kAllowlist;
  settings_.api.admission.networks = {*IpPrefix::parse("198.51.100.0/24")};
  settings_.api.rates.login = 2;
  start();
  const auto from = [this](const std::string& address, const std::string& method, const std::string& path,
                           const std::string& body, net::HttpHeaders headers = {}) {
    headers.set("X-Forwarded-For", address);
    return call(method, path, {}, body, headers);
  };
  // Rates and audit.
  const auto login = R"({"username":"nobody","password":"wrong password"})";
  EXPECT_EQ(from("192.0.2.1", "POST", "/api/v1/auth/login", login).status, 401u);
  EXPECT_EQ(from("192.0.2.1", "POST", "/api/v1/auth/login", login).status, 401u);
  EXPECT_EQ(from("192.0.2.1", "POST", "/api/v1/auth/login", login).status, 429u);
  EXPECT_EQ(from("192.0.2.2", "POST", "/api/v1/auth/login", login).status, 401u);
  EXPECT_EQ(services().store.audit(std::nullopt, 1)->front().address, "192.0.2.2");
  // Admission, and what a node is told of itself.
  const auto admit = [&](const std::string& address) {
    const auto body = node_.request(challenge());
    const auto text = api::encode(body);
    net::HttpHeaders headers;
    headers.set(api::kSignatureHeader, api::sign_registration(node_.identity, origin(), body.nonce, text));
    return from(address, "POST", "/api/v1/nodes/register", text, headers);
  };
  EXPECT_EQ(outcome(admit("192.0.2.1")), "403 not-admitted");
  const auto admitted = admit("198.51.100.7");
  ASSERT_EQ(outcome(admitted), "200") << admitted.body;
  EXPECT_EQ(decoded<api::RegisterResponse>(admitted).observed_address, IpAddress::parse("198.51.100.7"));
}

TEST_F(NodeApi, TokensAreRenewedBeforeTheyEnd) {
  start();
  register_node(node_);
  pass(settings_.api.node_lifetime / 2 + std::chrono::seconds(10));
  const auto beat = decoded<api::HeartbeatResponse>(send_heartbeat(node_));
  ASSERT_TRUE(beat.session_token);
  ASSERT_TRUE(beat.relay_token);
  const auto old_token = node_.session_token;
  pass(settings_.api.node_lifetime / 2 + std::chrono::seconds(30));
  EXPECT_EQ(send_heartbeat(node_).status, 401u);
  node_.session_token = *beat.session_token;
  EXPECT_EQ(send_heartbeat(node_).status, 200u);
}

TEST_F(NodeApi, OnlyWhoHoldsTheIdentityKeyRegisters) {
  start();
  const TestNode stranger(random_);
  auto body = node_.request(challenge());
  EXPECT_EQ(outcome(send_registration(stranger, body)), "403 bad-signature") << "signed with a foreign key";
  body.node_id = stranger.id();
  EXPECT_EQ(outcome(send_registration(node_, body)), "403 identity-mismatch") << "another's node id";

  body = node_.request(challenge());
  const auto text = api::encode(body);
  EXPECT_EQ(outcome(call("POST", "/api/v1/nodes/register", {}, text)), "403 bad-signature") << "no signature";
  net::HttpHeaders headers;
  headers.set(api::kSignatureHeader,
              api::sign_registration(node_.identity, "https://other.example:8443", body.nonce, text));
  EXPECT_EQ(outcome(call("POST", "/api/v1/nodes/register", {}, text, headers)), "403 bad-signature")
      << "meant for another server";
  headers.set(api::kSignatureHeader, api::sign_registration(node_.identity, origin(), body.nonce, text));
  EXPECT_EQ(outcome(call("POST", "/api/v1/nodes/register", {}, text + " ", headers)), "403 bad-signature")
      << "the body was changed";
  EXPECT_EQ(outcome(call("POST", "/api/v1/nodes/register", {}, text, headers)), "200") << "the same, as it was signed";
}

TEST_F(NodeApi, ANonceIsGoodOnceAndForAMinute) {
  start();
  const auto body = node_.request(challenge());
  ASSERT_EQ(outcome(send_registration(node_, body)), "200");
  EXPECT_EQ(outcome(send_registration(node_, body)), "403 bad-nonce");
  const auto late = node_.request(challenge());
  pass(std::chrono::seconds(61));
  EXPECT_EQ(outcome(send_registration(node_, late)), "403 bad-nonce");
  EXPECT_EQ(outcome(send_registration(node_, node_.request(std::string(43, 'a')))), "403 bad-nonce");
}

TEST_F(NodeApi, ASecondNodeCannotTakeTheKeyOfTheFirst) {
  start();
  ASSERT_EQ(outcome(register_node(node_)), "200");
  TestNode thief(random_);
  thief.wireguard_key = node_.wireguard_key;
  EXPECT_EQ(outcome(register_node(thief)), "409 key-taken");
}

TEST_F(NodeApi, ANodeReplacesItsOwnRecordAndOnlyForward) {
  start();
  node_.sequence = 5;
  ASSERT_EQ(outcome(register_node(node_)), "200");
  node_.country = "FR";
  EXPECT_EQ(outcome(register_node(node_)), "200");
  EXPECT_EQ(services().store.node(node_.id())->location->country, "FR");
  node_.sequence = 4;
  EXPECT_EQ(outcome(register_node(node_)), "409 stale-certificate");
  node_.sequence = 6;
  node_.wireguard_key = crypto::public_key_of(crypto::make_private_key(random_));
  EXPECT_EQ(outcome(register_node(node_)), "200");
  EXPECT_EQ(services().store.node(node_.id())->wireguard_key, node_.wireguard_key);
}

TEST_F(NodeApi, AForgedOrExpiredCertificateIsRefused) {
  start();
  auto body = node_.request(challenge());
  body.key_certificate.sequence += 1;
  EXPECT_EQ(outcome(send_registration(node_, body)), "403 bad-certificate");
  body = node_.request(challenge());
  body.key_certificate = api::sign_key_certificate(node_.identity, node_.wireguard_key, 1, 1'000, {{25}});
  EXPECT_EQ(outcome(send_registration(node_, body)), "403 bad-certificate");
}

TEST_F(NodeApi, EveryWrongFieldIsNamed) {
  start();
  auto body = node_.request(challenge());
  body.tunnel_prefixes = {*IpPrefix::parse("8.8.8.0/24")};
  auto problem = decoded<api::Problem>(send_registration(node_, body));
  EXPECT_EQ(problem.status, 422u);
  EXPECT_EQ(problem.errors.at(0).pointer, "/tunnelPrefixes/0");
  body.tunnel_prefixes = {*IpPrefix::parse("10.0.0.0/24"), *IpPrefix::parse("10.1.0.0/24")};
  EXPECT_EQ(decoded<api::Problem>(send_registration(node_, body)).errors.at(0).pointer, "/tunnelPrefixes");
  body = node_.request(challenge());
  body.location->country = "de";
  EXPECT_EQ(decoded<api::Problem>(send_registration(node_, body)).errors.at(0).pointer, "/location/country");
  problem = decoded<api::Problem>(call("POST", "/api/v1/nodes/register", {}, "{\"nodeId\":7}"));
  EXPECT_EQ(problem.status, 422u);
  EXPECT_GT(problem.errors.size(), 8u);
}

TEST_F(NodeApi, BadBodiesHaveClearAnswers) {
  start();
  EXPECT_EQ(outcome(call("POST", "/api/v1/nodes/register", {}, "{\"nodeId\":")), "400 malformed-body");
  EXPECT_EQ(outcome(call("POST", "/api/v1/nodes/register", {}, std::string(60'000, '['))), "400 malformed-body");
  EXPECT_EQ(call("POST", "/api/v1/nodes/register", {}, std::string(70'000, ' ')).status, 413u);
  net::HttpHeaders headers;
  headers.set("Content-Type", "text/plain");
  EXPECT_EQ(outcome(call("POST", "/api/v1/nodes/register", {}, "{}", headers)), "415 unsupported-media-type");
  EXPECT_EQ(outcome(call("GET", "/api/v1/nothing")), "404 not-found");
  const auto wrong = call("PUT", "/api/v1/users", {});
  EXPECT_EQ(outcome(wrong), "405 method-not-allowed");
  EXPECT_EQ(wrong.headers.get("Allow"), "GET, POST");
  EXPECT_TRUE(wrong.headers.get("X-Request-Id"));
}

TEST_F(NodeApi, ANodeSpeaksForItselfOnly) {
  start();
  TestNode other(random_);
  register_node(node_);
  register_node(other);
  std::swap(node_.session_token, other.session_token);
  EXPECT_EQ(outcome(send_heartbeat(node_)), "403 forbidden");
  api::MetricsReport report;
  report.node_id = node_.id();
  report.timestamp = unix_seconds(now().wall);
  EXPECT_EQ(outcome(call("POST", "/api/v1/metrics", node_.session_token, api::encode(report))), "403 forbidden");
  EXPECT_EQ(outcome(call("POST", "/api/v1/metrics", other.session_token, api::encode(report))), "204");
  report.timestamp -= 3'600;
  EXPECT_EQ(outcome(call("POST", "/api/v1/metrics", other.session_token, api::encode(report))), "422 invalid-fields");
  EXPECT_EQ(services().store.metrics(node_.id(), 0, 10)->size(), 1u);
}

TEST_F(NodeApi, SilentAndLeavingNodesAreOfferedToNobody) {
  start();
  const auto user = token_of(add_user("u", api::Role::kUser));
  const auto count = [&] { return decoded<api::NodeList>(call("GET", "/api/v1/nodes", user)).nodes.size(); };
  register_node(node_);
  EXPECT_EQ(count(), 1u);
  send_heartbeat(node_, api::NodeStatus::kOffline);
  EXPECT_EQ(count(), 0u) << "a graceful stop counts at once";
  EXPECT_EQ(outcome(request_route(user, routing_request())), "409 no-node-fits");
  send_heartbeat(node_);
  EXPECT_EQ(count(), 1u);
  pass(std::chrono::seconds(100));
  EXPECT_EQ(count(), 0u) << "three heartbeats were missed";
}

TEST_F(NodeApi, ListsAreFilteredSortedAndPaged) {
  start();
  const auto user = token_of(add_user("u", api::Role::kUser));
  std::vector<TestNode> nodes;
  for (int i = 0; i < 5; ++i) {
    nodes.emplace_back(random_);
    nodes.back().country = i % 2 == 0 ? "DE" : "FR";
    register_node(nodes.back());
    api::HeartbeatMetrics metrics;
    metrics.latency = 10 * (5 - i);
    ASSERT_TRUE(services().store.record_heartbeat(nodes.back().id(), api::NodeStatus::kOnline, metrics, {},
                                                  unix_seconds(now().wall)));
  }
  services().directory.forget();
  const auto list = [&](const std::string& query) {
    return decoded<api::NodeList>(call("GET", "/api/v1/nodes?" + query, user));
  };
  EXPECT_EQ(list("country=DE").nodes.size(), 3u);
  EXPECT_EQ(list("country=DE&region=Bonn").nodes.size(), 0u);
  EXPECT_EQ(list("maxLatency=20").nodes.size(), 2u);
  EXPECT_EQ(list("minBandwidth=101").nodes.size(), 0u);
  EXPECT_EQ(list("natType=Unknown").nodes.size(), 5u);
  std::vector<NodeId> seen;
  std::string cursor;
  for (int page = 0; page < 3; ++page) {
    const auto part = list("sort=latency&limit=2" + cursor);
    for (const auto& node : part.nodes) seen.push_back(node.node_id);
    EXPECT_EQ(part.next_cursor.has_value(), page < 2);
    if (part.next_cursor) cursor = "&cursor=" + *part.next_cursor;
  }
  ASSERT_EQ(seen.size(), 5u);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(seen[i], nodes[4 - i].id());
  for (const auto* bad : {"limit=0", "limit=9999", "sort=x", "natType=x", "maxLatency=-1", "cursor=!!", "status=x"})
    EXPECT_EQ(outcome(call("GET", std::string("/api/v1/nodes?") + bad, user)), "400 bad-query") << bad;
  EXPECT_EQ(outcome(call("GET", "/api/v1/nodes?status=all", user)), "403 forbidden");
}

TEST_F(NodeApi, AdmissionByApproval) {
  settings_.api.admission.mode = AdmissionPolicy::Mode::kApproval;
  start();
  const auto user = token_of(add_user("u", api::Role::kUser));
  const auto op = token_of(add_user("o", api::Role::kOperator));
  EXPECT_TRUE(decoded<api::RegisterResponse>(register_node(node_)).pending);
  EXPECT_EQ(decoded<api::NodeList>(call("GET", "/api/v1/nodes", user)).nodes.size(), 0u);
  EXPECT_EQ(open_link(to_string(node_.id()), node_.relay_token), 403u);
  EXPECT_EQ(decoded<api::NodeList>(call("GET", "/api/v1/nodes?status=pending", op)).nodes.size(), 1u);
  const auto state = call("POST", "/api/v1/admin/nodes/" + to_string(node_.id()) + "/approve", op);
  EXPECT_EQ(decoded<api::NodeState>(state).status, api::NodeStatus::kOnline);
  EXPECT_EQ(decoded<api::NodeList>(call("GET", "/api/v1/nodes", user)).nodes.size(), 1u);
  EXPECT_EQ(open_link(to_string(node_.id()), node_.relay_token), 101u);
  EXPECT_FALSE(decoded<api::RegisterResponse>(register_node(node_)).pending) << "approved is approved";
}

TEST_F(NodeApi, AdmissionByList) {
  settings_.api.admission.mode = AdmissionPolicy::Mode::kAllowlist;
  settings_.api.admission.networks = {*IpPrefix::parse("198.51.100.0/24")};
  settings_.api.admission.identity_keys = {crypto::public_key_of_ed25519(node_.identity)};
  start();
  EXPECT_EQ(outcome(register_node(node_)), "200");
  TestNode stranger(random_);
  EXPECT_EQ(outcome(register_node(stranger)), "403 not-admitted");
}

TEST_F(NodeApi, ABannedNodeIsOut) {
  start();
  const auto user = token_of(add_user("u", api::Role::kUser));
  const auto op = token_of(add_user("o", api::Role::kOperator));
  register_node(node_);
  const auto route = decoded<api::RoutingResponse>(request_route(user, routing_request()));
  EXPECT_EQ(call("POST", "/api/v1/admin/nodes/" + to_string(node_.id()) + "/ban", op).status, 200u);
  EXPECT_EQ(outcome(send_heartbeat(node_)), "403 banned");
  EXPECT_EQ(outcome(register_node(node_)), "403 banned");
  EXPECT_EQ(open_link(to_string(node_.id()), node_.relay_token), 403u);
  EXPECT_EQ(outcome(request_route(user, routing_request())), "409 no-node-fits") << "cached routes are dropped";
  const auto session = to_string(route.selected_route.session_id);
  EXPECT_EQ(open_link(session, route.selected_route.session_token), 403u);
  EXPECT_EQ(outcome(call("POST", "/api/v1/sessions/" + session + "/renew", user)), "410 session-ended");
}

TEST_F(NodeApi, ActionsAreDeliveredUntilAnswered) {
  start();
  const auto op = token_of(add_user("o", api::Role::kOperator));
  register_node(node_);
  const auto path = "/api/v1/admin/nodes/" + to_string(node_.id()) + "/actions";
  const auto bad = R"({"type":"updateConfig","payload":{"egressDeny":[]}})";
  EXPECT_EQ(outcome(call("POST", path, op, bad)), "422 invalid-fields") << "the volunteer's alone";
  for (const auto* body :
       {R"({"type":"updateConfig","payload":{"heartbeatInterval":1}})",
        R"({"type":"updateConfig","payload":{"logLevel":"off"}})", R"({"type":"maintenance","payload":{}})",
        R"({"type":"maintenance","payload":{"on":1}})", R"({"type":"restart","payload":[]})"}) {
    EXPECT_EQ(outcome(call("POST", path, op, body)), "422 invalid-fields") << "what no node would do: " << body;
  }
  const auto good = R"({"type":"updateConfig","payload":{"logLevel":"debug"}})";
  const auto created = call("POST", path, op, good);
  ASSERT_EQ(created.status, 201u);
  const auto id = decoded<api::CreatedAction>(created).id;
  for (int i = 0; i < 2; ++i) {
    const auto beat = decoded<api::HeartbeatResponse>(send_heartbeat(node_));
    ASSERT_EQ(beat.actions.size(), 1u);
    EXPECT_EQ(beat.actions[0].id, id);
    EXPECT_EQ(beat.actions[0].payload.text, R"({"logLevel":"debug"})");
  }
  api::HeartbeatRequest answer;
  answer.action_results = {{id, true, "done"}};
  const auto beat =
      call("POST", "/api/v1/nodes/" + to_string(node_.id()) + "/heartbeat", node_.session_token, api::encode(answer));
  EXPECT_TRUE(decoded<api::HeartbeatResponse>(beat).actions.empty());
}

TEST_F(NodeApi, WithoutAPublicUrlOnlyLocalNamesAreTaken) {
  start();
  services().local_names = LocalNames({"192.0.2.1"});
  EXPECT_EQ(outcome(register_node(node_)), "403 unknown-origin") << "the Host header alone proves nothing";
  services().local_names = LocalNames({"127.0.0.1"});
  EXPECT_EQ(outcome(register_node(node_)), "200");
}

TEST_F(NodeApi, WithAPublicUrlOnlyThatIsTaken) {
  settings_.api.public_origin = "https://vpn.example:8443";
  start();
  EXPECT_EQ(outcome(register_node(node_)), "403 bad-signature");
  const auto body = node_.request(challenge());
  const auto text = api::encode(body);
  net::HttpHeaders headers;
  headers.set(api::kSignatureHeader,
              api::sign_registration(node_.identity, "https://vpn.example:8443", body.nonce, text));
  const auto answer = call("POST", "/api/v1/nodes/register", {}, text, headers);
  ASSERT_EQ(outcome(answer), "200");
  EXPECT_EQ(decoded<api::RegisterResponse>(answer).relay_servers.at(0).host, "vpn.example");
}

TEST(LocalNamesTest, CoversAddressesOfThisMachine) {
  const auto names = LocalNames::of_this_machine();
  EXPECT_TRUE(names.covers("https://127.0.0.1:8443"));
  EXPECT_TRUE(names.covers("https://localhost:443"));
  EXPECT_FALSE(names.covers("https://192.0.2.77:8443"));
  EXPECT_FALSE(names.covers("https://evil.example:8443"));
  EXPECT_TRUE(LocalNames({"2001:db8::1"}).covers("https://[2001:db8::1]:8443"));
}

}  // namespace
}  // namespace higgs::boson::testing

// For tests: a whole server on loopback, a client that speaks TLS to it, and nodes and users that are good at first.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "api/account.h"
#include "api/problem.h"
#include "api/registration_signature.h"
#include "api/routing.h"
#include "bosonserver/api/tokens.h"
#include "bosonserver/server/boson_server.h"
#include "bosonserver/store/sql_store.h"
#include "bosonserver/store/testing/failing_database.h"
#include "net/http_client.h"
#include "net/testing/coroutine_test.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace higgs::boson::testing {

/// A volunteer's node as the server meets it.
struct TestNode {
  explicit TestNode(RandomSource& random)
      : identity(crypto::make_ed25519_key(random)),
        wireguard_key(crypto::public_key_of(crypto::make_private_key(random))) {}

  NodeId id() const { return api::node_id_of(crypto::public_key_of_ed25519(identity)); }
  api::RegisterRequest request(const std::string& nonce) const {
    api::RegisterRequest body;
    body.node_id = id();
    body.public_key = wireguard_key;
    body.identity_key = crypto::public_key_of_ed25519(identity);
    body.nonce = nonce;
    body.key_certificate =
        api::sign_key_certificate(identity, wireguard_key, sequence, 4'000'000'000, {{25, 465, 587}});
    body.tunnel_prefixes = {*IpPrefix::parse("10.77.0.0/24"), *IpPrefix::parse("fd00:77::/64")};
    body.network_info.ipv4 = *IpAddress::parse("192.0.2.10");
    body.capabilities = {max_connections, {100, 100}, true, true};
    body.metrics.latency = 20;
    if (!country.empty()) body.location = api::Location{country, "Berlin", std::nullopt};
    return body;
  }

  crypto::Ed25519PrivateKey identity;
  crypto::PublicKey wireguard_key;
  std::uint64_t sequence = 1;
  std::uint32_t max_connections = 10;
  std::string country = "DE";  ///< empty: says nothing
  std::string session_token, relay_token;
};

class ServerFixture : public ::testing::Test {
 protected:
  ServerFixture() {
    runtime::log::set_level(runtime::log::Level::kOff);
    std::string pattern = (std::filesystem::temp_directory_path() / "higgs-server-XXXXXX").string();
    settings_.state_dir = ::mkdtemp(pattern.data());
    settings_.listen = settings_.metrics_listen = settings_.stun_listen = {IpAddress::v4(0x7f000001), 0};
    settings_.io_threads = 2;
    settings_.relay_workers = 1;
    settings_.drain = std::chrono::seconds(0);
    settings_.api.rates = {100'000, 100'000, 100'000, 100'000, 100'000, 100'000, 100'000, 100'000};
    // Tests run beside others: how late a loop is says something about the machine, not about this server.
    settings_.loop_lag = std::chrono::hours(1);
  }
  ~ServerFixture() override {
    client_.reset();
    server_.reset();
    std::filesystem::remove_all(settings_.state_dir);
  }

  void start() {
    auto clock = [this] {
      auto now = runtime::now();
      // The wall clock stands unless a test moves it: seconds that happen to pass would make results depend on load.
      now.wall = wall_ + later_.load();
      now.monotonic += later_.load();
      return now;
    };
    server_ = std::make_unique<BosonServer>(settings_, std::move(clock), open_failing_store());
    server_->start();
    net::HttpClientOptions options;
    options.trust.spki_pins = {server_->pin()};
    client_ = std::make_unique<net::HttpClient>(io_.get_executor(), options);
  }
  /// As after a crash or an update: the same state directory, another port.
  void restart() {
    client_.reset();
    server_->stop();
    server_.reset();
    start();
  }

  std::string origin() const { return "https://" + server_->api_endpoint().to_string(); }
  Services& services() { return server_->services(); }
  Now now() { return services().clock(); }

  net::HttpResponse call(const std::string& method, const std::string& path, const std::string& token = {},
                         const std::string& body = {}, net::HttpHeaders headers = {}) {
    if (!token.empty()) headers.set("Authorization", "Bearer " + token);
    if (!body.empty() && !headers.get("Content-Type")) headers.set("Content-Type", "application/json");
    auto running = client_->request(method, origin() + path, headers, body);
    auto result = net::testing::run(io_, std::move(running));
    if (!result) throw std::runtime_error(method + " " + path + ": " + result.error().message());
    return std::move(*result);
  }
  template <class T>
  T decoded(const net::HttpResponse& response) {
    const auto body = api::decode<T>(response.body);
    if (!body) throw std::runtime_error("not the body expected: " + response.body);
    return *body;
  }
  /// "status name": "409 no-node-fits"; for a success just the status.
  static std::string outcome(const net::HttpResponse& response) {
    const auto problem = api::decode<api::Problem>(response.body);
    const auto type = response.headers.get("Content-Type").value_or("");
    if (type != api::kProblemContentType || !problem) return std::to_string(response.status);
    EXPECT_EQ(problem->status, response.status);
    return std::to_string(response.status) + " " + problem->type.substr(api::kProblemTypePrefix.size());
  }

  UserRecord add_user(const std::string& name, api::Role role, std::string password_hash = "none") {
    UserRecord user{UserId(Uuid::random(random_)), name, std::move(password_hash), role, false, 1};
    if (!services().store.add_user(user)) throw std::runtime_error("cannot add a user");
    return user;
  }
  /// Of a login of its own.
  std::string token_of(const UserRecord& user) {
    const auto family = Uuid::random(random_).to_string();
    const auto seconds = unix_seconds(now().wall);
    if (!services().store.add_refresh_family(family, user.id, digest_of_secret(family), seconds, seconds + 86400))
      throw std::runtime_error("cannot add a login");
    return access_token(services(), user, family, now()).text;
  }

  std::string challenge() { return decoded<api::ChallengeResponse>(call("POST", "/api/v1/nodes/challenge")).nonce; }
  net::HttpResponse send_registration(const TestNode& node, const api::RegisterRequest& body) {
    const auto text = api::encode(body);
    net::HttpHeaders headers;
    headers.set(api::kSignatureHeader, api::sign_registration(node.identity, origin(), body.nonce, text));
    return call("POST", "/api/v1/nodes/register", {}, text, headers);
  }
  net::HttpResponse register_node(TestNode& node) {
    auto response = send_registration(node, node.request(challenge()));
    if (response.status == 200) {
      const auto body = decoded<api::RegisterResponse>(response);
      node.session_token = body.session_token;
      node.relay_token = body.relay_token;
    }
    return response;
  }
  net::HttpResponse send_heartbeat(const TestNode& node, api::NodeStatus status = api::NodeStatus::kOnline) {
    api::HeartbeatRequest body;
    body.status = status;
    body.metrics.latency = 20;
    return call("POST", "/api/v1/nodes/" + to_string(node.id()) + "/heartbeat", node.session_token, api::encode(body));
  }
  api::RoutingRequest routing_request() {
    api::RoutingRequest body;
    body.client_id = ClientId(Uuid::random(random_));
    body.wireguard_public_key = crypto::public_key_of(crypto::make_private_key(random_));
    return body;
  }
  net::HttpResponse request_route(const std::string& token, const api::RoutingRequest& body) {
    return call("POST", "/api/v1/routing/request", token, api::encode(body));
  }
  /// The status of the answer; 101 for a link, which is closed at once.
  unsigned open_link(const std::string& id, const std::string& token, const std::string& protocol = "higgs-relay.1") {
    return open_socket("/relay/" + id, token, protocol);
  }
  unsigned open_socket(const std::string& target, const std::string& token, const std::string& protocol) {
    net::HttpHeaders headers;
    if (!token.empty()) headers.set("Authorization", "Bearer " + token);
    auto running = client_->upgrade("wss" + origin().substr(5) + target, headers, protocol);
    const auto link = net::testing::run(io_, std::move(running));
    if (link) return 101;
    return client_->last_refusal() ? client_->last_refusal()->status : 0;
  }

  /// The relay takes a link a moment after its client has read the 101.
  bool wait_for_link(NodeId node) {
    net::testing::run_until(io_, [&] { return services().relay.node_link_up(node); });
    return true;
  }

  /// What the server uses: fails while store_away_.
  std::unique_ptr<Store> open_failing_store() {
    auto database = open_database(settings_.store_settings());
    database->migrate();
    return std::make_unique<SqlStore>(std::make_unique<FailingDatabase>(std::move(database), store_away_));
  }
  /// Moves the server's clock.
  void pass(std::chrono::seconds time) { later_ = later_.load() + time; }

  SeededRandom random_{42};
  const WallTime wall_ = runtime::now().wall;
  ServerSettings settings_;
  boost::asio::io_context io_;
  std::shared_ptr<std::atomic<bool>> store_away_ = std::make_shared<std::atomic<bool>>(false);
  std::atomic<std::chrono::seconds> later_{std::chrono::seconds(0)};
  std::unique_ptr<BosonServer> server_;
  std::unique_ptr<net::HttpClient> client_;
};

}  // namespace higgs::boson::testing

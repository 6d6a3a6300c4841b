#include "higgsnode/connection_manager.h"

#include <boost/asio/co_spawn.hpp>
#include <gtest/gtest.h>

#include "api/registration_signature.h"
#include "higgsnode/registration.h"
#include "higgsnode/testing/fake_server.h"
#include "higgsnode/testing/run_until.h"
#include "higgsnode/testing/temporary_directory.h"
#include "runtime/clock.h"
#include "runtime/task_group.h"

namespace higgs::node {
namespace {

using namespace std::chrono_literals;
using testing_support::FakeServer;
using testing_support::run_until;

class Connection : public testing::Test, protected ConnectionEvents {
 protected:
  Connection()
      : identity_(Identity::load_or_create(directory_.path(), random_).value()),
        server_(context_),
        http_(context_.get_executor(), server_.client_options()),
        servers_(server_.url()),
        manager_(context_.get_executor(), http_, servers_, 1h, *this, random_),
        tasks_(context_.get_executor()) {
    server_.answers["/api/v1/nodes/register"] = [this](const net::HttpRequest& request) {
      return on_register(request);
    };
    server_.answers[heartbeat_path()] = [this](const net::HttpRequest& request) { return on_heartbeat(request); };
  }
  ~Connection() override {
    tasks_.cancel();
    http_.close();
    run_until(context_, [this] { return tasks_.size() == 0; });
  }

  std::string heartbeat_path() const { return "/api/v1/nodes/" + to_string(identity_.node_id()) + "/heartbeat"; }
  net::HttpResponse on_register(const net::HttpRequest& request) {
    ++registrations_;
    const auto body = api::decode<api::RegisterRequest>(request.body);
    const auto header = request.headers.get(api::kSignatureHeader);
    const auto origin = api::origin_of(server_.url());
    if (!body || !header ||
        !api::verify_registration(body->identity_key, *header, *origin, std::string(43, 'N'), request.body)) {
      return FakeServer::json("{}", 401);
    }
    api::RegisterResponse response;
    response.node_id = body->node_id;
    response.pending = pending_;
    response.session_token = "session" + std::to_string(registrations_);
    response.relay_token = "relay" + std::to_string(registrations_);
    response.observed_address = IpAddress::parse("203.0.113.9");
    return FakeServer::json(api::encode(response));
  }
  net::HttpResponse on_heartbeat(const net::HttpRequest& request) {
    const auto beat = api::decode<api::HeartbeatRequest>(request.body);
    if (request.headers.get("Authorization") != "Bearer session" + std::to_string(registrations_) || refuse_beats_) {
      return FakeServer::json("{}", 401);
    }
    if (beat) beats_.push_back(*beat);
    api::HeartbeatResponse response;
    if (beats_.size() == 1) {
      response.relay_token = "renewed";
      response.actions.push_back({"action-1", api::ActionType::kRestart, {"{}"}});
    }
    return FakeServer::json(api::encode(response));
  }

  Result<api::RegisterRequest> make_request(std::string nonce) override {
    if (!certificate_) certificate_ = identity_.certify({}, std::chrono::system_clock::now()).value();
    return make_registration({.settings = settings_,
                              .identity = identity_,
                              .networks = {},
                              .certificate = *certificate_,
                              .tunnel_prefixes = {IpPrefix::parse("10.99.0.0/16").value()},
                              .listen_port = 1,
                              .metrics = {}},
                             std::move(nonce));
  }
  std::string sign(std::string_view origin, std::string_view nonce, std::string_view body) override {
    return identity_.sign_registration(origin, nonce, body);
  }
  api::HeartbeatRequest make_heartbeat() override { return {}; }
  void on_registered(const api::RegisterResponse& response) override { relay_tokens_.push_back(response.relay_token); }
  void on_relay_token(const std::string& token) override { relay_tokens_.push_back(token); }
  void on_observed_address(const IpAddress& address) override { observed_ = address; }
  void on_relay_servers(const std::vector<api::RelayServer>& servers) override {
    servers_.learn(runtime::now().monotonic, servers);
  }
  api::ActionResult on_action(const api::NodeAction& action) override {
    actions_.push_back(action.id);
    if (register_on_action_) manager_.register_again();
    return {action.id, true, "done"};
  }

  bool until(const std::function<bool()>& condition) { return run_until(context_, condition); }
  void start() { tasks_.spawn("manager", manager_.run()); }

  testing_support::TemporaryDirectory directory_;
  SystemRandom random_;
  Settings settings_;
  Identity identity_;
  std::optional<api::KeyCertificate> certificate_;
  boost::asio::io_context context_;
  FakeServer server_;
  net::HttpClient http_;
  api::ServerChoice servers_;
  ConnectionManager manager_;
  runtime::TaskGroup tasks_;
  int registrations_ = 0;
  bool pending_ = false, refuse_beats_ = false;
  std::vector<api::HeartbeatRequest> beats_;
  std::vector<std::string> relay_tokens_;
  std::optional<IpAddress> observed_;
  std::vector<std::string> actions_;
  bool register_on_action_ = false;
};

TEST_F(Connection, RegistersBeatsAndTakesRenewedTokens) {
  start();
  ASSERT_TRUE(until([&] { return !relay_tokens_.empty(); }));
  EXPECT_EQ(relay_tokens_, std::vector<std::string>{"relay1"});
  EXPECT_EQ(observed_, IpAddress::parse("203.0.113.9"));
  EXPECT_TRUE(manager_.status().registered);
  manager_.hurry();
  ASSERT_TRUE(until([&] { return relay_tokens_.size() == 2; }));
  EXPECT_EQ(relay_tokens_.back(), "renewed");
  ASSERT_TRUE(until([&] { return beats_.size() == 2; })) << "a result does not wait for the next heartbeat";
  EXPECT_EQ(actions_, std::vector<std::string>{"action-1"});
  ASSERT_EQ(beats_[1].action_results.size(), 1u) << "an action is answered, once";
  EXPECT_EQ(beats_[1].action_results[0].id, "action-1");
  EXPECT_TRUE(beats_[1].action_results[0].ok);
  manager_.hurry();
  ASSERT_TRUE(until([&] { return beats_.size() == 3; }));
  EXPECT_TRUE(beats_[2].action_results.empty());
  EXPECT_EQ(registrations_, 1);
}

TEST_F(Connection, AResultOutlivesTheRegistrationThatTheActionCausesAndAHeartbeatThatIsLost) {
  register_on_action_ = true;
  start();
  ASSERT_TRUE(until([&] { return !relay_tokens_.empty(); }));
  int lost = 2;
  const auto answer = server_.answers[heartbeat_path()];
  server_.answers[heartbeat_path()] = [&](const net::HttpRequest& request) {
    return beats_.size() == 1 && lost-- > 0 ? FakeServer::json("{}", 503) : answer(request);
  };
  manager_.hurry();
  ASSERT_TRUE(until([&] { return beats_.size() == 2; }));
  EXPECT_EQ(registrations_, 2);
  ASSERT_EQ(beats_[1].action_results.size(), 1u);
  EXPECT_EQ(beats_[1].action_results[0].detail, "done");
}

TEST_F(Connection, TheLastHeartbeatStartsNothing) {
  start();
  ASSERT_TRUE(until([&] { return !relay_tokens_.empty(); }));
  bool said = false;
  const auto done = [&](const std::exception_ptr&) { said = true; };
  boost::asio::co_spawn(context_, manager_.say_offline(5s), done);
  ASSERT_TRUE(until([&] { return said; }));
  ASSERT_EQ(beats_.size(), 1u) << "its answer has an action";
  EXPECT_TRUE(actions_.empty());
}

TEST_F(Connection, TriesAgainWhenTheServerFails) {
  int failures = 3;
  const auto challenge = server_.answers["/api/v1/nodes/challenge"];
  server_.answers["/api/v1/nodes/challenge"] = [&](const net::HttpRequest& request) {
    return failures-- > 0 ? FakeServer::json("{}", 503) : challenge(request);
  };
  start();
  ASSERT_TRUE(until([&] { return !relay_tokens_.empty(); }));
  EXPECT_EQ(manager_.status().failures, 3u);
  EXPECT_EQ(manager_.status().last_error, "");
}

TEST_F(Connection, NonsenseFromTheServerIsAFailureLikeAnyOther) {
  int left = 2;
  const auto answer = server_.answers["/api/v1/nodes/register"];
  server_.answers["/api/v1/nodes/register"] = [&](const net::HttpRequest& request) {
    --left;
    if (left == 1) return FakeServer::json("not json");
    if (left == 0) return FakeServer::json(R"({"nodeId":5})");
    return answer(request);
  };
  start();
  ASSERT_TRUE(until([&] { return !relay_tokens_.empty(); }));
  EXPECT_EQ(left, -1);
}

TEST_F(Connection, ATokenThatIsNotTakenLeadsToANewRegistration) {
  start();
  ASSERT_TRUE(until([&] { return registrations_ == 1 && !relay_tokens_.empty(); }));
  refuse_beats_ = true;
  manager_.hurry();
  ASSERT_TRUE(until([&] { return registrations_ == 2; }));
  refuse_beats_ = false;
  manager_.hurry();
  ASSERT_TRUE(until([&] { return !beats_.empty(); }));
  manager_.register_again();
  ASSERT_TRUE(until([&] { return registrations_ == 3; }));
}

TEST_F(Connection, APendingNodeAsksAgainAndGetsNoRelay) {
  pending_ = true;
  start();
  ASSERT_TRUE(until([&] { return registrations_ == 1 && manager_.status().pending; }));
  EXPECT_TRUE(relay_tokens_.empty());
  pending_ = false;
  manager_.hurry();
  ASSERT_TRUE(until([&] { return !relay_tokens_.empty(); }));
  EXPECT_FALSE(manager_.status().pending);
}

TEST_F(Connection, AnotherServerIsBeatenWhereOneIsGone) {
  FakeServer other(context_);
  other.answers[heartbeat_path()] = server_.answers[heartbeat_path()];
  auto trust = server_.client_options().trust;
  trust.spki_pins.push_back(other.pin());
  http_.set_trust(trust);
  api::RelayServer said;
  said.id = "other";
  said.host = "127.0.0.1";
  said.port = static_cast<std::uint16_t>(std::stoul(other.url().substr(other.url().rfind(':') + 1)));
  const auto registered = server_.answers["/api/v1/nodes/register"];
  server_.answers["/api/v1/nodes/register"] = [&](const net::HttpRequest& request) {
    auto answer = registered(request);
    auto body = api::decode<api::RegisterResponse>(answer.body).value();
    body.relay_servers = {said};
    return FakeServer::json(api::encode(body));
  };
  start();
  ASSERT_TRUE(until([&] { return !relay_tokens_.empty(); }));
  server_.answers[heartbeat_path()] = [](const net::HttpRequest&) { return FakeServer::json("{}", 503); };
  ASSERT_TRUE(until([&] {
    if (beats_.empty()) manager_.hurry();
    return !beats_.empty();
  }));
  EXPECT_GE(other.requests.size(), 1u);
  EXPECT_EQ(registrations_, 1) << "its tokens are good at every server";
}

TEST_F(Connection, SaysOfflineWhenItGoes) {
  start();
  ASSERT_TRUE(until([&] { return !relay_tokens_.empty(); }));
  bool said = false;
  const auto done = [&](const std::exception_ptr&) { said = true; };
  boost::asio::co_spawn(context_, manager_.say_offline(5s), done);
  ASSERT_TRUE(until([&] { return said; }));
  ASSERT_EQ(beats_.size(), 1u);
  EXPECT_EQ(beats_[0].status, api::NodeStatus::kOffline);
}

TEST_F(Connection, AnotherServersCertificateIsNotTrusted) {
  auto options = server_.client_options();
  options.trust.spki_pins = {"sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};
  net::HttpClient careful(context_.get_executor(), options);
  ConnectionManager manager(context_.get_executor(), careful, servers_, 1h, *this, random_);
  runtime::TaskGroup tasks(context_.get_executor());
  tasks.spawn("manager", manager.run());
  ASSERT_TRUE(until([&] { return manager.status().failures >= 2; }));
  EXPECT_TRUE(server_.requests.empty());
  tasks.cancel();
  careful.close();
  ASSERT_TRUE(until([&] { return tasks.size() == 0; }));
}

}  // namespace
}  // namespace higgs::node

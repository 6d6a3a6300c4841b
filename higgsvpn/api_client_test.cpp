#include "higgsvpn/api_client.h"

#include <filesystem>
#include <set>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "net/http_server.h"
#include "net/testing/certificate_authority.h"
#include "net/testing/coroutine_test.h"
#include "runtime/clock.h"
#include "runtime/files.h"

namespace higgs::vpn {
namespace {

namespace asio = boost::asio;
using net::testing::run;

/// A server over real TLS on the loopback that rotates tokens: one spent twice ends the login.
class FakeServer {
 public:
  explicit FakeServer(asio::io_context& context) {
    const auto made = net::make_self_signed({"localhost"}, 2).value();
    pin = net::spki_pin_of(made.certificate_pem).value();
    net::HttpHandlers handlers;
    handlers.request = [this](net::HttpRequest request) { return answer(std::move(request)); };
    auto tls = net::TlsContext::server(made.certificate_pem, made.private_key_pem).value();
    EXPECT_TRUE(tls.ask_for_certificates({clients.certificate_pem(), std::nullopt}));
    server_ = std::make_unique<net::HttpServer>(context.get_executor(), tls, handlers);
    url = "https://127.0.0.1:" + std::to_string(server_->listen(Endpoint{IpAddress::v4(0x7f000001), 0}).value().port);
  }

  net::testing::CertificateAuthority clients;
  std::string url, pin;
  std::set<std::string> good_access;
  std::string good_refresh = "refresh-0";
  bool revoked = false, down = false, wants_code = false;
  std::vector<api::RelayServer> relay_servers;
  std::vector<std::string> traceparents;  ///< of requests for nodes; empty where there was none
  int refreshes = 0, node_lists = 0;
  std::int64_t lifetime = 900;

 private:
  static net::HttpResponse json(std::string body, unsigned status) {
    net::HttpResponse response;
    response.status = status;
    response.headers.set("Content-Type", "application/json");
    response.body = std::move(body);
    return response;
  }
  static net::HttpResponse problem(unsigned status, const char* name) {
    return json(api::encode(api::Problem::make(status, name, name)), status);
  }
  net::HttpResponse tokens() {
    ++refreshes;
    good_refresh = "refresh-" + std::to_string(refreshes);
    const std::string access = "access-" + std::to_string(refreshes);
    good_access = {access};
    const std::int64_t now = unix_seconds(runtime::now().wall);
    return json(
        api::encode(api::TokenResponse{access, "Bearer", now + lifetime, good_refresh, now + 86400, relay_servers}),
        200);
  }
  asio::awaitable<net::HttpResponse> answer(net::HttpRequest request) {
    if (down) co_return problem(503, "draining");
    if (request.path == "/api/v1/auth/login") {
      const auto body = api::decode<api::LoginRequest>(request.body);
      const bool right = body && body->username == "alice" && body->password.reveal() == "right";
      if (right && wants_code && (!body->totp || body->totp->reveal() != "123456"))
        co_return problem(401, "totp-required");
      co_return right ? tokens() : problem(401, "bad-credentials");
    }
    if (request.path == "/api/v1/auth/certificate") {
      const auto body = api::decode<api::CertificateLoginRequest>(request.body);
      if (!request.client_certificate || !body) co_return problem(401, "certificate-required");
      if (wants_code && (!body->totp || body->totp->reveal() != "123456")) co_return problem(401, "totp-required");
      co_return tokens();
    }
    if (request.path == "/api/v1/auth/refresh") {
      const auto body = api::decode<api::RefreshRequest>(request.body);
      if (!body || body->refresh_token.reveal() != good_refresh) revoked = true;
      co_return revoked ? problem(401, "bad-token") : tokens();
    }
    const std::string bearer(request.headers.get("Authorization").value_or(""));
    if (revoked || !bearer.starts_with("Bearer ") || !good_access.contains(bearer.substr(7))) {
      co_return problem(401, "bad-token");
    }
    if (request.path == "/api/v1/nodes") {
      ++node_lists;
      traceparents.emplace_back(request.headers.get("traceparent").value_or(""));
      api::NodeList list;
      if (request.query.empty()) list.next_cursor = "a b";
      co_return json(api::encode(list), 200);
    }
    if (request.method == "DELETE") co_return problem(404, "no-such-session");
    if (request.path == "/api/v1/routing/request") {
      api::Problem none = api::Problem::make(409, "no-node-fits", "No node fits");
      none.ruled_out = {{"country", 3}};
      co_return json(api::encode(none), 409);
    }
    co_return problem(404, "not-found");
  }

  std::unique_ptr<net::HttpServer> server_;
};

class ApiClientTest : public ::testing::Test {
 protected:
  ApiClientTest() {
    std::string pattern = ::testing::TempDir() + "higgs-api-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    account_.server = server_.url;
    account_.trust.spki_pins = {server_.pin};
    account_.username = "alice";
    account_.refresh_token = SecretString("refresh-0");
    account_.access_token = SecretString("access-0");
    EXPECT_TRUE(save_account(state(), account_));
  }
  ~ApiClientTest() override { std::filesystem::remove_all(directory_); }
  const StateDirectory& state() {
    if (!state_) state_.emplace(directory_);
    return *state_;
  }
  std::unique_ptr<ApiClient> client() {
    return std::make_unique<ApiClient>(context_.get_executor(), state(), account_, std::nullopt);
  }

  asio::io_context context_{1};
  FakeServer server_{context_};
  std::filesystem::path directory_;
  std::optional<StateDirectory> state_;
  Account account_;
};

TEST_F(ApiClientTest, LoginStoresTokens) {
  auto client = this->client();
  EXPECT_EQ(run(context_, client->login(SecretString("wrong"), {})).error().code, ExitCode::kNotLoggedIn);
  EXPECT_EQ(load_account(state()).value()->refresh_token.reveal(), "refresh-0") << "a failed one changes nothing";
  EXPECT_TRUE(run(context_, client->login(SecretString("right"), {})));
  EXPECT_EQ(load_account(state()).value()->access_token.reveal(), "access-1");
}

TEST_F(ApiClientTest, ALoginSaysThatACodeIsWanted) {
  server_.wants_code = true;
  auto client = this->client();
  EXPECT_FALSE(run(context_, client->login(SecretString("wrong"), {})).error().wants_code);
  const auto refused = run(context_, client->login(SecretString("right"), {}));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().wants_code);
  EXPECT_EQ(refused.error().code, ExitCode::kNotLoggedIn);
  EXPECT_TRUE(run(context_, client->login(SecretString("right"), SecretString("123456"))));
}

TEST_F(ApiClientTest, ACertificateLogsInAndIsKeptNowhere) {
  const auto identity = server_.clients.issue();
  ApiClient client(context_.get_executor(), state(), account_, std::nullopt, identity);
  server_.wants_code = true;
  EXPECT_TRUE(run(context_, client.login_by_certificate({})).error().wants_code);
  EXPECT_TRUE(run(context_, client.login_by_certificate(SecretString("123456"))));
  EXPECT_EQ(load_account(state()).value()->access_token.reveal(), "access-1");
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    const auto text = runtime::read_file(entry.path()).value();
    EXPECT_EQ(text.find("BEGIN"), text.npos) << entry.path();
  }
}

TEST_F(ApiClientTest, ACertificateThatIsRefusedIsToldApartFromAServerThatIsAway) {
  net::testing::CertificateAuthority other;
  ApiClient client(context_.get_executor(), state(), account_, std::nullopt, other.issue());
  const auto refused = run(context_, client.login_by_certificate({})).error();
  EXPECT_EQ(refused.code, ExitCode::kNotLoggedIn);
  EXPECT_EQ(refused.message, server_.url + " refuses the certificate");
  const auto none = run(context_, this->client()->login_by_certificate({})).error();
  EXPECT_EQ(none.code, ExitCode::kNotLoggedIn);
}

TEST_F(ApiClientTest, ExpiredTokenIsRenewedAndStored) {
  auto client = this->client();
  EXPECT_TRUE(run(context_, client->nodes({})));
  EXPECT_EQ(server_.node_lists, 2) << "both pages";
  EXPECT_EQ(server_.refreshes, 1);
  EXPECT_EQ(load_account(state()).value()->refresh_token.reveal(), "refresh-1");
  EXPECT_TRUE(run(context_, client->nodes({})));
  EXPECT_EQ(server_.refreshes, 1) << "still good";
}

TEST_F(ApiClientTest, RefusedTokenIsRenewedOnce) {
  account_.access_expires_at = unix_seconds(runtime::now().wall) + 900;  // the server has forgotten it all the same
  ASSERT_TRUE(save_account(state(), account_));
  auto client = this->client();
  EXPECT_TRUE(run(context_, client->nodes({})));
  EXPECT_EQ(server_.refreshes, 1);
}

TEST_F(ApiClientTest, TwoAtOnceSpendARefreshTokenOnce) {
  auto first = client(), second = client();
  int done = 0, well = 0;
  const NodeFilter everything;  // outlives the coroutines
  for (ApiClient* each : {first.get(), second.get()}) {
    asio::co_spawn(context_, each->nodes(everything), [&](const std::exception_ptr&, const auto& result) {
      ++done;
      well += result ? 1 : 0;
    });
  }
  net::testing::run_until(context_, [&] { return done == 2; });
  EXPECT_EQ(well, 2);
  EXPECT_EQ(server_.refreshes, 1);
  EXPECT_FALSE(server_.revoked) << "a token spent twice ends the login";
}

TEST_F(ApiClientTest, RevokedLoginIsSaidSo) {
  server_.revoked = true;
  auto client = this->client();
  const auto nodes = run(context_, client->nodes({}));
  ASSERT_FALSE(nodes);
  EXPECT_EQ(nodes.error().code, ExitCode::kNotLoggedIn);
  EXPECT_NE(nodes.error().remedy.find("higgsvpn login"), std::string::npos);
}

TEST_F(ApiClientTest, AnswersBecomeFailuresThatHelp) {
  auto client = this->client();
  api::RoutingRequest request;
  const auto route = run(context_, client->request_route(request));
  ASSERT_FALSE(route);
  EXPECT_EQ(route.error().code, ExitCode::kNoNodeFits);
  EXPECT_NE(route.error().remedy.find("country ruled out 3"), std::string::npos);
  EXPECT_TRUE(run(context_, client->end_session(SessionId()))) << "gone already is as good as ended";
  EXPECT_TRUE(run(context_, client->renew_session(SessionId())).error().gone);
}

/// A second server of the deployment, of which the first tells at login.
class TwoServers : public ApiClientTest {
 protected:
  TwoServers() {
    for (const FakeServer* server : {&server_, &other_}) {
      api::RelayServer said;
      said.id = server->url;
      said.host = "127.0.0.1";
      said.port = static_cast<std::uint16_t>(std::stoul(server->url.substr(server->url.rfind(':') + 1)));
      said.pin = server->pin;
      server_.relay_servers.push_back(said);
    }
    EXPECT_TRUE(run(context_, client_->login(SecretString("right"), std::nullopt)));
    other_.good_access = server_.good_access;
  }

  FakeServer other_{context_};
  std::unique_ptr<ApiClient> client_ = client();
};

TEST_F(TwoServers, TheOtherAnswersWhereOneIsDown) {
  (client_->server() == server_.url ? server_ : other_).down = true;
  EXPECT_TRUE(run(context_, client_->nodes({})));
  EXPECT_EQ(server_.node_lists + other_.node_lists, 2);
  EXPECT_FALSE((client_->server() == server_.url ? server_ : other_).down) << "and is asked from now on";
}

TEST_F(TwoServers, AreKnownToTheNextRunAsWell) {
  account_ = *load_account(state()).value();
  account_.server = "https://127.0.0.1:1";  // nobody is there
  auto again = client();
  EXPECT_TRUE(run(context_, again->nodes({})));
}

TEST_F(TwoServers, AFallenLinkIsMadeAtTheOther) {
  api::SelectedRoute route;
  unsigned status = 0;
  const auto first = client_->server();
  EXPECT_FALSE(run(context_, client_->open_relay(route, "token", status)));
  client_->relay_lost();
  EXPECT_FALSE(run(context_, client_->open_relay(route, "token", status)));
  EXPECT_NE(client_->server(), first);
}

TEST_F(ApiClientTest, RequestsNameTheTraceTheyBelongTo) {
  server_.good_access = {"access-0"};
  account_.access_expires_at = unix_seconds(runtime::now().wall) + 900;
  auto client = this->client();
  const std::string text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  EXPECT_TRUE(run(context_, client->nodes({})));
  client->follow(trace::parse_traceparent(text));
  EXPECT_TRUE(run(context_, client->nodes({})));
  client->follow(std::nullopt);
  EXPECT_TRUE(run(context_, client->nodes({})));
  EXPECT_EQ(server_.traceparents, (std::vector<std::string>{"", "", text, text, "", ""}));
}

TEST_F(ApiClientTest, AnotherServersCertificateGetsNothing) {
  account_.trust.spki_pins = {"sha256/" + std::string(43, 'A') + "="};
  auto client = this->client();
  const auto ended = run(context_, client->login(SecretString("right"), {}));
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ExitCode::kUnreachable);
  EXPECT_EQ(server_.refreshes, 0);
}

}  // namespace
}  // namespace higgs::vpn

#include "net/http_client.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include "net/endpoint_convert.h"
#include "net/http_server.h"
#include "net/server_probe.h"
#include "net/tcp_connect.h"
#include "net/testing/coroutine_test.h"

namespace higgs::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;
using testing::run;
using testing::run_until;

const IpAddress kHere = IpAddress::v4(0x7f000001);

class HttpClientTest : public ::testing::Test {
 protected:
  HttpClientTest() : made_(*make_self_signed({"boson.test"}, 30)) {
    options_.trust.spki_pins = {*spki_pin_of(made_.certificate_pem)};
    options_.known_hosts["boson.test"] = {kHere};
  }
  void start_server() {
    handlers_.request = [this](HttpRequest request) -> asio::awaitable<HttpResponse> {
      ++requests_;
      HttpResponse response;
      response.body = request.method + " " + request.target + " " + request.body;
      if (request.path == "/large") response.body.assign(100'000, 'x');
      if (request.path == "/never") {
        asio::steady_timer never(context_, std::chrono::hours(1));
        co_await never.async_wait(asio::use_awaitable);
      }
      response.headers.set("X-Host", request.headers.get("Host").value_or(""));
      response.headers.set("X-Agent", request.headers.get("User-Agent").value_or(""));
      co_return response;
    };
    server_.emplace(context_.get_executor(), *TlsContext::server(made_.certificate_pem, made_.private_key_pem),
                    handlers_, limits_);
    where_ = *server_->listen({kHere, where_.port});
  }
  void stop_server() {
    auto stopping = server_->stop(milliseconds(0));
    run(context_, std::move(stopping));
    server_.reset();
  }
  void TearDown() override {
    client_.reset();
    if (server_) stop_server();
  }
  HttpClient& client() {
    if (!client_) client_.emplace(context_.get_executor(), options_);
    return *client_;
  }
  std::string url(std::string_view path, std::string_view scheme = "https",
                  std::string_view host = "boson.test") const {
    return std::string(scheme) + "://" + std::string(host) + ":" + std::to_string(where_.port) + std::string(path);
  }
  Result<HttpResponse> request(const std::string& method, const std::string& where, const std::string& body = {}) {
    auto asking = client().request(method, where, {}, body);
    return run(context_, std::move(asking));
  }

  asio::io_context context_;
  SelfSigned made_;
  HttpClientOptions options_;
  HttpServerLimits limits_;
  HttpHandlers handlers_;
  std::optional<HttpServer> server_;
  std::optional<HttpClient> client_;
  Endpoint where_;
  int requests_ = 0;
};

TEST_F(HttpClientTest, AsksOverOneKeptConnection) {
  start_server();
  const auto first = request("GET", url("/a?b=c"));
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_EQ(first->body, "GET /a?b=c ");
  EXPECT_EQ(first->headers.get("X-Host"), "boson.test:" + std::to_string(where_.port));
  EXPECT_EQ(first->headers.get("X-Agent"), "higgs");
  const auto second = request("POST", url("/b"), "body");
  ASSERT_TRUE(second);
  EXPECT_EQ(second->body, "POST /b body");
  EXPECT_EQ(request("HEAD", url("/a"))->body, "");
  EXPECT_EQ(server_->stats().accepted, 1u);
  EXPECT_TRUE(client().resolved().empty());  // known_hosts answered
}

TEST_F(HttpClientTest, KeptConnectionThatDiedIsReplaced) {
  start_server();
  ASSERT_TRUE(request("GET", url("/a")));
  stop_server();
  start_server();  // the same port
  const auto again = request("POST", url("/b"), "x");
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->body, "POST /b x");
}

TEST_F(HttpClientTest, WrongKeyIsUntrusted) {
  start_server();
  options_.trust.spki_pins = {*spki_pin_of(make_self_signed({"boson.test"}, 30)->certificate_pem)};
  EXPECT_EQ(request("GET", url("/")).error(), make_error_code(TlsError::kUntrusted));
  EXPECT_EQ(requests_, 0);
}

TEST_F(HttpClientTest, LiteralAddressesAndFallbackAcrossAddresses) {
  start_server();
  EXPECT_TRUE(request("GET", url("/", "https", "127.0.0.1")));
  // Nobody listens on the first two.
  client_.reset();
  options_.known_hosts["boson.test"] = {*IpAddress::parse("127.0.0.9"), *IpAddress::parse("::1"), kHere};
  const auto answer = request("GET", url("/"));
  EXPECT_TRUE(answer) << answer.error().message();
}

TEST_F(HttpClientTest, NameIsResolvedWhereNothingIsKnown) {
  start_server();
  options_.known_hosts.clear();
  const auto answer = request("GET", url("/", "https", "localhost"));
  ASSERT_TRUE(answer) << answer.error().message();
  const auto resolved = client().resolved();
  ASSERT_TRUE(resolved.contains("localhost"));
  // Known addresses that lead nowhere give way to DNS.
  client_.reset();
  options_.known_hosts["localhost"] = {*IpAddress::parse("127.0.0.9")};
  EXPECT_TRUE(request("GET", url("/", "https", "localhost")));
}

TEST_F(HttpClientTest, ErrorsAreToldApart) {
  start_server();
  const std::string good = url("/");
  EXPECT_EQ(request("GET", "http://boson.test/").error(), make_error_code(HttpClientError::kBadUrl));
  EXPECT_EQ(request("GET", "nonsense").error(), make_error_code(HttpClientError::kBadUrl));
  EXPECT_EQ(request("BAD METHOD", good).error(), make_error_code(HttpClientError::kBadUrl));
  EXPECT_EQ(request("GET", url("/", "https", "127.0.0.9")).error(), make_error_code(HttpClientError::kConnect));
  client_.reset();
  options_.response_bytes = 1000;
  EXPECT_EQ(request("GET", url("/large")).error(), make_error_code(HttpClientError::kTooLarge));
  client_.reset();
  options_.request_deadline = milliseconds(50);
  EXPECT_EQ(request("GET", url("/never")).error(), make_error_code(HttpClientError::kTimedOut));
}

TEST_F(HttpClientTest, SilentServerCostsNoMoreThanTheDeadline) {
  tcp::acceptor silent(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  where_ = from_asio(silent.local_endpoint());
  options_.known_hosts.clear();
  options_.connect_deadline = milliseconds(50);
  EXPECT_EQ(request("GET", url("/", "https", "127.0.0.1")).error(), make_error_code(HttpClientError::kConnect))
      << "nothing of the request was sent";
}

TEST_F(HttpClientTest, TrustMayGrow) {
  start_server();
  const auto ours = options_.trust.spki_pins;
  options_.trust.spki_pins = {*spki_pin_of(make_self_signed({"boson.test"}, 30)->certificate_pem)};
  EXPECT_EQ(request("GET", url("/x")).error(), make_error_code(TlsError::kUntrusted));
  options_.trust.spki_pins.push_back(ours.front());
  client().set_trust(options_.trust);
  EXPECT_TRUE(request("GET", url("/x")));
}

TEST_F(HttpClientTest, ServersAreMeasuredAndThoseThatAreSilentAreNotWaitedFor) {
  start_server();
  tcp::acceptor silent(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  const auto ours = "https://127.0.0.1:" + std::to_string(where_.port);
  const auto theirs = "https://127.0.0.1:" + std::to_string(silent.local_endpoint().port());
  api::RelayServer answering, mute;
  answering.host = mute.host = "127.0.0.1";
  answering.port = where_.port;
  mute.port = silent.local_endpoint().port();
  api::ServerChoice choice(theirs);
  auto alone = measure_servers(client(), choice, milliseconds(1));
  run(context_, std::move(alone));
  EXPECT_EQ(requests_, 0) << "nothing to choose";
  choice.learn({}, {mute, answering});
  // However long the answer takes in this test, it is less than what was known before.
  choice.measured(ours, std::chrono::minutes(2));
  choice.measured(theirs, std::chrono::minutes(1));
  auto measuring = measure_servers(client(), choice, milliseconds(2000));
  run(context_, std::move(measuring));
  EXPECT_EQ(requests_, 1);
  SeededRandom random(1);
  EXPECT_EQ(choice.choose({}, random), ours);
}

TEST_F(HttpClientTest, CloseEndsWhatRuns) {
  start_server();
  std::optional<Result<HttpResponse>> result;
  asio::co_spawn(context_, client().request("GET", url("/never"), {}, ""),
                 [&](const std::exception_ptr&, Result<HttpResponse> r) { result = std::move(r); });
  run_until(context_, [&] { return requests_ == 1; });
  client().close();
  run_until(context_, [&] { return result.has_value(); });
  EXPECT_EQ(result->error(), make_error_code(TlsError::kClosed));
}

TEST_F(HttpClientTest, UpgradeHandsOverSocketsOnBothSides) {
  std::optional<UpgradedSocket> at_server;
  handlers_.upgrade = [&](HttpRequest request) -> asio::awaitable<UpgradeDecision> {
    if (request.headers.get("Authorization") != "Bearer good")
      co_return HttpResponse{.status = 401, .headers = {}, .body = "no"};
    UpgradeAccept accept;
    accept.subprotocol = request.path == "/other" ? "other" : "higgs-relay.1";
    accept.take = [&](UpgradedSocket socket) { at_server.emplace(std::move(socket)); };
    co_return accept;
  };
  start_server();
  const auto upgrade = [&](const std::string& where, std::string_view token) {
    HttpHeaders headers;
    headers.set("Authorization", token);
    auto upgrading = client().upgrade(where, headers, "higgs-relay.1");
    return run(context_, std::move(upgrading));
  };
  EXPECT_EQ(upgrade(url("/relay", "wss"), "Bearer bad").error(), make_error_code(HttpClientError::kUpgradeRefused));
  ASSERT_TRUE(client().last_refusal());
  EXPECT_EQ(client().last_refusal()->status, 401u);
  EXPECT_EQ(upgrade(url("/other", "wss"), "Bearer good").error(), make_error_code(HttpClientError::kProtocol));
  at_server.reset();

  auto at_client = upgrade(url("/relay", "wss"), "Bearer good");
  ASSERT_TRUE(at_client) << at_client.error().message();
  run_until(context_, [&] { return at_server.has_value(); });
  ASSERT_TRUE(at_server->socket.write(as_bytes("to the client")));
  Bytes buffer(100);
  std::size_t count = 0;
  run_until(context_, [&] {
    const auto read = at_client->socket.read(buffer);
    if (read) count = *read;
    return count > 0;
  });
  EXPECT_EQ(as_text(ByteView(buffer).first(count)), "to the client");
}

TEST(TcpConnect, FamiliesTakeTurns) {
  const auto v4 = [](std::uint32_t n) { return IpAddress::v4(n); };
  const auto v6 = [](std::uint8_t n) { return IpAddress::v6(ByteArray<16>{std::byte{n}}); };
  const std::vector<IpAddress> mixed = {v6(1), v4(1), v6(2), v4(2), v6(3)};
  EXPECT_EQ(interleave_families({v6(1), v6(2), v6(3), v4(1), v4(2)}), mixed);
  EXPECT_TRUE(interleave_families({}).empty());
}

TEST(TcpConnect, MarkIsSetOrTheConnectionFails) {
  asio::io_context context;
  tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  ConnectCancel cancel;
  auto connecting =
      connect_any(context.get_executor(), {from_asio(acceptor.local_endpoint())}, 0x4711u, milliseconds(1000), cancel);
  auto socket = run(context, std::move(connecting));
  if (!socket) {
    EXPECT_EQ(socket.error(), boost::system::errc::operation_not_permitted);
    return;
  }
  std::uint32_t mark = 0;
  socklen_t size = sizeof(mark);
  EXPECT_EQ(::getsockopt(socket->native_handle(), SOL_SOCKET, SO_MARK, &mark, &size), 0);
  EXPECT_EQ(mark, 0x4711u);
}

}  // namespace
}  // namespace higgs::net

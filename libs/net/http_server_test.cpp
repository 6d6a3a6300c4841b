#include "net/http_server.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include "net/endpoint_convert.h"
#include "net/http_parser.h"
#include "net/testing/coroutine_test.h"

namespace higgs::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;
using testing::run;
using testing::run_until;

/// A plain client that does as it is told, good or bad.
class RawClient {
 public:
  RawClient(asio::io_context& context, const Endpoint& where) : context_(context), socket_(context) {
    socket_.connect(to_asio(where));
    read();
  }
  void send(std::string_view text) {
    boost::system::error_code ignored;
    asio::write(socket_, asio::buffer(text.data(), text.size()), ignored);
  }
  /// The next whole answer; status 0 if the connection ended before.
  HttpResponse answer(bool head = false) {
    HttpResponseParser parser({}, head);
    run_until(context_, [&] {
      received_.erase(0, parser.put(as_bytes(received_)));
      return parser.state() != HttpResponseParser::State::kReading || (ended_ && received_.empty());
    });
    if (parser.state() != HttpResponseParser::State::kComplete) return {.status = 0, .headers = {}, .body = {}};
    return parser.take();
  }
  void wait_for_end() {
    run_until(context_, [&] { return ended_; });
  }
  bool ended() const { return ended_; }
  std::string& received() { return received_; }
  void close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

 private:
  void read() {
    socket_.async_read_some(asio::buffer(buffer_), [this](const boost::system::error_code& error, std::size_t count) {
      received_.append(buffer_.data(), count);
      if (error)
        ended_ = true;
      else
        read();
    });
  }
  asio::io_context& context_;
  tcp::socket socket_;
  std::array<char, 4096> buffer_{};
  std::string received_;
  bool ended_ = false;
};

class HttpServerTest : public ::testing::Test {
 protected:
  void start(HttpServerLimits limits = {}) {
    if (!handlers_.request) handlers_.request = [this](HttpRequest r) { return echo(std::move(r)); };
    server_.emplace(context_.get_executor(), std::nullopt, handlers_, limits);
    const auto bound = server_->listen({IpAddress::v4(0x7f000001), 0});
    ASSERT_TRUE(bound);
    where_ = *bound;
  }
  asio::awaitable<HttpResponse> echo(HttpRequest request) {
    HttpResponse response;
    response.body = request.method + " " + request.path + " " + request.body;
    seen_.push_back(std::move(request));
    co_return response;
  }
  void TearDown() override {
    if (!server_) return;
    auto stopping = server_->stop(milliseconds(0));
    run(context_, std::move(stopping));
    EXPECT_EQ(server_->stats().open, 0u);
  }
  RawClient& connect() { return *clients_.emplace_back(std::make_unique<RawClient>(context_, where_)); }
  void wait_for(std::function<bool(const HttpServerStats&)> condition) {
    run_until(context_, [&] { return condition(server_->stats()); });
  }

  asio::io_context context_;
  HttpHandlers handlers_;
  std::vector<HttpRequest> seen_;
  std::optional<HttpServer> server_;
  Endpoint where_;
  std::vector<std::unique_ptr<RawClient>> clients_;
};

TEST_F(HttpServerTest, KeepsAliveAndAnswersPipelinedRequestsInOrder) {
  start();
  auto& client = connect();
  client.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /3 ");
  EXPECT_EQ(client.answer().body, "GET /1 ");
  EXPECT_EQ(client.answer().body, "POST /2 abc");
  client.send("HTTP/1.1\r\nHost: h\r\nX-Request-Id: my-id\r\n\r\n");
  const auto third = client.answer();
  EXPECT_EQ(third.body, "GET /3 ");
  EXPECT_EQ(third.headers.get("X-Request-Id"), "my-id");
  EXPECT_TRUE(third.headers.get("Date"));
  EXPECT_FALSE(third.headers.get("Server"));
  EXPECT_FALSE(third.headers.get("Connection"));
  client.send("GET /4 HTTP/1.1\r\nHost: h\r\nX-Request-Id: \"evil\r\nConnection: close\r\n\r\n");
  const auto fourth = client.answer();
  EXPECT_EQ(fourth.headers.get("X-Request-Id")->size(), 36u);
  EXPECT_EQ(fourth.headers.get("Connection"), "close");
  client.wait_for_end();
  EXPECT_EQ(server_->stats().requests, 4u);
  EXPECT_EQ(server_->stats().accepted, 1u);
  EXPECT_EQ(seen_.at(0).remote.address.to_string(), "127.0.0.1");
}

TEST_F(HttpServerTest, WhoAsksTooOftenWaitsOnThatConnectionAlone) {
  handlers_.request = [this](HttpRequest request) -> asio::awaitable<HttpResponse> {
    auto answering = echo(std::move(request));
    auto response = co_await std::move(answering);
    if (response.body.starts_with("GET /often")) response.hold = std::chrono::hours(1);
    if (response.body.starts_with("GET /once")) response.hold = milliseconds(1);
    co_return response;
  };
  start();
  auto& often = connect();
  auto& other = connect();
  often.send("GET /often HTTP/1.1\r\nHost: h\r\n\r\nGET /again HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(often.answer().body, "GET /often ");
  for (int i = 0; i < 100; ++i) {
    other.send("GET /once HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_EQ(other.answer().body, "GET /once ");
  }
  EXPECT_EQ(seen_.size(), 101u) << "what was asked again is not even looked at";
  EXPECT_EQ(server_->stats().held, 101u);
  auto stopping = server_->stop(std::chrono::hours(1));
  run(context_, std::move(stopping));
  EXPECT_EQ(server_->stats().open, 0u) << "a server that stops does not wait for it";
}

TEST_F(HttpServerTest, HeadHasTheLengthButNotTheBody) {
  start();
  auto& client = connect();
  client.send("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\nGET /y HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(client.answer(true).headers.get("Content-Length"), "8");
  EXPECT_EQ(client.answer().body, "GET /y ");
}

TEST_F(HttpServerTest, ExpectContinueIsAnsweredBeforeTheBody) {
  start();
  auto& client = connect();
  client.send("POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  run_until(context_, [&] { return client.received().find("\r\n\r\n") != std::string::npos; });
  EXPECT_EQ(client.received(), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("ok");
  EXPECT_EQ(client.answer().body, "POST /x ok");
}

TEST_F(HttpServerTest, BadRequestsGetAProblemAndTheEnd) {
  start();
  const struct {
    std::string text;
    unsigned status;
  } cases[] = {{"nonsense\r\n\r\n", 400},
               {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(20'000, 'x'), 431},
               {"GET /" + std::string(30'000, 'x'), 414},
               {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n" + std::string(65537, 'b'), 413},
               {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(40'000, 'e'), 400},
               {"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 501}};
  for (const auto& one : cases) {
    auto& client = connect();
    client.send(one.text);
    const auto answer = client.answer();
    EXPECT_EQ(answer.status, one.status);
    EXPECT_EQ(answer.headers.get("Content-Type"), "application/problem+json");
    EXPECT_EQ(answer.headers.get("Connection"), "close");
    EXPECT_NE(answer.body.find("\"status\":" + std::to_string(one.status)), std::string::npos) << answer.body;
    client.wait_for_end();
  }
  EXPECT_EQ(server_->stats().bad_requests, std::size(cases));
  EXPECT_TRUE(seen_.empty());
}

TEST_F(HttpServerTest, SlowHeadAndSlowBodyAreCutOffHoweverTheyDrip) {
  start({.header = milliseconds(150)});
  for (const std::string_view start_of_it :
       {"GET / HTTP/1.1\r\nHost: h\r\nX-A: b", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n"}) {
    auto& client = connect();
    client.send(start_of_it);
    asio::steady_timer drip(context_);
    std::function<void()> next = [&] {
      drip.expires_after(milliseconds(20));
      drip.async_wait([&](const boost::system::error_code& error) {
        if (error) return;
        client.send("x");
        next();
      });
    };
    next();
    EXPECT_EQ(client.answer().status, 408u);
    drip.cancel();
    client.wait_for_end();
  }
  EXPECT_EQ(server_->stats().timeouts, 2u);
}

TEST_F(HttpServerTest, SilentAndIdleConnectionsEnd) {
  start({.header = milliseconds(200), .idle = milliseconds(1)});
  auto& silent = connect();
  auto& idle = connect();
  idle.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(idle.answer().status, 200u);
  idle.wait_for_end();
  silent.wait_for_end();
  EXPECT_TRUE(silent.received().empty());
  EXPECT_EQ(server_->stats().timeouts, 2u);
}

TEST_F(HttpServerTest, ReaderWhoDoesNotReadIsCutOff) {
  handlers_.request = [](HttpRequest) -> asio::awaitable<HttpResponse> {
    HttpResponse response;
    response.body.resize(64'000'000, 'x');
    co_return response;
  };
  start({.write = milliseconds(50)});
  tcp::socket socket(context_);
  socket.connect(to_asio(where_));
  asio::write(socket, asio::buffer(std::string("GET / HTTP/1.1\r\nHost: h\r\n\r\n")));
  wait_for([](const HttpServerStats& stats) { return stats.timeouts == 1 && stats.open == 0; });
}

TEST_F(HttpServerTest, TooManyConnectionsAreClosedAtOnceAndRoomComesBack) {
  start({.connections = 3, .connections_per_address = 2});
  auto& first = connect();
  auto& second = connect();
  wait_for([](const HttpServerStats& stats) { return stats.open == 2; });
  auto& third = connect();
  third.wait_for_end();
  EXPECT_EQ(server_->stats().refused, 1u);
  second.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(second.answer().status, 200u);
  first.close();
  wait_for([](const HttpServerStats& stats) { return stats.open == 1; });
  auto& fourth = connect();
  fourth.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(fourth.answer().status, 200u);
}

TEST_F(HttpServerTest, FailingHandlerIsA500WithoutDetail) {
  handlers_.request = [](HttpRequest request) -> asio::awaitable<HttpResponse> {
    if (request.path == "/throw") throw std::runtime_error("secret detail");
    co_return HttpResponse{};
  };
  start();
  auto& client = connect();
  client.send("GET /throw HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
  const auto answer = client.answer();
  EXPECT_EQ(answer.status, 500u);
  EXPECT_EQ(answer.body.find("secret"), std::string::npos);
  EXPECT_EQ(client.answer().status, 200u);
}

TEST_F(HttpServerTest, UpgradeIsCheckedAndTheSocketHandedOver) {
  std::optional<UpgradedSocket> taken;
  handlers_.upgrade = [&](HttpRequest request) -> asio::awaitable<UpgradeDecision> {
    if (request.path == "/no") co_return HttpResponse{.status = 403, .headers = {}, .body = {}};
    if (request.path == "/throw") throw std::runtime_error("secret detail");
    UpgradeAccept accept;
    accept.subprotocol = "higgs-relay.1";
    accept.take = [&](UpgradedSocket socket) { taken.emplace(std::move(socket)); };
    co_return accept;
  };
  start();
  const std::string fields = "Host: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n";
  const std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const std::string version = "Sec-WebSocket-Version: 13\r\n\r\n";
  const struct {
    std::string text;
    unsigned status;
  } refused[] = {{"GET /no HTTP/1.1\r\n" + fields + key + version, 403},
                 {"GET /throw HTTP/1.1\r\n" + fields + key + version, 500},
                 {"POST / HTTP/1.1\r\n" + fields + key + version, 400},
                 {"GET / HTTP/1.1\r\n" + fields + version, 400},
                 {"GET / HTTP/1.1\r\n" + fields + "Sec-WebSocket-Key: c2hvcnQ=\r\n" + version, 400},
                 {"GET / HTTP/1.1\r\n" + fields + key + "Sec-WebSocket-Version: 8\r\n\r\n", 426},
                 {"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n" + key + version, 400}};
  for (const auto& one : refused) {
    auto& client = connect();
    client.send(one.text);
    EXPECT_EQ(client.answer().status, one.status) << one.text;
    client.wait_for_end();
    client.close();
  }
  EXPECT_FALSE(taken);

  auto& client = connect();
  client.send("GET / HTTP/1.1\r\n" + fields + key + version + "left over");
  const auto answer = client.answer();
  EXPECT_EQ(answer.status, 101u);
  // The example of RFC 6455, 1.3.
  EXPECT_EQ(answer.headers.get("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_EQ(answer.headers.get("Sec-WebSocket-Protocol"), "higgs-relay.1");
  run_until(context_, [&] { return taken.has_value(); });
  EXPECT_EQ(as_text(taken->leftover), "left over");
  wait_for([](const HttpServerStats& stats) { return stats.open == 0; });
  EXPECT_TRUE(taken->socket.write(as_bytes("still open")));
  run_until(context_, [&] { return client.received() == "still open"; });
}

TEST_F(HttpServerTest, UpgradeWithoutATakerIs426) {
  start();
  auto& client = connect();
  client.send(
      "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
  EXPECT_EQ(client.answer().status, 426u);
}

TEST_F(HttpServerTest, StopLetsRunningRequestsEndAndThenAbortsTheRest) {
  asio::steady_timer gate(context_, std::chrono::hours(1));
  bool unwound = false;
  handlers_.request = [&](HttpRequest request) -> asio::awaitable<HttpResponse> {
    struct Mark {
      bool& flag;
      ~Mark() { flag = true; }
    };
    if (request.path == "/stuck") {
      const Mark mark{unwound};
      asio::steady_timer never(context_, std::chrono::hours(1));
      co_await never.async_wait(asio::use_awaitable);
    }
    boost::system::error_code ignored;
    co_await gate.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_return HttpResponse{};
  };
  start();
  auto& running = connect();
  auto& stuck = connect();
  auto& idle = connect();
  running.send("GET /run HTTP/1.1\r\nHost: h\r\n\r\n");
  stuck.send("GET /stuck HTTP/1.1\r\nHost: h\r\n\r\n");
  wait_for([](const HttpServerStats& stats) { return stats.requests == 2 && stats.open == 3; });
  bool stopped = false;
  asio::co_spawn(context_, server_->stop(milliseconds(1000)), [&](const std::exception_ptr&) { stopped = true; });
  idle.wait_for_end();
  EXPECT_FALSE(stopped);
  gate.cancel();
  const auto answer = running.answer();
  EXPECT_EQ(answer.status, 200u);
  EXPECT_EQ(answer.headers.get("Connection"), "close");
  run_until(context_, [&] { return stopped; });
  EXPECT_TRUE(unwound);
  stuck.wait_for_end();
  tcp::socket late(context_);
  boost::system::error_code error;
  late.connect(to_asio(where_), error);
  EXPECT_TRUE(error);
}

}  // namespace
}  // namespace higgs::net

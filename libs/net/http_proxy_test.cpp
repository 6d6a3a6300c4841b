// A server behind proxies, over real sockets: whose a request is, and what is closed.
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include "net/endpoint_convert.h"
#include "net/http_server.h"
#include "net/testing/coroutine_test.h"

namespace higgs::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;
using testing::run;
using testing::run_until;

const IpAddress kOwnAddress = IpAddress::v4(0x7f000001);
const std::string kHeader = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";

class BehindAProxy : public ::testing::Test {
 protected:
  BehindAProxy() : made_(*make_self_signed({"boson.test"}, 30)) {
    proxies_.networks = {*IpPrefix::parse("127.0.0.0/8")};
  }

  void start(HttpServerLimits limits = {}) {
    HttpHandlers handlers;
    handlers.request = [this](HttpRequest request) -> asio::awaitable<HttpResponse> {
      seen_.push_back(request);
      co_return HttpResponse{.status = 200, .headers = {}, .body = "served", .hold = std::chrono::hours(1)};
    };
    handlers.upgrade = [this](HttpRequest) -> asio::awaitable<UpgradeDecision> {
      UpgradeAccept accept;
      accept.take = [this](UpgradedSocket socket) { upgraded_ = socket.socket.remote(); };
      co_return UpgradeDecision(std::move(accept));
    };
    auto tls = *TlsContext::server(made_.certificate_pem, made_.private_key_pem);
    server_.emplace(context_.get_executor(), std::move(tls), std::move(handlers), limits, proxies_);
    where_ = *server_->listen({kOwnAddress, 0});
  }
  void TearDown() override {
    if (!server_) return;
    auto stopping = server_->stop(milliseconds(0));
    run(context_, std::move(stopping));
  }

  /// Says `before` in the clear, then TLS, then `request`; the first bytes of the answer, or "" where it is over
  /// before.
  std::string exchange(const std::string& before, const std::string& request) {
    auto asking = ask(before, request);
    return run(context_, std::move(asking));
  }
  asio::awaitable<std::string> ask(std::string before, std::string request) {
    tcp::socket socket(context_);
    socket.connect(to_asio(where_));
    asio::write(socket, asio::buffer(before));
    TlsTrust trust;
    trust.spki_pins = {*spki_pin_of(made_.certificate_pem)};
    const auto context = *TlsContext::client(trust);
    TlsStream stream(std::move(socket), context);
    stream.expires_after(testing::kTestDeadline);
    auto connecting = stream.connect("boson.test");
    const auto connected = co_await std::move(connecting);
    if (!connected) co_return "";
    const auto written = co_await stream.write_all(as_bytes(request));
    if (!written) co_return "";
    ByteArray<12> answer;
    const auto count = co_await stream.read_some(answer);
    co_return count ? std::string(as_text(ByteView(answer).first(*count))) : "";
  }
  static std::string get(const std::string& fields = "") { return "GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n"; }

  asio::io_context context_;
  SelfSigned made_;
  TrustedProxies proxies_;
  std::optional<HttpServer> server_;
  Endpoint where_;
  std::vector<HttpRequest> seen_;
  std::optional<Endpoint> upgraded_;
};

TEST_F(BehindAProxy, ARequestIsOfWhomTheHeaderNames) {
  start();
  const std::string v2 = std::string("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", 16) +
                         std::string("\xc6\x33\x64\x09\x7f\0\0\x01\x00\x50\x01\xbb", 12);
  EXPECT_EQ(exchange(kHeader, get()), "HTTP/1.1 200");
  EXPECT_EQ(exchange(v2, get("X-Forwarded-For: 203.0.113.66\r\n")), "HTTP/1.1 200");
  EXPECT_EQ(exchange("PROXY UNKNOWN\r\n", get()), "HTTP/1.1 200") << "the proxy looks whether we live";
  ASSERT_EQ(seen_.size(), 3u);
  EXPECT_EQ(seen_[0].remote.to_string(), "192.0.2.7:4711");
  EXPECT_FALSE(seen_[0].round_trip) << "the kernel measures the way to the proxy";
  EXPECT_EQ(seen_[1].remote.to_string(), "198.51.100.9:80");
  EXPECT_EQ(seen_[2].remote.address, kOwnAddress);
}

TEST_F(BehindAProxy, AnUpgradedSocketIsTheClientsToo) {
  start();
  const auto upgrade =
      get("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
  EXPECT_EQ(exchange(kHeader, upgrade), "HTTP/1.1 101");
  ASSERT_TRUE(upgraded_);
  EXPECT_EQ(upgraded_->to_string(), "192.0.2.7:4711");
}

TEST_F(BehindAProxy, AProxyThatDoesNotSayForWhomIsClosed) {
  start();
  EXPECT_EQ(exchange("", get()), "");
  EXPECT_EQ(exchange("PROXY TCP4 nobody nowhere 1 2\r\n", get()), "");
  run_until(context_, [&] { return server_->stats().bad_proxy_headers == 2; });
  EXPECT_TRUE(seen_.empty());
}

TEST_F(BehindAProxy, AHeaderOfAnybodyElseEndsTheConnection) {
  proxies_.networks = {*IpPrefix::parse("10.0.0.0/8")};
  start();
  EXPECT_EQ(exchange(kHeader, get()), "");
  EXPECT_EQ(exchange("", get("X-Forwarded-For: 192.0.2.7\r\n")), "HTTP/1.1 200");
  ASSERT_EQ(seen_.size(), 1u);
  EXPECT_EQ(seen_[0].remote.address, kOwnAddress);
  EXPECT_TRUE(seen_[0].round_trip);
}

TEST_F(BehindAProxy, AHeaderThatDoesNotEndHasTheTimeOfAHandshake) {
  start({.handshake = milliseconds(50)});
  tcp::socket silent(context_), slow(context_);
  silent.connect(to_asio(where_));
  slow.connect(to_asio(where_));
  asio::write(slow, asio::buffer(kHeader.substr(0, 20)));
  run_until(context_, [&] { return server_->stats().timeouts == 2 && server_->stats().open == 0; });
}

TEST_F(BehindAProxy, ConnectionsCountForTheClientAndNotForTheProxy) {
  start({.connections_per_address = 1});
  tcp::socket one(context_), other(context_), again(context_);
  for (auto* socket : {&one, &other, &again}) socket->connect(to_asio(where_));
  asio::write(one, asio::buffer(kHeader));
  asio::write(other, asio::buffer(std::string("PROXY TCP4 192.0.2.8 198.51.100.1 1 443\r\n")));
  run_until(context_, [&] { return server_->stats().accepted == 3; });
  EXPECT_EQ(server_->stats().refused, 0u);
  EXPECT_EQ(exchange(kHeader, get()), "") << "the client has one";
  run_until(context_, [&] { return server_->stats().refused == 1; });
  one.close();
  run_until(context_, [&] { return server_->stats().open == 2; });
  EXPECT_EQ(exchange(kHeader, get()), "HTTP/1.1 200");
}

TEST_F(BehindAProxy, ForwardedForIsOfTheRequestAndNotOfTheConnection) {
  proxies_.header = TrustedProxies::Header::kForwardedFor;
  start();
  EXPECT_EQ(exchange("", get("X-Forwarded-For: 192.0.2.7\r\n") + get("X-Forwarded-For: 192.0.2.8\r\n") + get()),
            "HTTP/1.1 200");
  run_until(context_, [&] { return seen_.size() == 3; });
  EXPECT_EQ(seen_[0].remote.address.to_string(), "192.0.2.7");
  EXPECT_EQ(seen_[1].remote.address.to_string(), "192.0.2.8");
  EXPECT_EQ(seen_[2].remote.address, kOwnAddress);
  EXPECT_EQ(exchange(kHeader, get()), "") << "one way of saying it, not two";
}

}  // namespace
}  // namespace higgs::net

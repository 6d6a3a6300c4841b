// Peers that hold connections and say nothing, or half a thing: the server answers others meanwhile, and gets rid of
// them in time.
#include <algorithm>
#include <deque>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>
#include <openssl/crypto.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/endpoint_convert.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/testing/coroutine_test.h"
#include "runtime/process.h"

namespace higgs::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;
using testing::run;
using testing::run_until;

const IpAddress kVictimAddress = IpAddress::v4(0x7f000001);

class HostileClientsTest : public ::testing::Test {
 protected:
  HostileClientsTest() : made_(*make_self_signed({"boson.test"}, 30)) {}

  void start(HttpServerLimits limits) {
    HttpHandlers handlers;
    handlers.request = [this](HttpRequest) -> asio::awaitable<HttpResponse> {
      co_return HttpResponse{.status = 200, .headers = {}, .body = body_};
    };
    auto tls = *TlsContext::server(made_.certificate_pem, made_.private_key_pem);
    handlers.has_room_for_connection = [this] { return room_for_connection_; };
    handlers.has_room_for_request = [this] { return room_for_request_; };
    server_.emplace(context_.get_executor(), std::move(tls), std::move(handlers), limits);
    where_ = *server_->listen({kVictimAddress, 0});
  }
  void TearDown() override {
    if (!server_) return;
    auto stopping = server_->stop(milliseconds(0));
    run(context_, std::move(stopping));
  }
  /// Connected, and no more.
  void connect(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      auto& socket = silent_.emplace_back(context_);
      socket.connect(to_asio(where_));
      if (i % 256 != 255) continue;
      context_.restart();
      context_.poll();  // or the backlog would be full
    }
  }
  bool served() {
    HttpClientOptions options;
    options.trust.spki_pins = {*spki_pin_of(made_.certificate_pem)};
    HttpClient client(context_.get_executor(), options);
    auto asking = client.request("GET", "https://127.0.0.1:" + std::to_string(where_.port) + "/", {}, "");
    const auto answer = run(context_, std::move(asking));
    return answer && answer->body == "served";
  }

  /// A stream that has shaken hands, on a connection of its own.
  TlsStream shaken() {
    const auto client = *TlsContext::client({.spki_pins = {*spki_pin_of(made_.certificate_pem)}, .ca_file = {}});
    tcp::socket socket(context_);
    socket.connect(to_asio(where_));
    TlsStream stream(std::move(socket), client);
    const std::string host = "boson.test";
    auto shaking = stream.connect(host);
    if (!run(context_, std::move(shaking))) throw std::runtime_error("no handshake");
    return stream;
  }
  void say(TlsStream& stream, std::string_view text) {
    auto writing = stream.write_all(as_bytes(text));
    if (!run(context_, std::move(writing))) throw std::runtime_error("the connection is gone");
  }
  std::string heard(TlsStream& stream) {
    ByteArray<4096> bytes;
    auto reading = stream.read_some(bytes);
    const auto count = run(context_, std::move(reading));
    if (!count) return {};
    std::string text(*count, 0);
    std::transform(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(*count), text.begin(),
                   [](std::byte byte) { return static_cast<char>(byte); });
    return text;
  }

  std::string body_ = "served";
  bool room_for_connection_ = true, room_for_request_ = true;
  asio::io_context context_;
  SelfSigned made_;
  std::optional<HttpServer> server_;
  Endpoint where_;
  std::deque<tcp::socket> silent_;
};

int tls_sessions = 0;

/// How many TLS sessions this process holds, by OpenSSL's own callbacks, since the first call.
int count_tls_sessions() {
  const auto on_new = [](void*, void*, CRYPTO_EX_DATA*, int, long, void*) { ++tls_sessions; };
  const auto on_free = [](void*, void*, CRYPTO_EX_DATA*, int, long, void*) { --tls_sessions; };
  static const int kIndex = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, nullptr, on_new, nullptr, on_free);
  EXPECT_GE(kIndex, 0);
  return tls_sessions;
}

TEST_F(HostileClientsTest, WhoSaysNothingGetsNoSession) {
  constexpr int kSilent = 50;
  const int before = count_tls_sessions();
  const auto sessions = [before] { return count_tls_sessions() - before; };
  start({.handshake = std::chrono::hours(1)});
  connect(kSilent);
  run_until(context_, [&] { return server_->stats().open == kSilent; });
  EXPECT_EQ(sessions(), 0);
  // The counter counts: one byte makes a session, the end of the connection ends it.
  for (int spoke = 1; spoke <= 3; ++spoke) {
    asio::write(silent_[static_cast<std::size_t>(spoke)], asio::buffer("\x16", 1));
    run_until(context_, [&] { return sessions() == spoke; });
  }
  silent_.clear();
  run_until(context_, [&] { return server_->stats().open == 0; });
  EXPECT_EQ(sessions(), 0);
  EXPECT_EQ(server_->stats().handshake_failures, static_cast<std::uint64_t>(kSilent));
  EXPECT_TRUE(served());
}

TEST_F(HostileClientsTest, WhoBringsNothingGoodIsSoonNotLetIn) {
  start({.handshakes = {.per_second = 1e-6, .burst = 63}});
  EXPECT_TRUE(served());
  for (std::uint64_t bad = 1; bad <= 2; ++bad) {
    connect(1);
    asio::write(silent_.back(), asio::buffer("GET / HTTP/1.1\r\n\r\n"));
    run_until(context_, [&] { return server_->stats().handshake_failures == bad; });
  }
  auto stream = shaken();
  say(stream, "no request\r\n\r\n");
  EXPECT_NE(heard(stream).find("400"), std::string::npos);
  EXPECT_EQ(server_->stats().refused_handshakes, 0u);
  EXPECT_FALSE(served());
  EXPECT_EQ(server_->stats().refused_handshakes, 1u);
}

TEST_F(HostileClientsTest, TenThousandWhoSayNothing) {
  runtime::raise_file_limit();
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  // Both ends are in this process. Where that allows fewer, as many as it allows.
  const std::size_t count = std::min<std::size_t>(10'000, (limit.rlim_cur - 200) / 2);
  HttpServerLimits limits{.connections = 20'000, .connections_per_address = 20'000, .handshake = std::chrono::hours(1)};
  start(limits);
  connect(count);
  run_until(context_, [&] { return server_->stats().open == count; });
  EXPECT_TRUE(served());
  EXPECT_EQ(server_->stats().timeouts, 0u);
  auto stopping = server_->stop(milliseconds(0));
  run(context_, std::move(stopping));
  silent_.clear();

  limits.handshake = milliseconds(500);
  start(limits);
  connect(count);
  run_until(context_, [&] { return server_->stats().timeouts == count && server_->stats().open == 0; });
  EXPECT_EQ(server_->stats().accepted, count);
  EXPECT_EQ(server_->stats().handshake_failures, count);
}

TEST_F(HostileClientsTest, OneAddressCannotTakeAllRoom) {
  start({.connections = 1000, .connections_per_address = 100, .handshake = milliseconds(20'000)});
  connect(300);
  run_until(context_, [&] { return server_->stats().refused == 200; });
  EXPECT_EQ(server_->stats().open, 100u);
  // Another address is served.
  tcp::socket other(context_);
  other.open(tcp::v4());
  other.bind(tcp::endpoint(asio::ip::make_address_v4("127.0.0.2"), 0));
  other.connect(to_asio(where_));
  run_until(context_, [&] { return server_->stats().open == 101; });
}

TEST_F(HostileClientsTest, HandshakesUnderWayOfAnAddressAreLimited) {
  HttpServerLimits limits;
  limits.handshake = std::chrono::hours(1);
  limits.handshakes.at_a_time = 3;
  start(limits);
  connect(6);
  run_until(context_, [&] { return server_->stats().open == 6; });
  EXPECT_EQ(server_->stats().refused_handshakes, 0u) << "who says nothing costs nothing yet";
  for (auto& socket : silent_) asio::write(socket, asio::buffer("\x16", 1));
  run_until(context_, [&] { return server_->stats().refused_handshakes == 3 && server_->stats().open == 3; });
  silent_.clear();
  run_until(context_, [&] { return server_->stats().open == 0; });
  EXPECT_TRUE(served()) << "they have ended, and count no more";
}

TEST_F(HostileClientsTest, AStormOfHandshakesIsLimited) {
  HttpServerLimits limits;
  limits.handshakes.per_second = 0.001;
  limits.handshakes.burst = 4;
  start(limits);
  for (int i = 0; i < 4; ++i) EXPECT_NO_THROW(shaken());
  EXPECT_THROW(shaken(), std::runtime_error);
  EXPECT_EQ(server_->stats().refused_handshakes, 1u);
}

TEST_F(HostileClientsTest, WithoutMemoryNoConnectionIsTakenAndThoseThatStandGoOn) {
  start({});
  auto standing = shaken();
  room_for_connection_ = false;
  EXPECT_FALSE(served());
  EXPECT_GE(server_->stats().refused_for_memory, 1u);
  say(standing, "GET / HTTP/1.1\r\nHost: boson.test\r\n\r\n");
  EXPECT_EQ(heard(standing).rfind("HTTP/1.1 200", 0), 0u);
  room_for_connection_ = true;
  EXPECT_TRUE(served());
}

TEST_F(HostileClientsTest, WithoutMemoryARequestThatComesInPartsIsRefusedAndAWholeOneIsNot) {
  start({});
  room_for_request_ = false;
  EXPECT_TRUE(served());
  auto slow = shaken();
  say(slow, "POST / HTTP/1.1\r\nHost: boson.test\r\nContent-Length: 1000\r\n\r\nx");
  const auto answer = heard(slow);
  EXPECT_EQ(answer.rfind("HTTP/1.1 503", 0), 0u) << answer;
  EXPECT_NE(answer.find("Retry-After: 10"), std::string::npos) << answer;
  EXPECT_EQ(server_->stats().refused_for_memory, 1u);
}

TEST_F(HostileClientsTest, WhoDoesNotReadIsGivenUp) {
  // Larger than what the kernels of both sides keep for one connection.
  body_.assign(64 * 1024 * 1024, 'x');
  start({.write = milliseconds(300)});
  auto deaf = shaken();
  say(deaf, "GET / HTTP/1.1\r\nHost: boson.test\r\n\r\n");
  run_until(context_, [&] { return server_->stats().timeouts == 1 && server_->stats().open == 0; });
}

TEST_F(HostileClientsTest, HalfAHandshakeAndHalfARequest) {
  start({.handshake = milliseconds(1500), .header = milliseconds(300)});
  // The start of a ClientHello: a record header that promises 512 bytes, and a few of them.
  connect(1);
  asio::write(silent_[0], asio::buffer(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11)));
  run_until(context_, [&] { return server_->stats().timeouts == 1; });
  // The whole handshake, then silence; and the handshake, then half a head.
  const auto client = *TlsContext::client({.spki_pins = {*spki_pin_of(made_.certificate_pem)}, .ca_file = {}});
  std::vector<TlsStream> streams;
  const std::string host = "boson.test";  // outlives the coroutines
  for (const std::string_view text : {"", "GET / HTTP/1.1\r\nHo"}) {
    tcp::socket socket(context_);
    socket.connect(to_asio(where_));
    streams.emplace_back(std::move(socket), client);
    auto shaking = streams.back().connect(host);
    ASSERT_TRUE(run(context_, std::move(shaking)));
    auto writing = streams.back().write_all(as_bytes(text));
    ASSERT_TRUE(run(context_, std::move(writing)));
  }
  run_until(context_, [&] { return server_->stats().timeouts == 3; });
  // A peer that has gone without a word is cut off like one that is slow.
  streams.back().abort();
  streams.front().abort();
  run_until(context_, [&] { return server_->stats().open == 0; });
  EXPECT_EQ(server_->stats().requests, 0u);
}

TEST_F(HostileClientsTest, OutOfDescriptorsIsAPauseAndNotASpin) {
  start({.handshake = milliseconds(20'000)});
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  tcp::socket client(context_);
  client.open(tcp::v4());
  const int next = ::dup(client.native_handle());  // the lowest number that is free
  ::close(next);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(next);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  client.connect(to_asio(where_));
  run_until(context_, [&] { return server_->stats().accept_errors == 2; });
  const auto begin = std::chrono::steady_clock::now();
  run_until(context_, [&] { return server_->stats().accept_errors == 4; });
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(150));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  run_until(context_, [&] { return server_->stats().open == 1; });
  EXPECT_TRUE(served());
}

TEST(HttpServerThreads, ServesOnSeveralThreadsAtOnce) {
  asio::io_context context;
  auto work = asio::make_work_guard(context);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { context.run(); });
  const auto made = *make_self_signed({"boson.test"}, 30);
  std::atomic<int> handled{0};
  HttpHandlers handlers;
  handlers.request = [&](HttpRequest request) -> asio::awaitable<HttpResponse> {
    ++handled;
    co_return HttpResponse{.status = 200, .headers = {}, .body = request.body};
  };
  HttpServer server(context.get_executor(), *TlsContext::server(made.certificate_pem, made.private_key_pem),
                    std::move(handlers));
  const auto where = *server.listen({kVictimAddress, 0});
  HttpClientOptions options;
  options.trust.spki_pins = {*spki_pin_of(made.certificate_pem)};
  std::vector<std::thread> clients;
  std::atomic<int> good{0};
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      asio::io_context own;
      HttpClient client(own.get_executor(), options);
      for (int i = 0; i < 25; ++i) {
        const std::string body = std::to_string(c) + ":" + std::to_string(i);
        auto asking = client.request("POST", "https://127.0.0.1:" + std::to_string(where.port) + "/", {}, body);
        const auto answer = run(own, std::move(asking));
        if (answer && answer->body == body) ++good;
        if (i % 10 == 9) client.close();
      }
    });
  }
  for (auto& thread : clients) thread.join();
  EXPECT_EQ(good, 100);
  EXPECT_EQ(handled, 100);
  asio::co_spawn(context, server.stop(milliseconds(1000)), asio::use_future).get();
  EXPECT_EQ(server.stats().open, 0u);
  work.reset();
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace higgs::net

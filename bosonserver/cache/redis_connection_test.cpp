// A connection to a real Redis that is killed, paused and wrong, and to one that talks nonsense.
#include "bosonserver/cache/redis_connection.h"

#include <atomic>
#include <future>
#include <thread>

#include <gtest/gtest.h>

#include "bosonserver/cache/testing/fake_redis.h"
#include "bosonserver/cache/testing/redis_server.h"
#include "net/testing/coroutine_test.h"
#include "runtime/log.h"

namespace higgs::boson {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::FakeRedis;
using testing::RedisServer;
using Clock = std::chrono::steady_clock;

constexpr seconds kReplyDeadline{20};

RedisCommand echo(const std::string& text) { return {{"ECHO", text}, is_text_or_nil}; }

/// Polls a condition that other threads bring about.
template <class F>
bool wait_until(F condition) {
  const auto end = Clock::now() + kReplyDeadline;
  while (!condition()) {
    if (Clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

class RedisConnectionTest : public ::testing::Test {
 protected:
  RedisConnectionTest() { runtime::log::set_level(runtime::log::Level::kOff); }
  std::unique_ptr<RedisConnection> connect(const RedisOptions& options) {
    auto connection = std::make_unique<RedisConnection>(options, random_);
    EXPECT_TRUE(connection->wait_connected(kReplyDeadline));
    return connection;
  }
  Result<void> open(const RedisOptions& options) {
    const auto tls = options.url.tls ? net::TlsContext::client(options.trust) : Result<net::TlsContext>(ErrorCode());
    RedisStream stream(io_.get_executor(), options, tls ? &*tls : nullptr);
    auto opening = stream.open();
    return net::testing::run(io_, std::move(opening));
  }
  /// The login is accepted a moment after the start.
  Result<void> open_started(const RedisOptions& options) {
    Result<void> opened = RedisError::kUnavailable;
    wait_until([&] {
      opened = open(options);
      return opened || opened.error() == RedisError::kLogin || opened.error() == net::TlsError::kUntrusted;
    });
    return opened;
  }

  SystemRandom random_;
  boost::asio::io_context io_;
};

TEST_F(RedisConnectionTest, ManyCallsAreUnderWayAtOnceAndAnsweredInOrder) {
  {
    RedisServer server;
    const auto connection = connect(server.options());
    std::vector<RedisCommand> commands;
    for (int i = 0; i < 200; ++i) commands.push_back(echo(std::to_string(i)));
    const auto replies = connection->call_all(commands);
    ASSERT_EQ(replies.size(), commands.size());
    for (int i = 0; i < 200; ++i) EXPECT_EQ(replies[i].value().text, std::to_string(i));
    EXPECT_TRUE(connection->call_all({}).empty());
  }
  auto silent = std::make_unique<FakeRedis>("");
  auto options = silent->options();
  options.command_deadline = std::chrono::hours(1);
  const auto connection = connect(options);
  auto calling = std::async(std::launch::async, [&] {
    return connection->call_all({echo("1"), echo("2"), echo("3")});
  });
  EXPECT_TRUE(wait_until([&] { return connection->stats().commands == 3; })) << "none waits for another's answer";
  silent.reset();
  for (const auto& reply : calling.get()) EXPECT_EQ(reply.error(), RedisError::kUnavailable);
}

TEST_F(RedisConnectionTest, EachThreadGetsItsOwnAnswers) {
  RedisServer server;
  const auto connection = connect(server.options());
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 300; ++i) {
        const auto text = std::to_string(t) + "/" + std::to_string(i);
        const auto reply = connection->call(echo(text));
        if (!reply || reply->text != text) ++wrong;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(connection->stats().commands, 2'400u);
  EXPECT_EQ(connection->stats().failures, 0u);
}

TEST_F(RedisConnectionTest, PipelinedCommandsStayInOrder) {
  RedisServer server;
  const auto connection = connect(server.options());
  std::vector<std::int64_t> seen;
  std::promise<void> all;
  for (int i = 0; i < 2'000; ++i)
    connection->send({{"INCR", "n"}, is_integer}, [&](const Result<RedisReply>& reply) {
      seen.push_back(reply ? reply->integer : -1);
      if (seen.size() == 2'000) all.set_value();
    });
  ASSERT_EQ(all.get_future().wait_for(kReplyDeadline), std::future_status::ready);
  for (std::size_t i = 0; i < seen.size(); ++i) ASSERT_EQ(seen[i], static_cast<std::int64_t>(i + 1));
}

TEST_F(RedisConnectionTest, ErrorsOfRedisAreOfTheirCommandAlone) {
  RedisServer server;
  const auto connection = connect(server.options());
  EXPECT_EQ(connection->call({{"NOSUCHCOMMAND"}, is_status}).error(), RedisError::kRefused);
  EXPECT_EQ(connection->call(echo("still there"))->text, "still there");
  EXPECT_EQ(connection->call(echo(std::string(kMaxRedisCommandBytes, 'x'))).error(), RedisError::kTooLarge);
  EXPECT_EQ(connection->stats().failures, 2u);
  EXPECT_EQ(connection->stats().dropped, 1u);
  EXPECT_EQ(connection->stats().reconnects, 0u);
}

TEST_F(RedisConnectionTest, SelectsItsDatabase) {
  RedisServer server;
  auto options = server.options();
  const auto first = connect(options);
  options.url.database = 5;
  const auto fifth = connect(options);
  ASSERT_TRUE(first->call({{"SET", "k", "v"}, is_status}));
  EXPECT_EQ(fifth->call({{"GET", "k"}, is_text_or_nil})->kind, RedisReply::Kind::kNil);
  options.url.database = 9'999;
  EXPECT_EQ(open_started(options).error(), RedisError::kLogin);
}

TEST_F(RedisConnectionTest, KilledUnderLoadItIsMissedAtOnceAndFoundAgain) {
  RedisServer server;
  const auto connection = connect(server.options());
  std::atomic<bool> over = false;
  std::atomic<int> answered = 0, unavailable = 0;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      while (!over) {
        const auto reply = connection->call(echo("x"));
        ++(reply ? answered : unavailable);
        std::this_thread::yield();
      }
    });
  for (int round = 1; round <= 2; ++round) {
    const int before = answered;
    EXPECT_TRUE(wait_until([&] { return answered > before + 100; }));
    server.kill();
    EXPECT_TRUE(wait_until([&] { return !connection->connected(); }));
    const auto start = Clock::now();
    for (int i = 0; i < 100; ++i) EXPECT_EQ(connection->call(echo("x")).error(), RedisError::kUnavailable);
    EXPECT_LT(Clock::now() - start, server.options().command_deadline) << "together they waited for nothing";
    server.start();
    EXPECT_TRUE(connection->wait_connected(kReplyDeadline));
  }
  const int before = answered;
  EXPECT_TRUE(wait_until([&] { return answered > before; }));
  over = true;
  for (auto& thread : threads) thread.join();
  EXPECT_GT(unavailable, 0);
  EXPECT_EQ(connection->stats().reconnects, 2u);
}

TEST_F(RedisConnectionTest, APausedRedisCostsOneDeadlineOnce) {
  RedisServer server;
  const auto connection = connect(server.options());
  server.pause();
  const auto start = Clock::now();
  std::vector<std::thread> threads;
  threads.reserve(4);
  std::atomic<int> failed = 0;
  for (int t = 0; t < 4; ++t) threads.emplace_back([&] { failed += connection->call(echo("x")) ? 0 : 1; });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failed, 4);
  EXPECT_GE(Clock::now() - start, server.options().command_deadline);
  EXPECT_EQ(connection->stats().timeouts, 1u);
  const auto then = Clock::now();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(connection->call(echo("x")).error(), RedisError::kUnavailable);
  EXPECT_LT(Clock::now() - then, server.options().command_deadline);
  server.resume();
  EXPECT_TRUE(connection->wait_connected(kReplyDeadline));
  EXPECT_EQ(connection->call(echo("again"))->text, "again");
}

TEST_F(RedisConnectionTest, WhatHappensWhileNobodyCallsIsSeenToo) {
  RedisServer server;
  auto options = server.options();
  options.idle_ping = options.command_deadline = milliseconds(100);
  const auto connection = connect(options);
  server.pause();
  EXPECT_TRUE(wait_until([&] { return !connection->connected(); }));
  EXPECT_EQ(connection->stats().commands, 0u);
  server.resume();
  EXPECT_TRUE(connection->wait_connected(kReplyDeadline));
}

TEST_F(RedisConnectionTest, LogsInOrSaysThatItCannot) {
  RedisServer server({.password = "right"});
  EXPECT_TRUE(open_started(server.options()));
  auto options = server.options();
  options.url.password = SecretString("wrong");
  EXPECT_EQ(open(options).error(), RedisError::kLogin);
  options.url.user = "nobody";
  EXPECT_EQ(open(options).error(), RedisError::kLogin);
  options.url.user = "default";
  options.url.password = SecretString("right");
  EXPECT_TRUE(open(options));
  options.url.user = {};
  options.url.password = {};
  EXPECT_EQ(open(options).error(), RedisError::kLogin);
}

TEST_F(RedisConnectionTest, SpeaksTlsToWhomItTrusts) {
  RedisServer server({.password = "right", .tls = true});
  const auto connection = connect(server.options());
  const std::string large(300'000, 'x');
  EXPECT_EQ(connection->call(echo(large))->text, large);
  auto options = server.options();
  options.trust = {};
  EXPECT_EQ(open_started(options).error(), net::TlsError::kUntrusted);
  RedisServer other({.password = "", .tls = true});
  options.trust.ca_file = other.certificate_file();
  EXPECT_EQ(open_started(options).error(), net::TlsError::kUntrusted);
  options.trust.ca_file = "/nonexistent";
  EXPECT_THROW(RedisConnection(options, random_), std::runtime_error);
}

TEST_F(RedisConnectionTest, NonsenseEndsTheConnectionAndNotTheProgram) {
  const std::string nonsense[] = {"HTTP/1.1 400 Bad Request\r\n\r\n", ":1\r\n", "*1\r\n$1\r\nx\r\n",
                                  std::string(4, '\0')};
  for (const auto& text : nonsense) {
    FakeRedis server(text);
    const auto connection = connect(server.options());
    EXPECT_EQ(connection->call(echo("x")).error(), RedisError::kProtocol) << text;
    EXPECT_TRUE(connection->wait_connected(kReplyDeadline)) << "it is tried again";
    EXPECT_TRUE(wait_until([&] { return server.connections() >= 2; }));
  }
}

TEST_F(RedisConnectionTest, AnAnswerThatNobodyAskedForEndsTheConnection) {
  FakeRedis server("$1\r\nx\r\n$1\r\ny\r\n");
  const auto connection = connect(server.options());
  EXPECT_EQ(connection->call(echo("x"))->text, "x");
  EXPECT_TRUE(wait_until([&] { return connection->stats().reconnects == 1; }));
}

TEST_F(RedisConnectionTest, AnAnswerOverTheLimitEndsTheConnection) {
  FakeRedis server("$1000000\r\n" + std::string(10'000, 'x'));
  auto options = server.options();
  options.replies.bytes = 5'000;
  const auto connection = connect(options);
  EXPECT_EQ(connection->call(echo("x")).error(), RedisError::kTooLarge);
  EXPECT_TRUE(wait_until([&] { return connection->stats().reconnects == 1; }));
}

TEST_F(RedisConnectionTest, TheQueueIsBoundedAndEndsWithTheConnection) {
  FakeRedis server("");
  auto options = server.options();
  options.command_deadline = seconds(60);
  auto connection = connect(options);
  std::atomic<std::size_t> full = 0, ended = 0;
  for (std::size_t i = 0; i < kMaxRedisCommands + 10; ++i)
    connection->send(echo("x"), [&](const Result<RedisReply>& reply) {
      if (reply.error() == RedisError::kQueueFull) ++full;
      if (reply.error() == RedisError::kUnavailable) ++ended;
    });
  EXPECT_EQ(full, 10u);
  EXPECT_EQ(connection->stats().dropped, 10u);
  connection.reset();
  EXPECT_EQ(ended, kMaxRedisCommands);
}

TEST_F(RedisConnectionTest, QueuedBytesAreBounded) {
  FakeRedis server("");
  auto options = server.options();
  options.command_deadline = seconds(60);
  const auto connection = connect(options);
  std::atomic<std::size_t> full = 0;
  const auto large = echo(std::string(kMaxRedisCommandBytes / 2, 'x'));
  for (std::size_t i = 0; i < 2 * kMaxRedisQueuedBytes / kMaxRedisCommandBytes + 2; ++i)
    connection->send(large, [&](const Result<RedisReply>& reply) {
      if (reply.error() == RedisError::kQueueFull) ++full;
    });
  EXPECT_GE(full, 1u);
  EXPECT_LE(full, 3u);
}

TEST_F(RedisConnectionTest, EndsWhileItConnectsAndWhileItWaits) {
  RedisServer server;
  server.pause();
  { RedisConnection connecting(server.options(), random_); }
  server.kill();
  const auto start = Clock::now();
  {
    RedisConnection waiting(server.options(), random_);
    EXPECT_FALSE(waiting.wait_connected(milliseconds(200)));
    EXPECT_EQ(waiting.call(echo("x")).error(), RedisError::kUnavailable);
  }
  EXPECT_LT(Clock::now() - start, kReplyDeadline);
}

}  // namespace
}  // namespace higgs::boson

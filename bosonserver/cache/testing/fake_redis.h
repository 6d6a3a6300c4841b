// For tests: a server that is asked for a greeting as Redis would be, and then says whatever a test wants.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "bosonserver/cache/redis_stream.h"

namespace higgs::boson::testing {

class FakeRedis {
 public:
  /// `answer`: to whatever is read at a time after the greeting, which is one PING.
  explicit FakeRedis(std::string answer) : answer_(std::move(answer)) {
    boost::asio::co_spawn(io_, accept(), boost::asio::detached);
    thread_ = std::thread([this] { io_.run(); });
  }
  ~FakeRedis() {
    io_.stop();
    thread_.join();
  }
  RedisOptions options() const {
    return {RedisUrl::parse("redis://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port())).value()};
  }
  int connections() const { return connections_; }

 private:
  using Socket = boost::asio::ip::tcp::socket;

  boost::asio::awaitable<void> accept() {
    for (;;) {
      auto accepting = acceptor_.async_accept(boost::asio::use_awaitable);
      auto socket = std::make_shared<Socket>(co_await std::move(accepting));
      ++connections_;
      boost::asio::co_spawn(io_, talk(socket), boost::asio::detached);
    }
  }
  boost::asio::awaitable<void> talk(std::shared_ptr<Socket> socket) {
    std::string buffer(64 * 1024, '\0');
    constexpr auto kWait = boost::asio::as_tuple(boost::asio::use_awaitable);
    for (bool greeted = false;; greeted = true) {
      const auto [error, size] = co_await socket->async_read_some(boost::asio::buffer(buffer), kWait);
      if (error) co_return;
      const std::string text = greeted ? answer_ : "+PONG\r\n";
      co_await boost::asio::async_write(*socket, boost::asio::buffer(text), kWait);
    }
  }

  const std::string answer_;
  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_{io_,
                                           boost::asio::ip::tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)};
  std::atomic<int> connections_ = 0;
  std::thread thread_;
};

}  // namespace higgs::boson::testing

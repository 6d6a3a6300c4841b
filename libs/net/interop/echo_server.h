// Echoes what WebSocket clients send, over TLS on the loopback.
#pragma once

#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "net/http_server.h"
#include "net/testing/loop_thread.h"
#include "net/websocket_connection.h"

namespace higgs::net::interop {

struct Echo : WebSocketConnection::Handler {
  explicit Echo(UpgradedSocket socket) : connection(WebSocketConnection::Role::kServer, std::move(socket)) {}
  void on_binary(MutableBytes message) override {
    const ByteView part = message;
    connection.send_binary({&part, 1});
  }
  void on_text(std::string_view message) override {
    if (message == "close me")
      connection.close(4001, "replaced");
    else
      connection.send_text(message);
  }
  void on_pong(ByteView) override {}
  void on_writable() override {}
  void on_closed(std::uint16_t code, std::string_view) override { std::cerr << "closed " << code << std::endl; }
  WebSocketConnection connection;
};

/// Until the standard input ends.
inline int serve() {
  namespace asio = boost::asio;
  const auto made = make_self_signed({"localhost"}, 1).value();
  testing::LoopThread loop;
  std::vector<std::unique_ptr<Echo>> echoes;
  HttpHandlers handlers;
  handlers.upgrade = [&](HttpRequest) -> asio::awaitable<UpgradeDecision> {
    UpgradeAccept accept{"echo", [&](UpgradedSocket socket) {
                           auto echo = std::make_unique<Echo>(std::move(socket));
                           loop.call([&] {
                             echo->connection.start(loop.loop(), *echo);
                             echoes.push_back(std::move(echo));
                           });
                         }};
    co_return accept;
  };
  asio::io_context context;
  HttpServer server(context.get_executor(), TlsContext::server(made.certificate_pem, made.private_key_pem).value(),
                    std::move(handlers));
  const auto where = server.listen({IpAddress::v4(0x7f000001), 0}).value();
  std::cout << R"({"port":)" << where.port << R"(,"pin":")" << *spki_pin_of(made.certificate_pem) << "\"}" << std::endl;
  std::thread serving([&] { context.run(); });
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  context.stop();
  serving.join();
  loop.call([&] { echoes.clear(); });
  return 0;
}

}  // namespace higgs::net::interop

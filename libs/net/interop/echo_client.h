// Sends WebSocket messages to a peer that echoes, and checks what comes back.
#pragma once

#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "net/http_client.h"
#include "net/testing/coroutine_test.h"
#include "net/testing/loop_thread.h"
#include "net/websocket_connection.h"

namespace higgs::net::interop {

struct EchoClient : WebSocketConnection::Handler {
  void on_binary(MutableBytes message) override { binary.emplace_back(message.begin(), message.end()); }
  void on_text(std::string_view message) override { text.emplace_back(message); }
  void on_pong(ByteView) override { ++pongs; }
  void on_writable() override {}
  void on_closed(std::uint16_t code, std::string_view) override { close_code = code; }
  std::vector<Bytes> binary;
  std::vector<std::string> text;
  int pongs = 0;
  int close_code = 0;
};

inline int connect(const std::string& url, const std::string& pin) {
  boost::asio::io_context context;
  HttpClientOptions options;
  options.trust.spki_pins = {pin};
  HttpClient http(context.get_executor(), options);
  auto upgrading = http.upgrade(url, {}, "echo");
  auto socket = testing::run(context, std::move(upgrading));
  if (!socket) {
    std::cerr << socket.error().message() << std::endl;
    return 1;
  }
  testing::LoopThread loop;
  EchoClient client;
  auto connection = std::make_unique<WebSocketConnection>(WebSocketConnection::Role::kClient, std::move(*socket));
  std::vector<Bytes> sent;
  for (const std::size_t size : {0, 1, 125, 126, 1500, 65535, 65536}) {
    sent.emplace_back(size);
    for (std::size_t i = 0; i < size; ++i) sent.back()[i] = static_cast<std::byte>(i * 31);
  }
  loop.call([&] {
    connection->start(loop.loop(), client);
    for (const auto& message : sent) {
      const ByteView part = message;
      connection->send_binary({&part, 1});
    }
    connection->send_text("t\xc3\xa9xt");
    connection->send_ping(as_bytes("ping"));
  });
  loop.wait([&] { return client.binary.size() == sent.size() && client.text.size() == 1 && client.pongs == 1; });
  loop.call([&] { connection->close(1000, "done"); });
  loop.wait([&] { return client.close_code != 0; });
  loop.call([&] { connection.reset(); });
  const bool good = client.binary == sent && client.text[0] == "t\xc3\xa9xt" && client.close_code == 1000;
  std::cout << R"({"messages":)" << client.binary.size() << R"(,"close_code":)" << client.close_code << "}"
            << std::endl;
  return good ? 0 : 1;
}

}  // namespace higgs::net::interop

// A relay for two links: the server's part of higgs-relay.1, as far as a device sees it.
#pragma once

#include <memory>

#include "net/testing/loop_thread.h"
#include "net/testing/socket_pair.h"
#include "net/websocket_connection.h"
#include "relay/frame.h"

namespace higgs::tunnel::testing {

/// Passes batches from one link to the other, under the other's channel.
struct LinkRelay {
  struct Side : net::WebSocketConnection::Handler {
    void on_binary(MutableBytes message) override {
      if (!relay::parse_header(message)) return;
      relay::rewrite_channel(message, other->channel);
      const ByteView view = message;
      other->connection->send_binary({&view, 1});
      ++messages;
    }
    void on_text(std::string_view message) override { connection->send_text(message); }
    void on_pong(ByteView) override {}
    void on_writable() override {}
    void on_closed(std::uint16_t, std::string_view) override {}
    relay::Channel channel = 0;
    Side* other = nullptr;
    std::unique_ptr<net::WebSocketConnection> connection;
    int messages = 0;
  };
  LinkRelay() {
    a.other = &b;
    b.other = &a;
    a.channel = 0;
    b.channel = 5;
  }
  ~LinkRelay() {
    thread.call([this] {
      a.connection.reset();
      b.connection.reset();
    });
  }
  net::UpgradedSocket connect(Side& side) {
    auto pair = net::testing::make_socket_pair(true);
    thread.call([&] {
      side.connection = std::make_unique<net::WebSocketConnection>(net::WebSocketConnection::Role::kServer,
                                                                   net::UpgradedSocket{std::move(pair.server), {}});
      side.connection->start(thread.loop(), side);
    });
    return {std::move(pair.client), {}};
  }
  Side a, b;
  net::testing::LoopThread thread;
};

}  // namespace higgs::tunnel::testing

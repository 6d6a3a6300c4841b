// The far end of a relay link, for tests and benchmarks: a client or a node on an event loop.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bosonserver/relay/relay_server.h"
#include "net/testing/loop_thread.h"
#include "net/testing/socket_pair.h"
#include "net/websocket_connection.h"
#include "relay/control.h"
#include "relay/frame.h"

namespace higgs::boson::testing {

template <class Id>
Id make_id(unsigned number) {
  ByteArray<16> bytes{};
  store_be(bytes.data() + 4, number);  // so that nodes of consecutive numbers are at consecutive workers
  return Id(Uuid(bytes));
}

inline relay::SessionTicket make_ticket(unsigned session, unsigned node) {
  relay::SessionTicket ticket;
  ticket.session = make_id<SessionId>(session);
  ticket.node = make_id<NodeId>(node);
  ticket.wireguard_public_key.bytes.fill(std::byte(session));
  ticket.expires_at = WallTime(std::chrono::seconds(4'000'000'000));
  return ticket;
}

/// All members on the loop's thread.
class RelayPeer : public net::WebSocketConnection::Handler {
 public:
  RelayPeer(net::EventLoop& loop, net::TlsSocket socket, net::WebSocketLimits limits = {})
      : connection_(net::WebSocketConnection::Role::kClient, {std::move(socket), {}}, limits) {
    connection_.start(loop, *this);
  }

  bool send(ByteView message) { return connection_.send_binary(std::span(&message, 1)); }
  bool can_send() const { return connection_.can_send(); }
  void say(std::optional<SessionId> session, relay::ControlPayload payload,
           relay::Direction direction = relay::Direction::kToServer) {
    connection_.send_text(relay::encode_control({session, direction, std::move(payload)}));
  }
  void say_text(std::string_view text) { connection_.send_text(text); }
  void close() { connection_.close(1000, ""); }
  void abort() { connection_.abort(); }

  template <class Payload>
  std::optional<Payload> last() const {
    for (auto it = control.rbegin(); it != control.rend(); ++it)
      if (const auto* payload = std::get_if<Payload>(&it->payload)) return *payload;
    return std::nullopt;
  }

  bool answer_opens = false;  ///< as a node does: session-ready for each session-open
  bool keep_messages = true;
  std::vector<Bytes> messages;
  std::vector<relay::ControlMessage> control;
  std::map<SessionId, relay::Channel> channels;  ///< of session-opens
  std::uint64_t packets = 0, bytes = 0;
  std::optional<int> close_code;
  std::function<void()> at_writable, at_message;

 private:
  void on_binary(MutableBytes message) override {
    packets += load_be<std::uint16_t>(message.data() + 2);
    bytes += message.size();
    if (keep_messages) messages.push_back(to_bytes(message));
    if (at_message) at_message();
  }
  void on_text(std::string_view text) override {
    auto message = relay::parse_control(text).value();
    if (const auto* open = std::get_if<relay::SessionOpen>(&message.payload)) {
      channels[*message.session] = open->channel;
      if (answer_opens) say(message.session, relay::SessionReady{open->channel, true});
    }
    control.push_back(std::move(message));
  }
  void on_pong(ByteView) override {}
  void on_writable() override {
    if (at_writable) at_writable();
  }
  void on_closed(std::uint16_t code, std::string_view) override { close_code = code; }

  net::WebSocketConnection connection_;
};

inline std::unique_ptr<RelayPeer> connect_node(RelayServer& server, net::testing::LoopThread& thread, unsigned node,
                                               std::int64_t iat = 100) {
  auto pair = net::testing::make_socket_pair(true);
  server.take_node_link(make_id<NodeId>(node), iat, {std::move(pair.server), {}});
  return thread.call([&] {
    auto peer = std::make_unique<RelayPeer>(thread.loop(), std::move(pair.client));
    peer->answer_opens = true;
    return peer;
  });
}

inline std::unique_ptr<RelayPeer> connect_client(RelayServer& server, net::testing::LoopThread& thread,
                                                 const relay::SessionTicket& ticket, std::int64_t iat = 100,
                                                 net::WebSocketLimits limits = {}) {
  auto pair = net::testing::make_socket_pair(true);
  server.take_client_link(ticket, iat, {std::move(pair.server), {}});
  return thread.call([&] { return std::make_unique<RelayPeer>(thread.loop(), std::move(pair.client), limits); });
}

}  // namespace higgs::boson::testing

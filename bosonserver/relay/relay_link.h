// One WebSocket of the relay and the settings of its TCP socket. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/time.h"
#include "net/event_loop.h"
#include "net/websocket_connection.h"
#include "relay/shard.h"

namespace higgs::boson {

/// What a link tells its worker; the link may not be destroyed inside a call.
class RelayLinkOwner {
 public:
  virtual ~RelayLinkOwner() = default;
  virtual void link_binary(relay::LinkKey link, MutableBytes message) = 0;
  virtual void link_text(relay::LinkKey link, std::string_view text) = 0;
  virtual void link_alive(relay::LinkKey link) = 0;
  virtual void link_writable(relay::LinkKey link) = 0;
  virtual void link_closed(relay::LinkKey link, std::uint16_t code) = 0;
};

class RelayLink : private net::WebSocketConnection::Handler {
 public:
  /// What a link may be asked to keep unsent: the control messages of one end, or of thousands of sessions.
  enum class Use { kPeer, kServers };

  RelayLink(relay::LinkKey key, net::WebSocketConnection::Role role, Use use, net::UpgradedSocket socket,
            RelayLinkOwner& owner);

  void start(net::EventLoop& loop);
  bool can_send() const noexcept { return !closing_ && connection_.can_send(); }
  /// What one session may send in its turn: a millisecond's worth of the link's rate, measured now and then.
  std::size_t quantum(Instant now);
  void send_binary(std::span<const ByteView> parts) { connection_.send_binary(parts); }
  void send_text(std::string_view text) { connection_.send_text(text); }
  void send_ping() { connection_.send_ping({}); }
  void close(relay::CloseCode code, std::string_view reason);

 private:
  void on_binary(MutableBytes message) override { owner_.link_binary(key_, message); }
  void on_text(std::string_view message) override { owner_.link_text(key_, message); }
  void on_pong(ByteView) override { owner_.link_alive(key_); }
  void on_writable() override { owner_.link_writable(key_); }
  void on_closed(std::uint16_t code, std::string_view) override { owner_.link_closed(key_, code); }
  void measure();
  void limit_unsent();

  relay::LinkKey key_;
  RelayLinkOwner& owner_;
  net::WebSocketConnection connection_;
  std::size_t quantum_, unsent_limit_;
  Instant measured_{};
  bool closing_ = false;
};

}  // namespace higgs::boson

// One relay link of a device: batches of WireGuard packets over a WebSocket (proto/relay.md). What is ready within one
// turn of the loop goes in one message; no timer delays a packet. When the connection takes no more, messages wait in a
// fair queue, one flow a channel, under its limits. Liveness is kept here.
//
// Threads: the loop's.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "net/event_loop.h"
#include "net/websocket_connection.h"
#include "relay/fair_queue.h"
#include "relay/frame.h"
#include "relay/liveness.h"
#include "tunnel/tunnel_driver.h"

namespace higgs::tunnel {

/// Who owns the links. It may not destroy a link inside a call, but later in the turn.
class RelayLinkOwner {
 public:
  virtual ~RelayLinkOwner() = default;
  /// Packets as received, to be changed in place; gone after the return.
  virtual void on_link_packets(LinkId link, relay::Channel channel, std::span<const MutableBytes> packets) = 0;
  virtual void on_link_text(LinkId link, std::string_view text) = 0;
  virtual void on_link_doubtful(LinkId link) = 0;
  /// Last call, at most once.
  virtual void on_link_ended(LinkId link, std::uint16_t code, std::string_view reason) = 0;
};

class RelayLink : private net::WebSocketConnection::Handler {
 public:
  RelayLink(LinkId id, net::UpgradedSocket socket, net::EventLoop& loop, RelayLinkOwner& owner);
  ~RelayLink() override;

  /// Gathers packets for a channel. What is over a limit is dropped and counted.
  void send(relay::Channel channel, std::span<const ByteView> packets);
  bool send_text(std::string_view text);
  /// Says goodbye; on_link_ended follows.
  void close(std::uint16_t code, std::string_view reason);
  bool ended() const noexcept { return ended_; }
  LinkStatus status() const;

 private:
  void on_binary(MutableBytes message) override;
  void on_text(std::string_view message) override;
  void on_pong(ByteView payload) override;
  void on_writable() override;
  void on_closed(std::uint16_t code, std::string_view reason) override;

  void ship();
  void drain();
  void note_received();
  void note_sent();
  void arm_liveness();
  void check_liveness();
  void end(std::uint16_t code, std::string_view reason);
  std::size_t quantum();
  void measure();

  LinkId id_;
  net::EventLoop& loop_;
  RelayLinkOwner& owner_;
  Bytes buffer_;
  relay::BatchBuilder building_;
  relay::Channel building_channel_ = 0;
  relay::QueueContext context_;
  relay::FairQueue queue_;
  relay::Liveness liveness_;
  std::optional<net::EventLoop::TimerId> liveness_timer_;
  Instant armed_for_{};
  Instant last_received_{};
  std::uint64_t end_of_turn_;
  std::size_t quantum_ = relay::kMaxQuantumBytes;
  Instant measured_{};
  LinkStatus status_;
  std::uint64_t refused_ = 0;  ///< packets that no message can hold, or that came after the end
  bool ended_ = false;
  net::WebSocketConnection connection_;
};

}  // namespace higgs::tunnel

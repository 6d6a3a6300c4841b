// What is behind WebSocketConnection: the state of the connection and its two buffers.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "net/chunk_pool.h"
#include "net/flush_list.h"
#include "net/send_queue.h"
#include "net/websocket_connection.h"
#include "net/websocket_reader.h"

namespace higgs::net {

class WebSocketConnection::Impl : public Flushable {
 public:
  Impl(Role r, UpgradedSocket s, WebSocketLimits l);
  ~Impl() override;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void start(EventLoop& loop, Handler& handler, FdHandler& events);
  void on_events(std::uint32_t events);
  void flush() override;

  bool send(WebSocketOpcode opcode, std::span<const ByteView> parts, std::size_t limit);
  void close(std::uint16_t code, std::string_view reason);
  void end() noexcept;
  void set_low_water(std::size_t bytes) noexcept;

  enum class State {
    kIdle,  ///< not started
    kOpen,
    kClosing,   ///< our close frame is on its way, the peer's has not come
    kLastWord,  ///< nothing is read any more as messages; what is queued goes out, then the end
    kDone,
  };
  State state = State::kIdle;
  TlsSocket socket;
  WebSocketLimits limits;
  WebSocketStats stats;
  SendQueue unsent;

 private:
  /// Told when the connection is destroyed under the feet of a function that called the handler.
  class Watch;

  void read_ready();
  void read_soon();
  bool read_once(std::size_t& budget);
  void append_received(Bytes& earlier);
  void discard_input();
  bool deliver_all();
  bool deliver(const WebSocketReader::Item& item);
  void put_away();
  void answer_ping(ByteView payload);
  void on_close_frame(const WebSocketReader::Item& item);
  void fail(std::uint16_t code, std::string_view reason);
  void last_word(std::uint16_t code, std::string_view reason, bool wait_for_peer);
  void send_close(std::uint16_t code, std::string_view reason);
  void finish(std::uint16_t code, std::string reason);
  void write_failed();
  void arm(bool writable);
  void linger();
  MaskKey fresh_mask() noexcept;

  Role role_;
  Bytes leftover_;
  WebSocketReader reader_;
  EventLoop* loop_ = nullptr;
  Handler* handler_ = nullptr;
  FdHandler* events_ = nullptr;
  std::shared_ptr<FlushList> flush_list_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
  bool* destroyed_ = nullptr;

  Chunk received_;  // held only while a frame is incomplete
  Bytes stash_;     // a short start of a frame, between reads
  std::optional<std::pair<ByteArray<kControlPayloadBytes>, std::size_t>> late_pong_;
  bool reading_ = false;
  bool armed_ = false;        // EPOLLOUT is asked for
  bool over_limit_ = false;   // can_send() was false
  bool half_closed_ = false;  // our direction is shut down
  bool wait_for_peer_ = false;
  std::uint16_t final_code_ = 1006;
  std::string final_reason_;
  EventLoop::TimerId linger_timer_ = 0;
};

}  // namespace higgs::net

// A WebSocket (RFC 6455) after its opening handshake, driven by an EventLoop, with our own framing on the TLS socket:
// messages of whole relay batches, unmasked in place, gathered into full TLS records, never buffered without a limit.
//
// No extension is spoken: batches are ciphertext, which does not compress, and control messages are small.
//
// Threads: the loop's thread only, but for the constructor. Lifetime: the owner may destroy it inside any callback but
// on_binary and on_text. The loop outlives it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "net/event_loop.h"
#include "net/tls_stream.h"

namespace higgs::net {

/// What an upgrade yields: the socket, and bytes that were read behind the HTTP head.
struct UpgradedSocket {
  TlsSocket socket;
  Bytes leftover;
};

struct WebSocketLimits {
  std::size_t message_bytes = 64 * 1024;  ///< larger: closed with 1009
  std::size_t text_bytes = 16 * 1024;
  /// Above this much unsent, can_send() is false and on_writable() follows when it is below again.
  std::size_t unsent_bytes = 128 * 1024;
  /// Unsent above this (control that cannot be refused): the connection is closed.
  std::size_t unsent_hard_bytes = 1024 * 1024;
  /// From our close frame, or a fault of the peer's, to the end of the connection.
  std::chrono::milliseconds linger{2000};
  /// TCP_NOTSENT_LOWAT: what the kernel holds unsent. Little, so that queues stand where they can be managed.
  std::size_t notsent_low_water_bytes = 16 * 1024;
};

struct WebSocketStats {
  std::uint64_t received_messages = 0, received_bytes = 0, sent_messages = 0, sent_bytes = 0;
  std::uint64_t refused_sends = 0;  ///< messages that unsent_hard_bytes kept out
  Instant last_received{};          ///< any byte of the peer's
};

class WebSocketConnection : private FdHandler {
 public:
  enum class Role { kClient, kServer };  ///< a client masks what it sends, a server demands masks

  class Handler {
   public:
    virtual ~Handler() = default;
    /// The whole message; the bytes may be changed in place and are gone after the return.
    virtual void on_binary(MutableBytes message) = 0;
    virtual void on_text(std::string_view message) = 0;
    virtual void on_pong(ByteView payload) = 0;
    /// can_send() has become true again.
    virtual void on_writable() = 0;
    /// Last call, at most once. `code` as RFC 6455 7.4; 1006 where the connection just ended.
    virtual void on_closed(std::uint16_t code, std::string_view reason) = 0;
  };

  WebSocketConnection(Role role, UpgradedSocket socket, WebSocketLimits limits = {});
  ~WebSocketConnection() override;

  /// From here on the loop drives it.
  void start(EventLoop& loop, Handler& handler);

  bool can_send() const noexcept;
  std::size_t unsent_bytes() const noexcept;
  /// Copies the parts, as one binary message, behind what is unsent; flushed at the end of the loop's turn.
  /// False (and nothing queued) if closed or over unsent_hard_bytes.
  bool send_binary(std::span<const ByteView> parts);
  /// False if closed; over unsent_hard_bytes the connection is closed with 1008, and on_closed follows.
  bool send_text(std::string_view message);
  /// At most 125 bytes.
  bool send_ping(ByteView payload);
  /// Sends a close frame, then ends; on_closed follows at the latest after `linger`.
  void close(std::uint16_t code, std::string_view reason);
  /// Ends now, without on_closed.
  void abort() noexcept;

  const WebSocketStats& stats() const noexcept;
  Endpoint remote() const;
  /// -1 once closed.
  int fd() const noexcept;
  /// Limits::notsent_low_water_bytes from now on.
  void set_notsent_low_water(std::size_t bytes) noexcept;
  /// Limits::unsent_bytes from now on; more than unsent_bytes() is now, or on_writable() might not follow.
  void set_unsent_limit(std::size_t bytes) noexcept;

 private:
  void on_events(std::uint32_t events) override;
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::net

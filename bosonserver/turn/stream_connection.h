// One TCP or TLS connection of a TURN client: cuts the stream into messages, and sends what fits. On the loop's thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/time.h"
#include "net/event_loop.h"
#include "net/tls_stream.h"
#include "turn/turn_server.h"

namespace higgs::boson {

class StreamConnection final : private net::FdHandler {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    /// A whole message, in a buffer that is good until the return. False: not one of ours; the connection ends.
    virtual bool connection_message(const turn::FiveTuple& client, ByteView message) = 0;
    /// Once. To be destroyed later, not inside this call.
    virtual void connection_ended(const turn::FiveTuple& client) = 0;
    /// More waits inside the TLS session: on_readable() is to be called soon, though the descriptor says nothing.
    virtual void connection_has_more(const turn::FiveTuple& client) = 0;
  };

  StreamConnection(net::TlsSocket socket, const turn::FiveTuple& client, net::EventLoop& loop, Owner& owner);
  ~StreamConnection() override;

  void on_readable();
  /// Whole or not at all: false and dropped where what waits already is too much.
  bool send(ByteView message);
  bool ended() const noexcept { return ended_; }
  void end();

  Instant idle_since{};  ///< for the owner: when it last had an allocation

 private:
  void on_events(std::uint32_t events) override;
  void take(ByteView bytes);
  bool cut(ByteView& bytes);
  void flush();
  void watch();

  net::TlsSocket socket_;
  const turn::FiveTuple client_;
  net::EventLoop& loop_;
  Owner& owner_;
  Bytes input_;   ///< the beginning of a message
  Bytes output_;  ///< what the socket has not taken yet
  std::uint32_t watched_ = 0;
  bool read_wants_write_ = false;
  bool ended_ = false;
};

}  // namespace higgs::boson

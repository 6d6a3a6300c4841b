// Messages of RFC 6455 from a peer's bytes: frames put together, unmasked in place, within limits. Pure.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "net/websocket_frame.h"

namespace higgs::net {

struct WebSocketReaderLimits {
  std::size_t message_bytes = 64 * 1024;
  std::size_t text_bytes = 16 * 1024;
};

class WebSocketReader {
 public:
  enum class Event {
    kNeedMore,  ///< the buffer must reach wanted() first
    kSkipped,   ///< a fragment was taken: call again
    kBinary,
    kText,
    kPing,
    kPong,
    kClose,  ///< `code` (1005: none was given) and the reason as payload
    kFault,  ///< `code` to close with; nothing can be read any more
  };
  struct Item {
    Event event = Event::kNeedMore;
    MutableBytes payload;  ///< in the caller's buffer, or in here until the next call
    std::uint16_t code = 0;
    std::size_t used = 0;  ///< bytes of the buffer that are done with once the payload is
  };

  /// `masked`: the peer is a client.
  WebSocketReader(bool masked, WebSocketReaderLimits limits) noexcept : masked_(masked), limits_(limits) {}

  /// Takes at most one frame from the front of what has been received, which it may change.
  Item next(MutableBytes received);
  /// After kNeedMore: bytes from the front of the next frame on that will surely get it further.
  std::size_t wanted() const noexcept { return wanted_; }
  /// The most that wanted() can be.
  std::size_t most_wanted() const noexcept { return limits_.message_bytes + kFrameHeaderBytes; }

 private:
  Item fault(WebSocketFault why) noexcept;
  Item take_control(const FrameHeader& header, MutableBytes payload);
  Item take_data(const FrameHeader& header, MutableBytes payload);
  bool fits(const FrameHeader& header) const noexcept;

  bool masked_;
  WebSocketReaderLimits limits_;
  std::size_t wanted_ = 2;
  bool failed_ = false;
  bool in_message_ = false;  // a first fragment came, the final one did not
  bool whole_ = false;       // assembled_ was handed out
  bool text_ = false;
  Bytes assembled_;
};

}  // namespace higgs::net

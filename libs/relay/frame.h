// The binary messages of higgs-relay.1 (proto/relay.md): batches of WireGuard packets for one session.
//
//    0               1               2               3
//   +---------------+---------------+-------------------------------+
//   | ver=1 | type  |    flags      |        packet count (BE)      |
//   +---------------+---------------+-------------------------------+
//   |                   channel (BE; 0 on a client link)            |
//   +---------------------------------------------------------------+
//   | length (BE)   | packet …      | length | packet …             |
//
// Pure functions over the caller's bytes; nothing is owned, nothing throws, no assertion on what was received.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"

namespace higgs::relay {

enum class FrameError {
  kTooShort = 1,  ///< shorter than the header, or than its packet count needs
  kTooLong,       ///< over kMaxMessageBytes
  kBadVersion,
  kBadType,
  kBadFlags,
  kBadCount,   ///< no packet, or over kMaxPackets
  kBadLength,  ///< a packet's length is zero, over kMaxPacketBytes, or runs past the end; or bytes are left over
};

// Of the wire format.
inline constexpr std::string_view kSubprotocol = "higgs-relay.1";
inline constexpr std::string_view kCascadeSubprotocol = "higgs-cascade.1";
inline constexpr unsigned kVersion = 1;
inline constexpr unsigned kTypeData = 0;
inline constexpr std::size_t kHeaderBytes = 8;
inline constexpr std::size_t kLengthBytes = 2;
inline constexpr std::size_t kMaxPackets = 64;
inline constexpr std::size_t kMaxMessageBytes = 65536;
inline constexpr std::size_t kMaxPacketBytes = 65475;
inline constexpr std::size_t kMaxTextBytes = 16 * 1024;

/// A channel of a link: 0 on a client's, from 1 on a node's and between servers, never reused there.
using Channel = std::uint32_t;

struct FrameHeader {
  std::uint16_t packet_count = 0;
  Channel channel = 0;
};

/// Checks the message's size and its header, not the lengths behind it: what a server needs to pass it on.
Result<FrameHeader> parse_header(ByteView message) noexcept;
/// `message` must have a header (it was parsed).
void rewrite_channel(MutableBytes message, Channel channel) noexcept;
ByteArray<kHeaderBytes> encode_header(FrameHeader header) noexcept;
inline ByteArray<kLengthBytes> encode_length(std::size_t packet_bytes) noexcept {
  ByteArray<kLengthBytes> out;
  store_be(out.data(), static_cast<std::uint16_t>(packet_bytes));
  return out;
}

/// A message whose every length was checked: what an endpoint delivers from. The packets may be changed in place.
struct Batch {
  Channel channel = 0;
  std::size_t count = 0;
  std::array<MutableBytes, kMaxPackets> packets;

  std::span<MutableBytes> all() noexcept { return std::span(packets).first(count); }
};
/// All or nothing: on an error `out` is unspecified and no packet of the message may be used.
Result<void> parse_batch(MutableBytes message, Batch& out) noexcept;

/// Builds one message in the caller's buffer, which should have kMaxMessageBytes (what exceeds that is not used).
class BatchBuilder {
 public:
  explicit BatchBuilder(MutableBytes buffer) noexcept;

  /// False if the packet does not fit any more (or never does: empty, or over kMaxPacketBytes).
  bool append(ByteView packet) noexcept;
  bool fits(std::size_t packet_bytes) const noexcept;
  std::size_t count() const noexcept { return count_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return count_ == 0; }
  /// Writes the header; the message, valid as long as the buffer. At least one packet must have been appended.
  MutableBytes finish(Channel channel) noexcept;
  void clear() noexcept;

 private:
  MutableBytes buffer_;
  std::size_t size_ = kHeaderBytes;
  std::size_t count_ = 0;
};

/// Walks packet records ([length][packet] …) from the front: for dropping and splitting.
/// The bytes of the first record, or 0 if it is not whole or its length is bad.
std::size_t first_record_bytes(ByteView records) noexcept;

}  // namespace higgs::relay

HIGGS_ERROR_ENUM(higgs::relay, FrameError)

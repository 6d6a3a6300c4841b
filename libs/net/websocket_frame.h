// Frames of RFC 6455, section 5. Pure.
//
//  0               1               2               3
// +-+-+-+-+-------+-+-------------+-------------------------------+
// |F|R|R|R| opcode|M| length (7)  | length, if 126 (16) or 127    |
// |I|S|S|S|  (4)  |A|             | (64), big-endian, in the      |
// |N|V|V|V|       |S|             | shortest form that holds it   |
// | |1|2|3|       |K|             |                               |
// +-+-+-+-+-------+-+-------------+-------------------------------+
// | masking key, if MASK is set   | payload …                     |
// +-------------------------------+-------------------------------+
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace higgs::net {

enum class WebSocketOpcode : std::uint8_t {
  kContinuation = 0x0,
  kText = 0x1,
  kBinary = 0x2,
  kClose = 0x8,
  kPing = 0x9,
  kPong = 0xa,
};

/// Why a peer's bytes end the connection; the values are the close codes of RFC 6455, 7.4.1.
enum class WebSocketFault { kProtocol = 1002, kBadText = 1007, kTooLarge = 1009 };

// RFC 6455, 5.5: "All control frames MUST have a payload length of 125 bytes or less".
inline constexpr std::size_t kControlPayloadBytes = 125;
inline constexpr std::size_t kFrameHeaderBytes = 14;

using MaskKey = ByteArray<4>;

struct FrameHeader {
  WebSocketOpcode opcode{};
  bool final = false;
  std::optional<MaskKey> mask;
  std::uint64_t payload_bytes = 0;
  std::size_t header_bytes = 0;
  bool is_control() const noexcept { return static_cast<std::uint8_t>(opcode) >= 8; }
};

/// nullopt: the header is not whole yet. `masked`: whether the sender must mask (a client must, a server must not).
Result<std::optional<FrameHeader>> parse_frame_header(ByteView bytes, bool masked) noexcept;
/// Writes the header of a final frame; room for kFrameHeaderBytes. Returns its size.
std::size_t write_frame_header(std::byte* out, WebSocketOpcode opcode, std::size_t payload_bytes,
                               const std::optional<MaskKey>& mask) noexcept;

/// RFC 6455, 5.3. `offset`: where in the payload these bytes stand.
void apply_mask(MutableBytes bytes, const MaskKey& key, std::size_t offset = 0) noexcept;
/// The same while copying; `out` has room for all of `in` and does not overlap it.
void copy_masked(std::byte* out, ByteView in, const MaskKey& key, std::size_t offset = 0) noexcept;

/// RFC 3629: no overlong forms, surrogates, or values above U+10FFFF.
bool is_utf8(ByteView bytes) noexcept;
/// Whether a close frame may carry this code (RFC 6455, 7.4; IANA's registry up to 1014).
bool is_close_code(std::uint16_t code) noexcept;
/// The longest start of `reason` that fits a close frame and ends at a character.
std::string_view fitting_reason(std::string_view reason) noexcept;

}  // namespace higgs::net

HIGGS_ERROR_ENUM(higgs::net, WebSocketFault)

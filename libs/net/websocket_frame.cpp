#include "net/websocket_frame.h"

#include <cstring>

HIGGS_ERROR_CATEGORY(higgs::net, WebSocketFault, "net.websocket") {
  switch (error) {
    case WebSocketFault::kProtocol:
      return "WebSocket protocol violation";
    case WebSocketFault::kBadText:
      return "text that is not UTF-8";
    case WebSocketFault::kTooLarge:
      return "message too large";
  }
  return "unknown WebSocket fault";
}

namespace higgs::net {

namespace {

constexpr std::uint8_t kFinal = 0x80;
constexpr std::uint8_t kReserved = 0x70;
constexpr std::uint8_t kOpcode = 0x0f;
constexpr std::uint8_t kMasked = 0x80;
constexpr std::uint8_t kLength = 0x7f;
constexpr std::uint8_t kLength16 = 126;
constexpr std::uint8_t kLength64 = 127;

/// 32 bytes at a time: the compiler makes of it what the processor has.
using Wide = std::uint64_t __attribute__((vector_size(32)));

bool known(WebSocketOpcode opcode) noexcept {
  const auto value = static_cast<std::uint8_t>(opcode);
  return value <= 0x2 || (value >= 0x8 && value <= 0xa);
}

MaskKey rotated(const MaskKey& key, std::size_t offset) noexcept {
  return {key[offset % 4], key[(offset + 1) % 4], key[(offset + 2) % 4], key[(offset + 3) % 4]};
}

}  // namespace

Result<std::optional<FrameHeader>> parse_frame_header(ByteView bytes, bool masked) noexcept {
  if (bytes.size() < 2) return std::optional<FrameHeader>();
  const auto first = std::to_integer<std::uint8_t>(bytes[0]);
  const auto second = std::to_integer<std::uint8_t>(bytes[1]);
  FrameHeader header;
  header.opcode = static_cast<WebSocketOpcode>(first & kOpcode);
  header.final = (first & kFinal) != 0;
  // Reserved bits belong to extensions, and none was agreed on.
  if ((first & kReserved) != 0 || !known(header.opcode)) return WebSocketFault::kProtocol;
  if (((second & kMasked) != 0) != masked) return WebSocketFault::kProtocol;
  const std::uint8_t length = second & kLength;
  if (header.is_control() && (!header.final || length > kControlPayloadBytes)) return WebSocketFault::kProtocol;

  const std::size_t length_bytes = length == kLength16 ? 2 : length == kLength64 ? 8 : 0;
  header.header_bytes = 2 + length_bytes + (masked ? 4 : 0);
  if (bytes.size() < header.header_bytes) return std::optional<FrameHeader>();
  header.payload_bytes = length;
  // RFC 6455, 5.2: "the minimal number of bytes MUST be used to encode the length", and of 64 bits "the most
  // significant bit MUST be 0".
  if (length == kLength16) {
    header.payload_bytes = load_be<std::uint16_t>(bytes.data() + 2);
    if (header.payload_bytes < kLength16) return WebSocketFault::kProtocol;
  } else if (length == kLength64) {
    header.payload_bytes = load_be<std::uint64_t>(bytes.data() + 2);
    if (header.payload_bytes <= 0xffff || (header.payload_bytes >> 63) != 0) return WebSocketFault::kProtocol;
  }
  if (masked) {
    MaskKey key;
    std::memcpy(key.data(), bytes.data() + 2 + length_bytes, key.size());
    header.mask = key;
  }
  return std::optional<FrameHeader>(header);
}

std::size_t write_frame_header(std::byte* out, WebSocketOpcode opcode, std::size_t payload_bytes,
                               const std::optional<MaskKey>& mask) noexcept {
  const std::uint8_t masked = mask ? kMasked : 0;
  std::size_t size = 2;
  out[0] = static_cast<std::byte>(kFinal | static_cast<std::uint8_t>(opcode));
  if (payload_bytes < kLength16) {
    out[1] = static_cast<std::byte>(masked | payload_bytes);
  } else if (payload_bytes <= 0xffff) {
    out[1] = static_cast<std::byte>(masked | kLength16);
    store_be(out + 2, static_cast<std::uint16_t>(payload_bytes));
    size += 2;
  } else {
    out[1] = static_cast<std::byte>(masked | kLength64);
    store_be(out + 2, static_cast<std::uint64_t>(payload_bytes));
    size += 8;
  }
  if (!mask) return size;
  std::memcpy(out + size, mask->data(), mask->size());
  return size + mask->size();
}

void copy_masked(std::byte* out, ByteView in, const MaskKey& key, std::size_t offset) noexcept {
  const MaskKey turned = rotated(key, offset);
  std::uint32_t word = 0;
  std::memcpy(&word, turned.data(), sizeof(word));
  const std::uint64_t twice = std::uint64_t{word} << 32 | word;
  const Wide wide_key = {twice, twice, twice, twice};
  const std::size_t wide_bytes = in.size() / sizeof(Wide) * sizeof(Wide);
  for (std::size_t i = 0; i < wide_bytes; i += sizeof(Wide)) {
    Wide value;
    std::memcpy(&value, in.data() + i, sizeof(value));
    value ^= wide_key;
    std::memcpy(out + i, &value, sizeof(value));
  }
  for (std::size_t i = wide_bytes; i < in.size(); ++i) out[i] = in[i] ^ turned[i % 4];
}

void apply_mask(MutableBytes bytes, const MaskKey& key, std::size_t offset) noexcept {
  copy_masked(bytes.data(), bytes, key, offset);  // in place: each word is read before it is written
}

bool is_utf8(ByteView bytes) noexcept {
  const auto* p = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const auto* const end = p + bytes.size();
  while (p < end) {
    if (end - p >= 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, p, sizeof(word));
      if ((word & 0x8080808080808080U) == 0) {
        p += 8;
        continue;
      }
    }
    const std::uint8_t lead = *p++;
    if (lead < 0x80) continue;
    // RFC 3629, 4: the second byte's range depends on the first.
    std::uint8_t low = 0x80;
    std::uint8_t high = 0xbf;
    int more = 0;
    if (lead >= 0xc2 && lead <= 0xdf) {
      more = 1;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      more = 2;
      if (lead == 0xe0) low = 0xa0;
      if (lead == 0xed) high = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      more = 3;
      if (lead == 0xf0) low = 0x90;
      if (lead == 0xf4) high = 0x8f;
    } else {
      return false;
    }
    for (; more > 0; --more, low = 0x80, high = 0xbf) {
      if (p == end || *p < low || *p > high) return false;
      ++p;
    }
  }
  return true;
}

bool is_close_code(std::uint16_t code) noexcept {
  // 1004 is reserved, 1005 and 1006 and 1015 only ever name what was not sent.
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

std::string_view fitting_reason(std::string_view reason) noexcept {
  std::size_t size = std::min(reason.size(), kControlPayloadBytes - 2);
  while (size > 0 && size < reason.size() && (static_cast<std::uint8_t>(reason[size]) & 0xc0) == 0x80) --size;
  return reason.substr(0, size);
}

}  // namespace higgs::net

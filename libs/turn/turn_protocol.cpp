#include "turn/turn_protocol.h"

#include "stun/message.h"
#include "turn/turn_server.h"

namespace higgs::turn {

namespace {
constexpr std::size_t kDataHeaderBytes = 4;
constexpr std::size_t padded(std::size_t bytes) noexcept { return (bytes + 3) & ~std::size_t{3}; }
}  // namespace

std::string_view reason_of(ErrorNumber error) noexcept {
  switch (error) {
    case ErrorNumber::kBadRequest:
      return "Bad Request";
    case ErrorNumber::kUnauthorized:
      return "Unauthorized";
    case ErrorNumber::kForbidden:
      return "Forbidden";
    case ErrorNumber::kUnknownAttribute:
      return "Unknown Attribute";
    case ErrorNumber::kAllocationMismatch:
      return "Allocation Mismatch";
    case ErrorNumber::kStaleNonce:
      return "Stale Nonce";
    case ErrorNumber::kFamilyNotSupported:
      return "Address Family not Supported";
    case ErrorNumber::kWrongCredentials:
      return "Wrong Credentials";
    case ErrorNumber::kUnsupportedTransport:
      return "Unsupported Transport Protocol";
    case ErrorNumber::kPeerFamilyMismatch:
      return "Peer Address Family Mismatch";
    case ErrorNumber::kQuotaReached:
      return "Allocation Quota Reached";
    case ErrorNumber::kInsufficientCapacity:
      return "Insufficient Capacity";
  }
  return "";
}

std::optional<ChannelData> read_channel_data(ByteView message) noexcept {
  if (message.size() < kDataHeaderBytes || (message[0] & std::byte{0xC0}) != std::byte{0x40}) return std::nullopt;
  const std::size_t length = load_be<std::uint16_t>(message.data() + 2);
  if (length > message.size() - kDataHeaderBytes) return std::nullopt;
  return ChannelData{load_be<std::uint16_t>(message.data()), message.subspan(kDataHeaderBytes, length)};
}

std::optional<std::size_t> stream_message_bytes(ByteView buffered) noexcept {
  if (buffered.empty()) return 0;
  const auto kind = buffered[0] & std::byte{0xC0};
  if (kind != std::byte{0} && kind != std::byte{0x40}) return std::nullopt;
  if (buffered.size() < kDataHeaderBytes) return 0;
  const std::size_t length = load_be<std::uint16_t>(buffered.data() + 2);
  if (kind == std::byte{0x40}) return kDataHeaderBytes + padded(length);
  if (length % 4 != 0) return std::nullopt;
  // Rubbish is told from STUN as soon as the cookie is there.
  if (buffered.size() >= 8 && load_be<std::uint32_t>(buffered.data() + 4) != stun::kMagicCookie) return std::nullopt;
  return stun::kHeaderBytes + length;
}

}  // namespace higgs::turn

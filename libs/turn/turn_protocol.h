// What RFC 8656 adds to the messages of STUN: error codes and ChannelData. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace higgs::turn {

// RFC 8656, section 18.8: the protocol number of UDP.
inline constexpr std::byte kUdpProtocol{17};
// RFC 8656, section 18.6.
inline constexpr std::byte kIpv4Family{0x01}, kIpv6Family{0x02};

// RFC 8656, section 12: "The channel number is in the range 0x4000 through 0x4FFF (inclusive)".
inline constexpr std::uint16_t kFirstChannel = 0x4000, kLastChannel = 0x4FFF;
// So that DTLS may share the port. Clients of RFC 5766, coturn's tools among them, use all up to 0x7FFF (section 11
// there); there is no DTLS on our ports, so they are served.
inline constexpr std::uint16_t kLastChannelServed = 0x7FFF;

// RFC 8489, section 14.8, and RFC 8656, section 19.
enum class ErrorNumber : std::uint16_t {
  kBadRequest = 400,
  kUnauthorized = 401,
  kForbidden = 403,
  kUnknownAttribute = 420,
  kAllocationMismatch = 437,
  kStaleNonce = 438,
  kFamilyNotSupported = 440,
  kWrongCredentials = 441,
  kUnsupportedTransport = 442,
  kPeerFamilyMismatch = 443,
  kQuotaReached = 486,
  kInsufficientCapacity = 508,
};
std::string_view reason_of(ErrorNumber error) noexcept;

//   0                   1                   2                   3
//   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//  |         Channel Number        |            Length             |
//  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//  | application data, over a stream padded to 4 bytes             |
// RFC 8656, section 12.4.
struct ChannelData {
  std::uint16_t channel = 0;
  ByteView data;
};
/// nullopt: the first two bits are not 01, or the length runs past the end. Over UDP padding is allowed and ignored.
std::optional<ChannelData> read_channel_data(ByteView message) noexcept;

}  // namespace higgs::turn

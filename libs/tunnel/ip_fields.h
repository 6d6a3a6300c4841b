// Where the fields of IPv4 (RFC 791), IPv6 (RFC 8200), TCP (RFC 9293) and UDP (RFC 768) headers are.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace higgs::tunnel::ip {

inline constexpr std::size_t kV4Header = 20, kV4TotalLength = 2, kV4Id = 4, kV4Fragment = 6, kV4Protocol = 9,
                             kV4Checksum = 10, kV4Addresses = 12, kV4AddressesSize = 8;
inline constexpr std::size_t kV6Header = 40, kV6PayloadLength = 4, kV6NextHeader = 6, kV6Addresses = 8,
                             kV6AddressesSize = 32;
inline constexpr std::uint16_t kV4DontFragment = 0x4000;
inline constexpr std::uint8_t kTcp = 6, kUdp = 17;
inline constexpr std::size_t kTcpHeader = 20, kTcpSequence = 4, kTcpDataOffset = 12, kTcpFlags = 13, kTcpChecksum = 16;
inline constexpr std::size_t kUdpHeader = 8, kUdpLength = 4, kUdpChecksum = 6;
inline constexpr std::byte kFin{0x01}, kPsh{0x08}, kAck{0x10}, kCwr{0x80};

inline unsigned version(ByteView packet) noexcept {
  return packet.empty() ? 0 : std::to_integer<unsigned>(packet[0] >> 4);
}
inline std::size_t v4_header_length(const std::byte* packet) noexcept {
  return (std::to_integer<std::size_t>(packet[0]) & 0x0f) * 4;
}
inline std::size_t tcp_header_length(const std::byte* tcp) noexcept {
  return (std::to_integer<std::size_t>(tcp[kTcpDataOffset]) >> 4) * 4;
}
inline ByteView addresses(ByteView packet, bool v6) noexcept {
  return v6 ? packet.subspan(kV6Addresses, kV6AddressesSize) : packet.subspan(kV4Addresses, kV4AddressesSize);
}

}  // namespace higgs::tunnel::ip

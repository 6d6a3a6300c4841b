// What the engine reads of an IP packet inside the tunnel: which addresses, and where it ends.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace higgs::wireguard {

struct InnerPacket {
  const std::byte* source;
  const std::byte* destination;
  std::uint32_t length;  ///< by the IP header; the rest is padding
  bool v4;
};

/// nullopt unless it is IPv4 (RFC 791) or IPv6 (RFC 8200) and as long as its header says.
inline std::optional<InnerPacket> parse_inner_packet(const std::byte* data, std::uint32_t size) noexcept {
  constexpr std::uint32_t kIpv4HeaderBytes = 20;
  constexpr std::uint32_t kIpv6HeaderBytes = 40;
  if (size < kIpv4HeaderBytes) return std::nullopt;
  const auto version = std::to_integer<unsigned>(data[0]) >> 4;
  if (version == 4) {
    const std::uint32_t length = load_be<std::uint16_t>(data + 2);
    if (length < kIpv4HeaderBytes || length > size) return std::nullopt;
    return InnerPacket{data + 12, data + 16, length, true};
  }
  if (version == 6 && size >= kIpv6HeaderBytes) {
    const std::uint32_t length = kIpv6HeaderBytes + load_be<std::uint16_t>(data + 4);
    if (length > size) return std::nullopt;
    return InnerPacket{data + 8, data + 24, length, false};
  }
  return std::nullopt;
}

}  // namespace higgs::wireguard

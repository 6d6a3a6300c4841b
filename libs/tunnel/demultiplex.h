// Which protocol a datagram on the shared port is for (docs/nat-traversal.md, "One port").
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "stun/message.h"

namespace higgs::tunnel {

enum class DatagramKind : std::uint8_t { kWireguard, kStun, kOther };

/// WireGuard: a type from 1 to 4 and three zero bytes (paper 5.4). STUN: the two zero bits and the magic cookie at byte
/// 4 (RFC 8489, section 5). The types 0x0100 to 0x0400 are those of no STUN method, so no datagram is for both.
inline DatagramKind classify(ByteView datagram) noexcept {
  if (datagram.size() >= 4 && datagram[0] >= std::byte{1} && datagram[0] <= std::byte{4} &&
      (datagram[1] | datagram[2] | datagram[3]) == std::byte{0})
    return DatagramKind::kWireguard;
  return stun::looks_like_stun(datagram) ? DatagramKind::kStun : DatagramKind::kOther;
}

}  // namespace higgs::tunnel

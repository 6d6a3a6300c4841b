// struct virtio_net_hdr, which precedes each packet on a TUN device opened with IFF_VNET_HDR (virtio 1.2, 5.1.6, in the
// legacy layout without num_buffers; little-endian after TUNSETVNETLE).
//
//    0        1          2        4          6            8             10
//   +--------+----------+--------+----------+------------+-------------+
//   | flags  | gso_type | hdr_len| gso_size | csum_start | csum_offset |
//   +--------+----------+--------+----------+------------+-------------+
//
// linux/virtio_net.h is not C++, hence our own.
#pragma once

#include "base/bytes.h"

namespace higgs::tunnel {

struct VirtioHeader {
  static constexpr std::size_t kSize = 10;
  static constexpr std::uint8_t kNeedsChecksum = 1;  ///< flags: the field holds the pseudo header's sum only
  static constexpr std::uint8_t kGsoNone = 0, kGsoTcp4 = 1, kGsoTcp6 = 4, kGsoUdp = 5, kGsoEcn = 0x80;

  std::uint8_t flags = 0;
  std::uint8_t gso_type = kGsoNone;
  std::uint16_t header_length = 0;  ///< a hint; what the kernel sends is not to be trusted
  std::uint16_t gso_size = 0;
  std::uint16_t checksum_start = 0;
  std::uint16_t checksum_offset = 0;  ///< behind checksum_start

  friend bool operator==(const VirtioHeader&, const VirtioHeader&) = default;

  static VirtioHeader decode(std::span<const std::byte, kSize> bytes) noexcept {
    const std::byte* p = bytes.data();
    return {std::to_integer<std::uint8_t>(p[0]), std::to_integer<std::uint8_t>(p[1]), load_le<std::uint16_t>(p + 2),
            load_le<std::uint16_t>(p + 4),       load_le<std::uint16_t>(p + 6),       load_le<std::uint16_t>(p + 8)};
  }
  ByteArray<kSize> encode() const noexcept {
    ByteArray<kSize> bytes;
    bytes[0] = std::byte{flags};
    bytes[1] = std::byte{gso_type};
    store_le(bytes.data() + 2, header_length);
    store_le(bytes.data() + 4, gso_size);
    store_le(bytes.data() + 6, checksum_start);
    store_le(bytes.data() + 8, checksum_offset);
    return bytes;
  }
};

}  // namespace higgs::tunnel

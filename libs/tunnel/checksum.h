// The Internet checksum (RFC 1071), and a copy that computes it on the way.
//
// Sums are of 16-bit words in the machine's byte order, not folded; RFC 1071 2(B) makes the folded result right when it
// is stored in that order. Pieces may be summed one after the other if all but the last have an even length.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/bytes.h"

namespace higgs::tunnel {

using ChecksumSum = std::uint64_t;

ChecksumSum checksum_add(ChecksumSum sum, ByteView bytes) noexcept;
/// As checksum_add over `from`, and copies it to `to`, which must not overlap.
ChecksumSum checksum_copy(ChecksumSum sum, std::byte* to, ByteView from) noexcept;
/// The portable version of both (`to` may be null), which the others are tested against.
ChecksumSum checksum_portable(ChecksumSum sum, std::byte* to, ByteView from) noexcept;

inline std::uint16_t checksum_fold(ChecksumSum sum) noexcept {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

/// The value for a checksum field, in the machine's order: store it with store_checksum.
inline std::uint16_t checksum_finish(ChecksumSum sum) noexcept {
  return static_cast<std::uint16_t>(~checksum_fold(sum));
}
inline void store_checksum(std::byte* field, std::uint16_t value) noexcept {
  std::memcpy(field, &value, sizeof(value));
}

/// The part of the pseudo header (RFC 9293 3.1, RFC 8200 8.1) behind the addresses.
inline ChecksumSum checksum_pseudo(ChecksumSum addresses, std::uint8_t protocol, std::uint32_t length) noexcept {
  ByteArray<8> tail{};
  store_be<std::uint32_t>(tail.data(), length);
  tail[7] = std::byte{protocol};
  std::uint64_t word = 0;
  std::memcpy(&word, tail.data(), sizeof(word));
  return addresses + (word & 0xffffffff) + (word >> 32);
}

}  // namespace higgs::tunnel

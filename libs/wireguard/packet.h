// The shapes in which packets travel through the engine: batches of spans into pooled buffers with head and tail room,
// so that headers and tags are written around the payload in place and nothing is allocated for a packet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/ip.h"

namespace higgs::wireguard {

/// Room a packet to be sealed needs before its first byte: the transport header (type, receiver, counter; paper 5.4.6).
inline constexpr std::size_t kTransportHeaderBytes = 16;
/// Room it needs behind its last byte: padding to 16 bytes and the Poly1305 tag.
inline constexpr std::size_t kTransportTailBytes = 15 + 16;

/// Where a peer is reached. The protocol only compares it: path 0 is the UDP socket and uses `endpoint`;
/// any other value names a channel of a relay link, `endpoint` is then unspecified.
struct PeerAddress {
  std::uint64_t path = 0;
  Endpoint endpoint;
  friend auto operator<=>(const PeerAddress&, const PeerAddress&) = default;
};

/// One packet inside a buffer that its owner keeps alive for the duration of the call:
/// bytes [offset, offset + length) of [base, base + capacity). The engine moves offset and length, never the bytes'
/// home.
struct PacketBuffer {
  std::byte* base = nullptr;
  std::uint32_t capacity = 0;
  std::uint32_t offset = 0;
  std::uint32_t length = 0;

  MutableBytes bytes() const noexcept { return {base + offset, length}; }
  std::size_t headroom() const noexcept { return offset; }
  std::size_t tailroom() const noexcept { return capacity - offset - length; }
};

/// A message to send. `bytes` points into a PacketBuffer that was handed in, or into the engine's own scratch memory;
/// either way it is valid until the next call into the engine. Consecutive entries to one address may be sent as a
/// train.
struct Transmit {
  PeerAddress to;
  std::span<std::byte> bytes;
};
using TransmitList = std::vector<Transmit>;

}  // namespace higgs::wireguard

#include "tunnel/coalescer.h"

#include <algorithm>

#include "tunnel/checksum.h"
#include "tunnel/ip_fields.h"

namespace higgs::tunnel {

using namespace ip;

namespace {

// Limits of our choosing.
constexpr std::size_t kOpenFlows = 32;              // above it the flow that was opened first is closed
constexpr std::uint32_t kSegments = 64;             // as Linux has it for UDP (UDP_MAX_SEGMENTS)
constexpr std::uint32_t kSuperPacketBytes = 65535;  // what the IPv4 length field holds

bool same_bytes(ByteView a, ByteView b, std::size_t offset, std::size_t length) noexcept {
  return std::memcmp(a.data() + offset, b.data() + offset, length) == 0;
}

}  // namespace

/// False if it is neither TCP nor UDP, or a fragment, or not to be understood: then it belongs to no flow.
bool Coalescer::parse(ByteView packet, Shape& shape) noexcept {
  std::uint8_t protocol = 0;
  switch (version(packet)) {
    case 4: {
      if (packet.size() < kV4Header || v4_header_length(packet.data()) != kV4Header) return false;
      if (load_be<std::uint16_t>(packet.data() + kV4TotalLength) != packet.size()) return false;
      const auto fragment = load_be<std::uint16_t>(packet.data() + kV4Fragment);
      if ((fragment & ~kV4DontFragment) != 0) return false;
      protocol = std::to_integer<std::uint8_t>(packet[kV4Protocol]);
      shape.transport = kV4Header;
      break;
    }
    case 6:
      if (packet.size() < kV6Header) return false;
      if (load_be<std::uint16_t>(packet.data() + kV6PayloadLength) + kV6Header != packet.size()) return false;
      protocol = std::to_integer<std::uint8_t>(packet[kV6NextHeader]);
      shape.v6 = true;
      shape.transport = kV6Header;
      break;
    default:
      return false;
  }
  const std::byte* transport = packet.data() + shape.transport;
  if (protocol == kTcp) {
    if (packet.size() < shape.transport + kTcpHeader) return false;
    const std::size_t length = tcp_header_length(transport);
    if (length < kTcpHeader || packet.size() < shape.transport + length) return false;
    shape.tcp = true;
    shape.headers = static_cast<std::uint16_t>(shape.transport + length);
    shape.sequence = load_be<std::uint32_t>(transport + kTcpSequence);
    shape.mergeable = (transport[kTcpFlags] & ~kPsh) == kAck;
    shape.ends_run = (transport[kTcpFlags] & kPsh) != std::byte{0};
  } else if (protocol == kUdp) {
    if (packet.size() < shape.transport + kUdpHeader) return false;
    shape.headers = static_cast<std::uint16_t>(shape.transport + kUdpHeader);
    shape.mergeable = load_be<std::uint16_t>(transport + kUdpLength) == packet.size() - shape.transport &&
                      load_be<std::uint16_t>(transport + kUdpChecksum) != 0;
  } else {
    return false;
  }
  shape.payload = static_cast<std::uint32_t>(packet.size() - shape.headers);
  shape.mergeable = shape.mergeable && shape.payload > 0;
  return true;
}

bool Coalescer::checksum_is_good(ByteView packet, const Shape& shape) noexcept {
  const ByteView transport = packet.subspan(shape.transport);
  ChecksumSum sum = checksum_add(0, addresses(packet, shape.v6));
  sum = checksum_pseudo(sum, shape.tcp ? kTcp : kUdp, static_cast<std::uint32_t>(transport.size()));
  if (checksum_fold(checksum_add(sum, transport)) != 0xffff) return false;
  return shape.v6 || checksum_fold(checksum_add(0, packet.first(kV4Header))) == 0xffff;
}

bool Coalescer::same_flow(const Group& group, ByteView packet, const Shape& shape) const noexcept {
  if (group.shape.v6 != shape.v6 || group.shape.tcp != shape.tcp) return false;
  const ByteView head = parts_[static_cast<std::size_t>(group.first)].bytes;
  constexpr std::size_t kPorts = 4;
  return shape.v6 ? same_bytes(head, packet, kV6Addresses, kV6AddressesSize + kPorts)
                  : same_bytes(head, packet, kV4Addresses, kV4AddressesSize + kPorts);
}

bool Coalescer::fits(const Group& group, ByteView packet, const Shape& shape) const noexcept {
  const Shape& first = group.shape;
  const ByteView head = parts_[static_cast<std::size_t>(group.first)].bytes;
  if (group.count >= kSegments || first.headers + group.payload + shape.payload > kSuperPacketBytes) return false;
  if (shape.payload > first.payload || shape.headers != first.headers) return false;
  if (shape.v6) {
    // Version, class and flow label; next header and hop limit.
    if (!same_bytes(head, packet, 0, 4) || !same_bytes(head, packet, kV6NextHeader, 2)) return false;
  } else {
    // Version and TOS; flags; TTL and protocol.
    if (!same_bytes(head, packet, 0, 2) || !same_bytes(head, packet, kV4Fragment, 4)) return false;
    const auto id = load_be<std::uint16_t>(packet.data() + kV4Id);
    const auto next = static_cast<std::uint16_t>(load_be<std::uint16_t>(head.data() + kV4Id) + group.count);
    // RFC 6864 4.1: without DF the identification means something.
    const bool atomic = (load_be<std::uint16_t>(packet.data() + kV4Fragment) & kV4DontFragment) != 0;
    if (!atomic && id != next) return false;
  }
  if (!shape.tcp) return true;
  if (shape.sequence != first.sequence + group.payload) return false;
  const std::size_t transport = shape.transport;
  constexpr std::size_t kAckNumber = 8, kWindow = 14, kUrgent = 18;
  return same_bytes(head, packet, transport + kAckNumber, 5) &&  // and the data offset
         same_bytes(head, packet, transport + kWindow, 2) && same_bytes(head, packet, transport + kUrgent, 2) &&
         same_bytes(head, packet, transport + kTcpHeader, shape.headers - transport - kTcpHeader);
}

std::int32_t Coalescer::start_group(MutableBytes packet, const Shape& shape) {
  const auto part = static_cast<std::int32_t>(parts_.size());
  parts_.push_back({packet, -1});
  Group group;
  group.shape = shape;
  group.first = group.last = part;
  group.payload = shape.payload;
  group.pushed = shape.ends_run;
  groups_.push_back(group);
  return static_cast<std::int32_t>(groups_.size()) - 1;
}

bool Coalescer::append(Group& group, MutableBytes packet, Shape& shape) {
  if (!fits(group, packet, shape)) return false;
  if (group.trust == Trust::kUnknown) {
    const bool good = checksum_is_good(parts_[static_cast<std::size_t>(group.first)].bytes, group.shape);
    group.trust = good ? Trust::kGood : Trust::kBad;
    if (!good) ++counters_.bad_checksums;
  }
  if (group.trust == Trust::kBad) return false;
  if (!checksum_is_good(packet, shape)) {
    ++counters_.bad_checksums;
    shape.mergeable = false;
    return false;
  }
  const auto part = static_cast<std::int32_t>(parts_.size());
  parts_.push_back({packet, -1});
  parts_[static_cast<std::size_t>(group.last)].next = part;
  group.last = part;
  ++group.count;
  group.payload += shape.payload;
  group.pushed = group.pushed || shape.ends_run;
  return true;
}

void Coalescer::add(MutableBytes packet) {
  ++counters_.packets;
  Shape shape;
  if (!parse(packet, shape) || !(shape.tcp ? options_.tcp : options_.udp)) {
    start_group(packet, shape);
    return;
  }
  const auto found = std::find_if(open_.rbegin(), open_.rend(), [&](std::int32_t index) {
    return same_flow(groups_[static_cast<std::size_t>(index)], packet, shape);
  });
  if (found != open_.rend()) {
    Group& group = groups_[static_cast<std::size_t>(*found)];
    if (shape.mergeable && append(group, packet, shape)) {
      if (shape.ends_run || shape.payload < group.shape.payload) open_.erase(std::next(found).base());
      return;
    }
    open_.erase(std::next(found).base());  // what follows must not overtake this packet
  }
  const std::int32_t index = start_group(packet, shape);
  if (!shape.mergeable || shape.ends_run) return;
  if (open_.size() == kOpenFlows) open_.erase(open_.begin());
  open_.push_back(index);
}

void Coalescer::gather(const Group& group) {
  gathered_.clear();
  std::size_t skip = 0;
  for (std::int32_t i = group.first; i >= 0; i = parts_[static_cast<std::size_t>(i)].next) {
    const MutableBytes bytes = parts_[static_cast<std::size_t>(i)].bytes.subspan(skip);
    gathered_.push_back({bytes.data(), bytes.size()});
    skip = group.shape.headers;
  }
}

VirtioHeader Coalescer::finish(Group& group) const noexcept {
  if (group.count == 1) return {};
  const Shape& shape = group.shape;
  std::byte* packet = parts_[static_cast<std::size_t>(group.first)].bytes.data();
  const std::size_t length = shape.headers + group.payload;
  const std::size_t transport_length = length - shape.transport;
  std::byte* transport = packet + shape.transport;
  if (shape.v6) {
    store_be(packet + kV6PayloadLength, static_cast<std::uint16_t>(length - kV6Header));
  } else {
    store_be(packet + kV4TotalLength, static_cast<std::uint16_t>(length));
    store_checksum(packet + kV4Checksum, 0);
    store_checksum(packet + kV4Checksum, checksum_finish(checksum_add(0, ByteView(packet, kV4Header))));
  }
  if (shape.tcp) {
    if (group.pushed) transport[kTcpFlags] |= kPsh;
  } else {
    store_be(transport + kUdpLength, static_cast<std::uint16_t>(transport_length));
  }
  VirtioHeader header;
  header.flags = VirtioHeader::kNeedsChecksum;
  header.gso_type = !shape.tcp ? VirtioHeader::kGsoUdp : shape.v6 ? VirtioHeader::kGsoTcp6 : VirtioHeader::kGsoTcp4;
  header.header_length = shape.headers;
  header.gso_size = static_cast<std::uint16_t>(shape.payload);
  header.checksum_start = shape.transport;
  header.checksum_offset = shape.tcp ? kTcpChecksum : kUdpChecksum;
  const ChecksumSum sum = checksum_pseudo(checksum_add(0, addresses(ByteView(packet, shape.headers), shape.v6)),
                                          shape.tcp ? kTcp : kUdp, static_cast<std::uint32_t>(transport_length));
  store_checksum(transport + header.checksum_offset, checksum_fold(sum));
  return header;
}

void Coalescer::clear() noexcept {
  parts_.clear();
  groups_.clear();
  open_.clear();
}

}  // namespace higgs::tunnel

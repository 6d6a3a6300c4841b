#include "tunnel/segmenter.h"

#include "tunnel/ip_fields.h"

namespace higgs::tunnel {

using namespace ip;

std::optional<Segmenter> Segmenter::make(const VirtioHeader& header, ByteView packet) noexcept {
  Segmenter result;
  result.packet_ = packet;
  result.header_ = header;
  const std::uint8_t type = header.gso_type & static_cast<std::uint8_t>(~VirtioHeader::kGsoEcn);
  const bool needs_checksum = (header.flags & VirtioHeader::kNeedsChecksum) != 0;
  if (type == VirtioHeader::kGsoNone) {
    if (packet.empty()) return std::nullopt;
    if (needs_checksum && std::size_t{header.checksum_start} + header.checksum_offset + 2 > packet.size())
      return std::nullopt;
    result.headers_ = packet.size();
    return result;
  }

  const unsigned ip_version = version(packet);
  result.tcp_ = type == VirtioHeader::kGsoTcp4 || type == VirtioHeader::kGsoTcp6;
  result.v6_ = ip_version == 6;
  result.transport_ = header.checksum_start;
  result.gso_size_ = header.gso_size;
  if (!needs_checksum || header.gso_size == 0 || (!result.tcp_ && type != VirtioHeader::kGsoUdp)) return std::nullopt;
  if (ip_version == 4) {
    if (type == VirtioHeader::kGsoTcp6 || packet.size() < kV4Header) return std::nullopt;
    if (v4_header_length(packet.data()) < kV4Header || result.transport_ != v4_header_length(packet.data()))
      return std::nullopt;
  } else if (ip_version == 6) {
    if (type == VirtioHeader::kGsoTcp4 || result.transport_ < kV6Header) return std::nullopt;
  } else {
    return std::nullopt;
  }

  const std::size_t fixed = result.tcp_ ? kTcpHeader : kUdpHeader;
  if (packet.size() < result.transport_ + fixed) return std::nullopt;
  const std::size_t transport_length = result.tcp_ ? tcp_header_length(packet.data() + result.transport_) : kUdpHeader;
  result.headers_ = result.transport_ + transport_length;
  if (transport_length < fixed || packet.size() <= result.headers_) return std::nullopt;
  if (header.checksum_offset != (result.tcp_ ? kTcpChecksum : kUdpChecksum)) return std::nullopt;

  result.count_ = (packet.size() - result.headers_ + result.gso_size_ - 1) / result.gso_size_;
  result.addresses_ = checksum_add(0, addresses(packet, result.v6_));
  return result;
}

std::size_t Segmenter::pass_through(std::byte* out) const noexcept {
  if ((header_.flags & VirtioHeader::kNeedsChecksum) == 0) {
    std::memcpy(out, packet_.data(), packet_.size());
    return packet_.size();
  }
  std::memcpy(out, packet_.data(), header_.checksum_start);
  // The field holds the pseudo header's sum, so that summing over it takes that in.
  const ChecksumSum sum = checksum_copy(0, out + header_.checksum_start, packet_.subspan(header_.checksum_start));
  std::uint16_t value = checksum_finish(sum);
  if (value == 0) value = 0xffff;  // zero means "none" in UDP (RFC 768), and both are zero elsewhere
  store_checksum(out + header_.checksum_start + header_.checksum_offset, value);
  return packet_.size();
}

void Segmenter::finish_ip(std::byte* out, std::size_t length) const noexcept {
  if (v6_) {
    store_be(out + kV6PayloadLength, static_cast<std::uint16_t>(length - kV6Header));
    return;
  }
  store_be(out + kV4TotalLength, static_cast<std::uint16_t>(length));
  store_be(out + kV4Id, static_cast<std::uint16_t>(load_be<std::uint16_t>(out + kV4Id) + index_));
  store_checksum(out + kV4Checksum, 0);
  store_checksum(out + kV4Checksum, checksum_finish(checksum_add(0, ByteView(out, transport_))));
}

std::size_t Segmenter::next(std::byte* out) noexcept {
  if (done()) return 0;
  if (gso_size_ == 0) {
    ++index_;
    return pass_through(out);
  }
  const std::size_t done_bytes = index_ * gso_size_;
  const ByteView payload =
      packet_.subspan(headers_ + done_bytes).first(std::min(gso_size_, packet_.size() - headers_ - done_bytes));
  const std::size_t length = headers_ + payload.size();
  const std::size_t transport_length = length - transport_;
  std::memcpy(out, packet_.data(), headers_);
  finish_ip(out, length);

  std::byte* transport = out + transport_;
  std::byte* checksum = transport + header_.checksum_offset;
  if (tcp_) {
    store_be(transport + kTcpSequence,
             static_cast<std::uint32_t>(load_be<std::uint32_t>(transport + kTcpSequence) + done_bytes));
    if (index_ + 1 < count_) transport[kTcpFlags] &= ~(kFin | kPsh);
    if (index_ > 0) transport[kTcpFlags] &= ~kCwr;  // RFC 3168 6.1.2: once
  } else {
    store_be(transport + kUdpLength, static_cast<std::uint16_t>(transport_length));
  }
  store_checksum(checksum, 0);
  ChecksumSum sum = checksum_pseudo(addresses_, tcp_ ? kTcp : kUdp, static_cast<std::uint32_t>(transport_length));
  sum = checksum_add(sum, ByteView(transport, headers_ - transport_));
  sum = checksum_copy(sum, out + headers_, payload);
  std::uint16_t value = checksum_finish(sum);
  if (value == 0 && !tcp_) value = 0xffff;
  store_checksum(checksum, value);
  ++index_;
  return length;
}

}  // namespace higgs::tunnel

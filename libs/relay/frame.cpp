#include "relay/frame.h"

#include <algorithm>

#include "base/assert.h"

namespace higgs::relay {

namespace {
constexpr std::byte kFirstByte{(kVersion << 4) | kTypeData};
}

Result<FrameHeader> parse_header(ByteView message) noexcept {
  if (message.size() < kHeaderBytes) return FrameError::kTooShort;
  if (message.size() > kMaxMessageBytes) return FrameError::kTooLong;
  if (message[0] != kFirstByte) {
    return std::to_integer<unsigned>(message[0]) >> 4 != kVersion ? FrameError::kBadVersion : FrameError::kBadType;
  }
  if (message[1] != std::byte{0}) return FrameError::kBadFlags;
  const FrameHeader header{load_be<std::uint16_t>(message.data() + 2), load_be<std::uint32_t>(message.data() + 4)};
  if (header.packet_count == 0 || header.packet_count > kMaxPackets) return FrameError::kBadCount;
  if (message.size() < kHeaderBytes + header.packet_count * (kLengthBytes + 1)) return FrameError::kTooShort;
  return header;
}

void rewrite_channel(MutableBytes message, Channel channel) noexcept {
  HIGGS_ASSERT(message.size() >= kHeaderBytes);
  store_be(message.data() + 4, channel);
}

ByteArray<kHeaderBytes> encode_header(FrameHeader header) noexcept {
  ByteArray<kHeaderBytes> out{};
  out[0] = kFirstByte;
  store_be(out.data() + 2, header.packet_count);
  store_be(out.data() + 4, header.channel);
  return out;
}

std::size_t first_record_bytes(ByteView records) noexcept {
  if (records.size() < kLengthBytes) return 0;
  const std::size_t length = load_be<std::uint16_t>(records.data());
  if (length == 0 || length > kMaxPacketBytes || length > records.size() - kLengthBytes) return 0;
  return kLengthBytes + length;
}

Result<void> parse_batch(MutableBytes message, Batch& out) noexcept {
  const auto header = parse_header(message);
  if (!header) return header.error();
  out.channel = header->channel;
  out.count = header->packet_count;
  MutableBytes rest = message.subspan(kHeaderBytes);
  for (std::size_t i = 0; i < out.count; ++i) {
    const std::size_t record = first_record_bytes(rest);
    if (record == 0) return FrameError::kBadLength;
    out.packets[i] = rest.subspan(kLengthBytes, record - kLengthBytes);
    rest = rest.subspan(record);
  }
  if (!rest.empty()) return FrameError::kBadLength;
  return {};
}

BatchBuilder::BatchBuilder(MutableBytes buffer) noexcept
    : buffer_(buffer.first(std::min(buffer.size(), kMaxMessageBytes))) {
  HIGGS_ASSERT(buffer_.size() > kHeaderBytes + kLengthBytes);
}

bool BatchBuilder::fits(std::size_t packet_bytes) const noexcept {
  return packet_bytes > 0 && packet_bytes <= kMaxPacketBytes && count_ < kMaxPackets &&
         buffer_.size() - size_ >= kLengthBytes + packet_bytes;
}

bool BatchBuilder::append(ByteView packet) noexcept {
  if (!fits(packet.size())) return false;
  store_be(buffer_.data() + size_, static_cast<std::uint16_t>(packet.size()));
  std::copy(packet.begin(), packet.end(), buffer_.begin() + static_cast<std::ptrdiff_t>(size_ + kLengthBytes));
  size_ += kLengthBytes + packet.size();
  ++count_;
  return true;
}

MutableBytes BatchBuilder::finish(Channel channel) noexcept {
  HIGGS_ASSERT(count_ > 0);
  const auto header = encode_header({static_cast<std::uint16_t>(count_), channel});
  std::copy(header.begin(), header.end(), buffer_.begin());
  return buffer_.first(size_);
}

void BatchBuilder::clear() noexcept {
  size_ = kHeaderBytes;
  count_ = 0;
}

}  // namespace higgs::relay

HIGGS_ERROR_CATEGORY(higgs::relay, FrameError, "relay.frame") {
  switch (error) {
    case higgs::relay::FrameError::kTooShort:
      return "the message is too short for its header";
    case higgs::relay::FrameError::kTooLong:
      return "the message is too long";
    case higgs::relay::FrameError::kBadVersion:
      return "unknown version";
    case higgs::relay::FrameError::kBadType:
      return "unknown message type";
    case higgs::relay::FrameError::kBadFlags:
      return "unknown flags";
    case higgs::relay::FrameError::kBadCount:
      return "bad packet count";
    case higgs::relay::FrameError::kBadLength:
      return "bad packet length";
  }
  return "unknown error";
}

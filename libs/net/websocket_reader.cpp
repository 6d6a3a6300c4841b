#include "net/websocket_reader.h"

#include <algorithm>

namespace higgs::net {

WebSocketReader::Item WebSocketReader::fault(WebSocketFault why) noexcept {
  failed_ = true;
  Bytes().swap(assembled_);
  return {.event = Event::kFault, .payload = {}, .code = static_cast<std::uint16_t>(why), .used = 0};
}

bool WebSocketReader::fits(const FrameHeader& header) const noexcept {
  const bool text = header.opcode == WebSocketOpcode::kText || (in_message_ && text_);
  const std::size_t limit = text ? std::min(limits_.text_bytes, limits_.message_bytes) : limits_.message_bytes;
  return header.payload_bytes <= limit && assembled_.size() <= limit - static_cast<std::size_t>(header.payload_bytes);
}

WebSocketReader::Item WebSocketReader::next(MutableBytes received) {
  if (failed_) return fault(WebSocketFault::kProtocol);
  if (whole_) {
    whole_ = false;
    Bytes().swap(assembled_);
  }
  const auto parsed = parse_frame_header(received, masked_);
  if (!parsed) return fault(WebSocketFault::kProtocol);
  if (!*parsed) {
    wanted_ = received.size() + 1;
    return {};
  }
  const FrameHeader& header = **parsed;
  // Refused by what the header says, before anything is buffered for it.
  if (!header.is_control()) {
    if ((header.opcode == WebSocketOpcode::kContinuation) != in_message_) return fault(WebSocketFault::kProtocol);
    if (!fits(header)) return fault(WebSocketFault::kTooLarge);
  }
  const std::size_t frame_bytes = header.header_bytes + static_cast<std::size_t>(header.payload_bytes);
  if (received.size() < frame_bytes) {
    wanted_ = frame_bytes;
    return {};
  }
  wanted_ = 2;
  const MutableBytes payload = received.subspan(header.header_bytes, static_cast<std::size_t>(header.payload_bytes));
  if (header.mask) apply_mask(payload, *header.mask);
  Item item = header.is_control() ? take_control(header, payload) : take_data(header, payload);
  if (item.event != Event::kFault) item.used = frame_bytes;
  return item;
}

WebSocketReader::Item WebSocketReader::take_control(const FrameHeader& header, MutableBytes payload) {
  if (header.opcode == WebSocketOpcode::kPing) return {.event = Event::kPing, .payload = payload};
  if (header.opcode == WebSocketOpcode::kPong) return {.event = Event::kPong, .payload = payload};
  // RFC 6455, 5.5.1 and 7.1.5: no body at all, or a code and a reason in UTF-8.
  if (payload.empty()) return {.event = Event::kClose, .payload = {}, .code = 1005};
  if (payload.size() < 2) return fault(WebSocketFault::kProtocol);
  const auto code = load_be<std::uint16_t>(payload.data());
  if (!is_close_code(code)) return fault(WebSocketFault::kProtocol);
  if (!is_utf8(payload.subspan(2))) return fault(WebSocketFault::kBadText);
  return {.event = Event::kClose, .payload = payload.subspan(2), .code = code};
}

WebSocketReader::Item WebSocketReader::take_data(const FrameHeader& header, MutableBytes payload) {
  if (!in_message_) text_ = header.opcode == WebSocketOpcode::kText;
  if (!header.final) {
    in_message_ = true;
    assembled_.insert(assembled_.end(), payload.begin(), payload.end());
    return {.event = Event::kSkipped, .payload = {}};
  }
  MutableBytes message = payload;
  if (in_message_) {
    assembled_.insert(assembled_.end(), payload.begin(), payload.end());
    in_message_ = false;
    whole_ = true;
    message = assembled_;
  }
  if (text_ && !is_utf8(message)) return fault(WebSocketFault::kBadText);
  return {.event = text_ ? Event::kText : Event::kBinary, .payload = message};
}

}  // namespace higgs::net

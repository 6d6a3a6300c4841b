#include "wireguard/messages.h"

namespace higgs::wireguard {
namespace {

bool is(ByteView message, MessageType type, std::size_t size) noexcept {
  return message.size() == size && load_le<std::uint32_t>(message.data()) == static_cast<std::uint32_t>(type);
}

template <std::size_t Offset, std::size_t Count>
FixedView<Count> field(ByteView message) noexcept {
  return message.subspan<Offset, Count>();
}

}  // namespace

std::optional<MessageType> message_type(ByteView message) noexcept {
  if (message.size() < 4) return std::nullopt;
  const auto value = load_le<std::uint32_t>(message.data());
  if (value < 1 || value > 4) return std::nullopt;
  return static_cast<MessageType>(value);
}

std::optional<InitiationView> parse_initiation(ByteView message) noexcept {
  if (!is(message, MessageType::kInitiation, kInitiationBytes)) return std::nullopt;
  return InitiationView{load_le<std::uint32_t>(message.data() + 4), field<8, 32>(message), field<40, 48>(message),
                        field<88, 28>(message)};
}

std::optional<ResponseView> parse_response(ByteView message) noexcept {
  if (!is(message, MessageType::kResponse, kResponseBytes)) return std::nullopt;
  return ResponseView{load_le<std::uint32_t>(message.data() + 4), load_le<std::uint32_t>(message.data() + 8),
                      field<12, 32>(message), field<44, 16>(message)};
}

std::optional<CookieReplyView> parse_cookie_reply(ByteView message) noexcept {
  if (!is(message, MessageType::kCookieReply, kCookieReplyBytes)) return std::nullopt;
  return CookieReplyView{load_le<std::uint32_t>(message.data() + 4), field<8, 24>(message), field<32, 32>(message)};
}

}  // namespace higgs::wireguard

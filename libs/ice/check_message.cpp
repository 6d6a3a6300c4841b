#include "ice/check_message.h"

#include <algorithm>
#include <string>

namespace higgs::ice {

namespace {

using stun::AttributeType;
using stun::MessageBuilder;
using stun::MessageClass;

constexpr std::size_t kBufferBytes = 512;  // two ufrags of 64 letters and the rest fit well

Bytes finish(MessageBuilder& builder, const stun::IntegrityKey& key) {
  return to_bytes(builder.add_message_integrity(key).add_fingerprint().finish());
}

bool understood(std::uint16_t type) noexcept {
  switch (static_cast<AttributeType>(type)) {
    case AttributeType::kUsername:
    case AttributeType::kMessageIntegrity:
    case AttributeType::kMessageIntegritySha256:
    case AttributeType::kPriority:
    case AttributeType::kUseCandidate:
      return true;
    default:
      return !stun::comprehension_required(type);
  }
}

}  // namespace

Bytes make_request(const stun::TransactionId& transaction, const CheckRequest& request, const stun::IntegrityKey& key) {
  ByteArray<kBufferBytes> buffer;
  MessageBuilder builder(buffer, MessageClass::kRequest, stun::kBindingMethod, transaction);
  std::string username(request.remote_ufrag);
  username.append(":").append(request.local_ufrag);
  builder.add_text(AttributeType::kUsername, username)
      .add_u32(AttributeType::kPriority, request.priority)
      .add_u64(request.role == Role::kControlling ? AttributeType::kIceControlling : AttributeType::kIceControlled,
               request.tie_breaker);
  if (request.epoch != 0) builder.add_u32(AttributeType::kNomination, request.epoch);
  return finish(builder, key);
}

Bytes make_response(const stun::TransactionId& transaction, const Endpoint& mapped, std::uint32_t epoch,
                    const stun::IntegrityKey& key) {
  ByteArray<kBufferBytes> buffer;
  MessageBuilder builder(buffer, MessageClass::kSuccess, stun::kBindingMethod, transaction);
  builder.add_xor_mapped_address(mapped);
  if (epoch != 0) builder.add_u32(AttributeType::kNomination, epoch);
  return finish(builder, key);
}

Bytes make_conflict(const stun::TransactionId& transaction, const stun::IntegrityKey& key) {
  ByteArray<kBufferBytes> buffer;
  MessageBuilder builder(buffer, MessageClass::kError, stun::kBindingMethod, transaction);
  builder.add_error(kRoleConflict, "Role Conflict");
  return finish(builder, key);
}

std::optional<ReceivedCheck> read_request(const stun::Message& message) noexcept {
  const auto all = message.all();
  if (!std::all_of(all.begin(), all.end(), [](const auto& attribute) { return understood(attribute.type); }))
    return std::nullopt;
  const auto priority = message.u32(AttributeType::kPriority);
  const auto controlling = message.u64(AttributeType::kIceControlling);
  const auto controlled = message.u64(AttributeType::kIceControlled);
  if (!priority || (controlling && controlled)) return std::nullopt;
  ReceivedCheck check;
  check.priority = *priority;
  if (controlling) check.role = Role::kControlling;
  if (controlled) check.role = Role::kControlled;
  check.tie_breaker = controlling.value_or(controlled.value_or(0));
  check.epoch = message.u32(AttributeType::kNomination).value_or(0);
  return check;
}

std::optional<Username> read_username(const stun::Message& message) noexcept {
  const auto text = message.text(AttributeType::kUsername);
  if (!text) return std::nullopt;
  const auto colon = text->find(':');
  if (colon == text->npos) return std::nullopt;
  return Username{text->substr(0, colon), text->substr(colon + 1)};
}

}  // namespace higgs::ice

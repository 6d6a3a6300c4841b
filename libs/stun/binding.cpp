#include "stun/binding.h"

#include <algorithm>

namespace higgs::stun {

namespace {

/// Of the unknown attributes named in a 420; a request with more is told of the first.
constexpr std::size_t kMaxNamedAttributes = 8;
constexpr std::size_t kFingerprintBytes = 8;

/// Credentials need not be checked where none are asked for, but they are understood.
bool understood(std::uint16_t type) noexcept {
  switch (static_cast<AttributeType>(type)) {
    case AttributeType::kMappedAddress:
    case AttributeType::kUsername:
    case AttributeType::kMessageIntegrity:
    case AttributeType::kErrorCode:
    case AttributeType::kUnknownAttributes:
    case AttributeType::kRealm:
    case AttributeType::kNonce:
    case AttributeType::kMessageIntegritySha256:
    case AttributeType::kPasswordAlgorithm:
    case AttributeType::kUserhash:
    case AttributeType::kXorMappedAddress:
      return true;
    default:
      break;
  }
  return !comprehension_required(type);
}

std::size_t attribute_bytes(std::size_t value) noexcept { return 4 + ((value + 3) & ~std::size_t{3}); }

ByteView finish(MessageBuilder& builder, std::size_t request_bytes, std::string_view software) noexcept {
  const std::size_t limit = kMaxAmplification * request_bytes;
  if (!software.empty() && builder.size() + attribute_bytes(software.size()) + kFingerprintBytes <= limit)
    builder.add(AttributeType::kSoftware, as_bytes(software));
  if (builder.size() + kFingerprintBytes <= limit) builder.add_fingerprint();
  return builder.size() <= limit ? builder.finish() : ByteView{};
}

}  // namespace

BindingAnswer answer_binding(ByteView datagram, const Endpoint& source, std::string_view software,
                             MutableBytes buffer) noexcept {
  const auto request = parse(datagram);
  if (!request) return {BindingOutcome::kMalformed, {}};
  if (request->method != kBindingMethod || request->message_class != MessageClass::kRequest)
    return {BindingOutcome::kIgnored, {}};

  ByteArray<2 * kMaxNamedAttributes> unknown{};
  std::size_t unknown_bytes = 0;
  for (const auto& attribute : request->all()) {
    if (understood(attribute.type) || unknown_bytes == unknown.size()) continue;
    store_be(unknown.data() + unknown_bytes, attribute.type);
    unknown_bytes += 2;
  }
  if (unknown_bytes > 0) {
    MessageBuilder builder(buffer, MessageClass::kError, kBindingMethod, request->transaction);
    builder.add_error(420, "Unknown Attribute")
        .add(AttributeType::kUnknownAttributes, ByteView(unknown).first(unknown_bytes));
    return {BindingOutcome::kRefused, finish(builder, datagram.size(), software)};
  }
  MessageBuilder builder(buffer, MessageClass::kSuccess, kBindingMethod, request->transaction);
  builder.add_xor_mapped_address({source.address.unmapped(), source.port});
  return {BindingOutcome::kAnswered, finish(builder, datagram.size(), software)};
}

ByteView make_binding_request(const TransactionId& transaction, std::string_view software,
                              MutableBytes buffer) noexcept {
  MessageBuilder builder(buffer, MessageClass::kRequest, kBindingMethod, transaction);
  if (!software.empty()) builder.add(AttributeType::kSoftware, as_bytes(software));
  return builder.add_fingerprint().finish();
}

std::optional<Endpoint> read_binding_response(ByteView datagram, const TransactionId& transaction) noexcept {
  const auto response = parse(datagram);
  if (!response || response->method != kBindingMethod || response->message_class != MessageClass::kSuccess ||
      response->transaction != transaction) {
    return std::nullopt;
  }
  return mapped_address(*response);
}

}  // namespace higgs::stun

#include "stun/binding.h"

#include <algorithm>
#include <array>

#include "stun/unknown_attributes.h"

namespace higgs::stun {

namespace {

// RFC 5780, section 7.2, which is RFC 3489, section 11.2.4.
constexpr std::uint32_t kChangeAddressFlag = 4, kChangePortFlag = 2;

constexpr std::size_t kFingerprintBytes = 8;

/// Credentials need not be checked where none are asked for, but they are understood.
constexpr std::array kUnderstood = {AttributeType::kMappedAddress,
                                    AttributeType::kUsername,
                                    AttributeType::kMessageIntegrity,
                                    AttributeType::kErrorCode,
                                    AttributeType::kRealm,
                                    AttributeType::kUnknownAttributes,
                                    AttributeType::kNonce,
                                    AttributeType::kUserhash,
                                    AttributeType::kMessageIntegritySha256,
                                    AttributeType::kPasswordAlgorithm,
                                    AttributeType::kChangeRequest,
                                    AttributeType::kXorMappedAddress,
                                    AttributeType::kPadding,
                                    AttributeType::kResponsePort};

constexpr std::size_t attribute_bytes(std::size_t value) noexcept { return 4 + ((value + 3) & ~std::size_t{3}); }
std::size_t address_bytes(const Endpoint& endpoint) noexcept {
  return attribute_bytes(4 + endpoint.address.bytes().size());
}

/// One request, and how much may be answered.
class Answering {
 public:
  Answering(const Message& request, bool classic, std::size_t request_bytes, const BindingServer& server,
            MutableBytes buffer) noexcept
      : request_(request),
        classic_(classic),
        limit_(std::min(kMaxAmplification * request_bytes, buffer.size())),
        server_(server),
        buffer_(buffer) {}

  BindingAnswer answer(const Endpoint& source) noexcept {
    const UnknownAttributes unknown(request_, kUnderstood);
    if (!unknown.empty()) return refuse(420, "Unknown Attribute", unknown.value());
    const auto change = change_flags();
    // What the server cannot do is as good as unknown to it (RFC 5780, section 6.1).
    if (!change) return refuse_attribute(AttributeType::kChangeRequest);
    const auto port = response_port();
    if (request_.has(AttributeType::kResponsePort) && (!port || request_.has(AttributeType::kPadding)))
      return refuse(400, "Bad Request", {});

    BindingAnswer answer;
    answer.outcome = BindingOutcome::kAnswered;
    answer.change_address = (*change & kChangeAddressFlag) != 0;
    answer.change_port = (*change & kChangePortFlag) != 0;
    answer.port = port;
    MessageBuilder builder = begin(MessageClass::kSuccess);
    if (classic_)
      builder.add_address(AttributeType::kMappedAddress, source);
    else
      builder.add_xor_mapped_address(source);
    if (server_.other) add_origin(builder, origin(answer));
    answer.bytes = finish(builder);
    return answer;
  }

 private:
  MessageBuilder begin(MessageClass message_class) const noexcept {
    return {buffer_, message_class, kBindingMethod, request_.transaction, request_.cookie};
  }

  /// nullopt: not possible here. No flag set asks for nothing.
  std::optional<std::uint32_t> change_flags() const noexcept {
    if (!request_.has(AttributeType::kChangeRequest)) return 0;
    const auto value = request_.u32(AttributeType::kChangeRequest);
    if (!value) return std::nullopt;
    const std::uint32_t flags = *value & (kChangeAddressFlag | kChangePortFlag);
    if (flags != 0 && !server_.other) return std::nullopt;
    return flags;
  }

  std::optional<std::uint16_t> response_port() const noexcept {
    const auto value = request_.u32(AttributeType::kResponsePort);  // the port, and two bytes of nothing
    if (!value || *value >> 16 == 0) return std::nullopt;
    return static_cast<std::uint16_t>(*value >> 16);
  }

  Endpoint origin(const BindingAnswer& answer) const noexcept {
    return {answer.change_address ? server_.other->address : server_.local.address,
            answer.change_port ? server_.other->port : server_.local.port};
  }

  void add_origin(MessageBuilder& builder, const Endpoint& origin) const noexcept {
    const std::size_t bytes = address_bytes(*server_.other);
    if (builder.size() + bytes > limit_) return;
    builder.add_address(classic_ ? AttributeType::kChangedAddress : AttributeType::kOtherAddress, *server_.other);
    if (builder.size() + bytes > limit_) return;
    builder.add_address(classic_ ? AttributeType::kSourceAddress : AttributeType::kResponseOrigin, origin);
  }

  BindingAnswer refuse_attribute(AttributeType type) const noexcept {
    ByteArray<2> value;
    store_be(value.data(), static_cast<std::uint16_t>(type));
    return refuse(420, "Unknown Attribute", value);
  }

  BindingAnswer refuse(unsigned code, std::string_view reason, ByteView unknown) const noexcept {
    MessageBuilder builder = begin(MessageClass::kError);
    builder.add_error(code, reason);
    if (!unknown.empty()) builder.add(AttributeType::kUnknownAttributes, unknown);
    return {BindingOutcome::kRefused, finish(builder), false, false, std::nullopt};
  }

  ByteView finish(MessageBuilder& builder) const noexcept {
    if (!classic_) {
      const auto& software = server_.software;
      if (!software.empty() && builder.size() + attribute_bytes(software.size()) + kFingerprintBytes <= limit_)
        builder.add_text(AttributeType::kSoftware, software);
      add_padding(builder);
      if (builder.size() + kFingerprintBytes <= limit_) builder.add_fingerprint();
    }
    return builder.size() <= limit_ ? builder.finish() : ByteView{};
  }

  /// As much as the request has (RFC 5780, section 7.6), where it fits.
  void add_padding(MessageBuilder& builder) const noexcept {
    const auto asked = request_.find(AttributeType::kPadding);
    const std::size_t used = builder.size() + attribute_bytes(0) + kFingerprintBytes;
    if (!asked || used > limit_) return;
    static constexpr ByteArray<2048> kZeros{};
    const std::size_t bytes = std::min({asked->size(), limit_ - used, kZeros.size()}) & ~std::size_t{3};
    builder.add(AttributeType::kPadding, ByteView(kZeros).first(bytes));
  }

  const Message& request_;
  bool classic_;
  std::size_t limit_;
  const BindingServer& server_;
  MutableBytes buffer_;
};

}  // namespace

BindingAnswer answer_binding(ByteView datagram, const Endpoint& source, const BindingServer& server,
                             MutableBytes buffer) noexcept {
  const bool classic = !looks_like_stun(datagram);
  const auto request = classic ? parse_classic(datagram) : parse(datagram);
  if (!request) return {BindingOutcome::kMalformed, {}, false, false, std::nullopt};
  if (request->method != kBindingMethod || request->message_class != MessageClass::kRequest)
    return {classic ? BindingOutcome::kMalformed : BindingOutcome::kIgnored, {}, false, false, std::nullopt};
  return Answering(*request, classic, datagram.size(), server, buffer).answer({source.address.unmapped(), source.port});
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

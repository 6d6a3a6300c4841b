#include "stun/message.h"

#include <algorithm>

#include "base/assert.h"
#include "crypto/hash.h"
#include "stun/crc32.h"
#include "stun/integrity.h"

namespace higgs::stun {

namespace {

constexpr std::size_t kAttributeHeaderBytes = 4;
constexpr std::uint32_t kFingerprintXor = 0x5354554e;  // RFC 8489, 14.7
constexpr std::byte kFamilyV4{0x01}, kFamilyV6{0x02};  // RFC 8489, 14.1

constexpr std::size_t padded(std::size_t bytes) noexcept { return (bytes + 3) & ~std::size_t{3}; }

// RFC 8489, figure 3: M11…M7 C1 M6 M5 M4 C0 M3…M0
constexpr std::uint16_t type_of(MessageClass message_class, std::uint16_t method) noexcept {
  const auto bits = static_cast<unsigned>(message_class);
  return static_cast<std::uint16_t>((method & 0x000Fu) | (method & 0x0070u) << 1 | (method & 0x0F80u) << 2 |
                                    (bits & 1) << 4 | (bits & 2) << 7);
}
constexpr std::uint16_t method_of(std::uint16_t type) noexcept {
  return static_cast<std::uint16_t>((type & 0x000Fu) | (type & 0x00E0u) >> 1 | (type & 0x3E00u) >> 2);
}
constexpr MessageClass class_of(std::uint16_t type) noexcept {
  return static_cast<MessageClass>((type >> 4 & 1) | (type >> 7 & 2));
}

using AddressMask = ByteArray<16>;

/// XOR-MAPPED-ADDRESS is masked with the cookie and, for IPv6, the transaction id behind it (RFC 8489, 14.2).
AddressMask mask_of(std::uint32_t cookie, const TransactionId& transaction) noexcept {
  AddressMask mask;
  store_be(mask.data(), cookie);
  std::copy(transaction.begin(), transaction.end(), mask.begin() + 4);
  return mask;
}

std::optional<Endpoint> read_address(ByteView value, const AddressMask& mask) noexcept {
  if (value.size() < 8) return std::nullopt;
  const auto port =
      static_cast<std::uint16_t>(load_be<std::uint16_t>(value.data() + 2) ^ load_be<std::uint16_t>(mask.data()));
  const ByteView address = value.subspan(4);
  if (value[1] == kFamilyV4 && address.size() == 4) {
    ByteArray<4> bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = address[i] ^ mask[i];
    return Endpoint{IpAddress::v4(bytes), port};
  }
  if (value[1] == kFamilyV6 && address.size() == 16) {
    ByteArray<16> bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = address[i] ^ mask[i];
    return Endpoint{IpAddress::v6(bytes), port};
  }
  return std::nullopt;
}

struct AddressValue {
  ByteArray<20> bytes{};
  std::size_t size = 0;
  ByteView view() const noexcept { return ByteView(bytes).first(size); }
};

AddressValue write_address(const Endpoint& endpoint, const AddressMask& mask) noexcept {
  const ByteView address = endpoint.address.bytes();
  AddressValue value;
  value.size = 4 + address.size();
  value.bytes[1] = endpoint.address.is_v4() ? kFamilyV4 : kFamilyV6;
  store_be(value.bytes.data() + 2, static_cast<std::uint16_t>(endpoint.port ^ load_be<std::uint16_t>(mask.data())));
  for (std::size_t i = 0; i < address.size(); ++i) value.bytes[4 + i] = address[i] ^ mask[i];
  return value;
}

std::uint32_t fingerprint_of(ByteView before) noexcept { return crc32(before) ^ kFingerprintXor; }

bool is(std::uint16_t type, AttributeType wanted) noexcept { return type == static_cast<std::uint16_t>(wanted); }

/// Whether an attribute counts, given what integrity came before it (RFC 8489, 14.5 and 14.6).
bool covered(const Message& message, std::uint16_t type) noexcept {
  if (message.integrity_sha256_at != 0) return false;
  return message.integrity_at == 0 || is(type, AttributeType::kMessageIntegritySha256);
}

Result<Message> parse_message(ByteView datagram, bool classic) noexcept {
  const auto type = load_be<std::uint16_t>(datagram.data());
  const std::size_t length = load_be<std::uint16_t>(datagram.data() + 2);
  if (length != datagram.size() - kHeaderBytes || length % 4 != 0) return StunError::kBadLength;

  Message message;
  message.message_class = class_of(type);
  message.method = method_of(type);
  message.cookie = load_be<std::uint32_t>(datagram.data() + 4);
  std::copy_n(datagram.begin() + 8, message.transaction.size(), message.transaction.begin());
  ByteView rest = datagram.subspan(kHeaderBytes);
  while (!rest.empty()) {
    if (message.has_fingerprint) return StunError::kBadFingerprint;
    const std::size_t at = datagram.size() - rest.size();
    const auto attribute = load_be<std::uint16_t>(rest.data());
    const std::size_t value_bytes = load_be<std::uint16_t>(rest.data() + 2);
    if (kAttributeHeaderBytes + padded(value_bytes) > rest.size()) return StunError::kBadAttribute;
    const ByteView value = rest.subspan(kAttributeHeaderBytes, value_bytes);
    const bool fingerprint = !classic && is(attribute, AttributeType::kFingerprint);
    if (fingerprint) {
      if (value.size() != 4 || load_be<std::uint32_t>(value.data()) != fingerprint_of(datagram.first(at)))
        return StunError::kBadFingerprint;
      message.has_fingerprint = true;
    }
    if (fingerprint || covered(message, attribute)) {
      if (message.attribute_count == kMaxAttributes) return StunError::kTooMany;
      message.attributes[message.attribute_count++] = {attribute, value};
      if (is(attribute, AttributeType::kMessageIntegrity)) message.integrity_at = at;
      if (is(attribute, AttributeType::kMessageIntegritySha256)) message.integrity_sha256_at = at;
    }
    rest = rest.subspan(kAttributeHeaderBytes + padded(value_bytes));
  }
  return message;
}

}  // namespace

std::optional<ByteView> Message::find(AttributeType type) const noexcept {
  for (const auto& attribute : all())
    if (is(attribute.type, type)) return attribute.value;
  return std::nullopt;
}

std::optional<std::uint32_t> Message::u32(AttributeType type) const noexcept {
  const auto value = find(type);
  if (!value || value->size() != 4) return std::nullopt;
  return load_be<std::uint32_t>(value->data());
}

std::optional<std::uint64_t> Message::u64(AttributeType type) const noexcept {
  const auto value = find(type);
  if (!value || value->size() != 8) return std::nullopt;
  return load_be<std::uint64_t>(value->data());
}

std::optional<std::string_view> Message::text(AttributeType type) const noexcept {
  const auto value = find(type);
  if (!value) return std::nullopt;
  return as_text(*value);
}

std::optional<Endpoint> Message::xor_address(AttributeType type) const noexcept {
  const auto value = find(type);
  if (!value) return std::nullopt;
  return read_address(*value, mask_of(cookie, transaction));
}

std::optional<Endpoint> Message::address(AttributeType type) const noexcept {
  const auto value = find(type);
  if (!value) return std::nullopt;
  return read_address(*value, {});
}

bool looks_like_stun(ByteView datagram) noexcept {
  return datagram.size() >= kHeaderBytes && (datagram[0] & std::byte{0xC0}) == std::byte{0} &&
         load_be<std::uint32_t>(datagram.data() + 4) == kMagicCookie;
}

Result<Message> parse(ByteView datagram) noexcept {
  if (datagram.size() < kHeaderBytes) return StunError::kTooShort;
  if (!looks_like_stun(datagram)) return StunError::kNotStun;
  return parse_message(datagram, false);
}

Result<Message> parse_classic(ByteView datagram) noexcept {
  if (datagram.size() < kHeaderBytes) return StunError::kTooShort;
  if ((datagram[0] & std::byte{0xC0}) != std::byte{0}) return StunError::kNotStun;
  return parse_message(datagram, true);
}

std::optional<Endpoint> mapped_address(const Message& message) noexcept {
  if (message.has(AttributeType::kXorMappedAddress)) return message.xor_address(AttributeType::kXorMappedAddress);
  return message.address(AttributeType::kMappedAddress);
}

std::optional<unsigned> error_code(const Message& message) noexcept {
  const auto value = message.find(AttributeType::kErrorCode);
  if (!value || value->size() < 4) return std::nullopt;
  const unsigned hundreds = std::to_integer<unsigned>((*value)[2]) & 7, rest = std::to_integer<unsigned>((*value)[3]);
  if (hundreds < 3 || hundreds > 6 || rest > 99) return std::nullopt;
  return hundreds * 100 + rest;
}

MessageBuilder::MessageBuilder(MutableBytes buffer, MessageClass message_class, std::uint16_t method,
                               const TransactionId& transaction, std::uint32_t cookie) noexcept
    : buffer_(buffer), size_(kHeaderBytes) {
  HIGGS_ASSERT(buffer.size() >= kHeaderBytes);
  store_be(buffer_.data(), type_of(message_class, method));
  store_be(buffer_.data() + 4, cookie);
  std::copy(transaction.begin(), transaction.end(), buffer_.begin() + 8);
  store_length();
}

void MessageBuilder::store_length() noexcept {
  store_be(buffer_.data() + 2, static_cast<std::uint16_t>(size_ - kHeaderBytes));
}

MessageBuilder& MessageBuilder::add(AttributeType type, ByteView value) noexcept {
  const std::size_t bytes = kAttributeHeaderBytes + padded(value.size());
  if (bytes > buffer_.size() - size_ || size_ - kHeaderBytes + bytes > 0xFFFF) {
    overflow_ = true;
    return *this;
  }
  std::byte* to = buffer_.data() + size_;
  store_be(to, static_cast<std::uint16_t>(type));
  store_be(to + 2, static_cast<std::uint16_t>(value.size()));
  std::fill_n(to + kAttributeHeaderBytes, bytes - kAttributeHeaderBytes, std::byte{0});
  std::copy(value.begin(), value.end(), to + kAttributeHeaderBytes);
  size_ += bytes;
  store_length();
  return *this;
}

MessageBuilder& MessageBuilder::add_u32(AttributeType type, std::uint32_t value) noexcept {
  ByteArray<4> bytes;
  store_be(bytes.data(), value);
  return add(type, bytes);
}

MessageBuilder& MessageBuilder::add_u64(AttributeType type, std::uint64_t value) noexcept {
  ByteArray<8> bytes;
  store_be(bytes.data(), value);
  return add(type, bytes);
}

MessageBuilder& MessageBuilder::add_xor_address(AttributeType type, const Endpoint& endpoint) noexcept {
  TransactionId transaction;
  std::copy_n(buffer_.begin() + 8, transaction.size(), transaction.begin());
  const auto mask = mask_of(load_be<std::uint32_t>(buffer_.data() + 4), transaction);
  return add(type, write_address(endpoint, mask).view());
}

MessageBuilder& MessageBuilder::add_address(AttributeType type, const Endpoint& endpoint) noexcept {
  return add(type, write_address(endpoint, {}).view());
}

MessageBuilder& MessageBuilder::add_error(unsigned code, std::string_view reason) noexcept {
  // RFC 8489, 14.8: a reason phrase of fewer than 128 characters.
  ByteArray<4 + 127> value{};
  value[2] = std::byte(code / 100);
  value[3] = std::byte(code % 100);
  const std::size_t length = std::min<std::size_t>(reason.size(), 127);
  std::copy_n(as_bytes(reason).begin(), length, value.begin() + 4);
  return add(AttributeType::kErrorCode, ByteView(value).first(4 + length));
}

MessageBuilder& MessageBuilder::add_message_integrity(const IntegrityKey& key) noexcept {
  // The length covers the attribute, the tag what stands before it (RFC 8489, 14.5).
  const std::size_t before = size_;
  add(AttributeType::kMessageIntegrity, crypto::Sha1Digest{});
  if (overflow_) return *this;
  const auto tag = crypto::hmac_sha1(key.reveal(), {buffer_.first(before)});
  std::copy(tag.begin(), tag.end(), buffer_.begin() + static_cast<std::ptrdiff_t>(before + kAttributeHeaderBytes));
  return *this;
}

MessageBuilder& MessageBuilder::add_message_integrity_sha256(const IntegrityKey& key) noexcept {
  const std::size_t before = size_;
  add(AttributeType::kMessageIntegritySha256, crypto::Sha256Digest{});
  if (overflow_) return *this;
  const auto tag = crypto::hmac_sha256(key.reveal(), buffer_.first(before));
  std::copy(tag.begin(), tag.end(), buffer_.begin() + static_cast<std::ptrdiff_t>(before + kAttributeHeaderBytes));
  return *this;
}

MessageBuilder& MessageBuilder::add_fingerprint() noexcept {
  // The length covers the attribute before its value is computed (RFC 8489, 14.7).
  const std::size_t before = size_;
  add(AttributeType::kFingerprint, ByteArray<4>{});
  if (!overflow_) store_be(buffer_.data() + before + kAttributeHeaderBytes, fingerprint_of(buffer_.first(before)));
  return *this;
}

ByteView MessageBuilder::finish() noexcept {
  if (overflow_) return {};
  return buffer_.first(size_);
}

}  // namespace higgs::stun

HIGGS_ERROR_CATEGORY(higgs::stun, StunError, "stun") {
  switch (error) {
    case higgs::stun::StunError::kTooShort:
      return "too short for a STUN header";
    case higgs::stun::StunError::kNotStun:
      return "not a STUN message";
    case higgs::stun::StunError::kBadLength:
      return "the message length is wrong";
    case higgs::stun::StunError::kBadAttribute:
      return "an attribute runs past the end";
    case higgs::stun::StunError::kTooMany:
      return "too many attributes";
    case higgs::stun::StunError::kBadFingerprint:
      return "the fingerprint is wrong";
  }
  return "unknown error";
}

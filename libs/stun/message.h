// STUN messages (RFC 8489): parsing into views, building into the caller's buffer. Binding only.
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |0 0|     STUN Message Type     |         Message Length        |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                         Magic Cookie                          |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                     Transaction ID (96 bits)                  |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   | attributes: type (16), length (16), value, padded to 4 bytes  |
//
// Pure; nothing is owned, nothing throws, no assertion on what was received.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/result.h"

namespace higgs::stun {

enum class StunError {
  kTooShort = 1,
  kNotStun,         ///< the first two bits, or the magic cookie
  kBadLength,       ///< the length is not that of the datagram, or no multiple of 4
  kBadAttribute,    ///< an attribute runs past the end
  kTooMany,         ///< more than kMaxAttributes
  kBadFingerprint,  ///< wrong, or not the last attribute
};

// RFC 8489, section 5.
inline constexpr std::uint32_t kMagicCookie = 0x2112A442;
inline constexpr std::size_t kHeaderBytes = 20;
inline constexpr std::uint16_t kBindingMethod = 0x001;
enum class MessageClass : std::uint8_t { kRequest = 0, kIndication = 1, kSuccess = 2, kError = 3 };
using TransactionId = ByteArray<12>;

// RFC 8489, section 18.3.
enum class AttributeType : std::uint16_t {
  kMappedAddress = 0x0001,
  kUsername = 0x0006,
  kMessageIntegrity = 0x0008,
  kErrorCode = 0x0009,
  kUnknownAttributes = 0x000A,
  kRealm = 0x0014,
  kNonce = 0x0015,
  kMessageIntegritySha256 = 0x001C,
  kPasswordAlgorithm = 0x001D,
  kUserhash = 0x001E,
  kXorMappedAddress = 0x0020,
  kSoftware = 0x8022,
  kFingerprint = 0x8028,
};
/// Types below 0x8000 must be understood, or the message is refused (RFC 8489, section 14).
inline constexpr bool comprehension_required(std::uint16_t type) noexcept { return type < 0x8000; }

// Of our choosing.
inline constexpr std::size_t kMaxAttributes = 32;

struct Attribute {
  std::uint16_t type = 0;
  ByteView value;  ///< without padding
};

/// A parsed message; views into the datagram.
struct Message {
  MessageClass message_class = MessageClass::kRequest;
  std::uint16_t method = 0;
  TransactionId transaction{};
  std::array<Attribute, kMaxAttributes> attributes;
  std::size_t attribute_count = 0;
  bool has_fingerprint = false;  ///< and it was right

  std::span<const Attribute> all() const noexcept { return std::span(attributes).first(attribute_count); }
  /// The first of that type: later ones are ignored (RFC 8489, section 14).
  std::optional<ByteView> find(AttributeType type) const noexcept;
};

/// Whether a datagram on a shared port is for STUN: the two zero bits and the cookie.
bool looks_like_stun(ByteView datagram) noexcept;
Result<Message> parse(ByteView datagram) noexcept;

/// Of XOR-MAPPED-ADDRESS, or else MAPPED-ADDRESS.
std::optional<Endpoint> mapped_address(const Message& message) noexcept;
/// Of ERROR-CODE: 300 to 699.
std::optional<unsigned> error_code(const Message& message) noexcept;

/// Builds one message in the caller's buffer. What does not fit is left out and makes finish() empty.
class MessageBuilder {
 public:
  MessageBuilder(MutableBytes buffer, MessageClass message_class, std::uint16_t method,
                 const TransactionId& transaction) noexcept;

  MessageBuilder& add(AttributeType type, ByteView value) noexcept;
  MessageBuilder& add_xor_mapped_address(const Endpoint& endpoint) noexcept;
  MessageBuilder& add_error(unsigned code, std::string_view reason) noexcept;
  /// Goes last.
  MessageBuilder& add_fingerprint() noexcept;
  std::size_t size() const noexcept { return size_; }
  /// The message; empty if something did not fit.
  ByteView finish() noexcept;

 private:
  void store_length() noexcept;

  MutableBytes buffer_;
  std::size_t size_ = 0;
  bool overflow_ = false;
};

}  // namespace higgs::stun

HIGGS_ERROR_ENUM(higgs::stun, StunError)

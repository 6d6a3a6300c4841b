// STUN messages (RFC 8489): parsing into views, building into the caller's buffer; with the attributes of behaviour
// discovery (RFC 5780), TURN (RFC 8656) and ICE (RFC 8445).
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
// RFC 8656, section 17.
inline constexpr std::uint16_t kAllocateMethod = 0x003, kRefreshMethod = 0x004, kSendMethod = 0x006,
                               kDataMethod = 0x007, kCreatePermissionMethod = 0x008, kChannelBindMethod = 0x009;
enum class MessageClass : std::uint8_t { kRequest = 0, kIndication = 1, kSuccess = 2, kError = 3 };
using TransactionId = ByteArray<12>;

enum class AttributeType : std::uint16_t {
  // RFC 8489, section 18.3.
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
  kPasswordAlgorithms = 0x8002,
  kAlternateDomain = 0x8003,
  kSoftware = 0x8022,
  kAlternateServer = 0x8023,
  kFingerprint = 0x8028,
  // RFC 3489, section 11.2: what only classic clients know.
  kResponseAddress = 0x0002,
  kSourceAddress = 0x0004,
  kChangedAddress = 0x0005,
  // RFC 5780, section 7.
  kChangeRequest = 0x0003,
  kPadding = 0x0026,
  kResponsePort = 0x0027,
  kResponseOrigin = 0x802B,
  kOtherAddress = 0x802C,
  // RFC 8656, section 18.
  kChannelNumber = 0x000C,
  kLifetime = 0x000D,
  kXorPeerAddress = 0x0012,
  kData = 0x0013,
  kXorRelayedAddress = 0x0016,
  kRequestedAddressFamily = 0x0017,
  kEvenPort = 0x0018,
  kRequestedTransport = 0x0019,
  kDontFragment = 0x001A,
  kReservationToken = 0x0022,
  kAdditionalAddressFamily = 0x8000,
  kAddressErrorCode = 0x8001,
  kIcmp = 0x8004,
  // RFC 8445, section 16.1.
  kPriority = 0x0024,
  kUseCandidate = 0x0025,
  kIceControlled = 0x8029,
  kIceControlling = 0x802A,
  // Of the range that needs no understanding: the epoch since which the sender uses the pair (proto/relay.md).
  kNomination = 0xC001,
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
  std::uint32_t cookie = kMagicCookie;  ///< of parse_classic(): the first four bytes of the longer transaction id
  std::array<Attribute, kMaxAttributes> attributes;
  std::size_t attribute_count = 0;
  bool has_fingerprint = false;  ///< and it was right
  /// Where these attributes begin in the datagram; 0: absent. What follows them is not among `attributes`, except
  /// MESSAGE-INTEGRITY-SHA256 after MESSAGE-INTEGRITY, and FINGERPRINT (RFC 8489, 14.5 and 14.6).
  std::size_t integrity_at = 0, integrity_sha256_at = 0;

  std::span<const Attribute> all() const noexcept { return std::span(attributes).first(attribute_count); }
  /// The first of that type: later ones are ignored (RFC 8489, section 14).
  std::optional<ByteView> find(AttributeType type) const noexcept;
  bool has(AttributeType type) const noexcept { return find(type).has_value(); }
  // nullopt: absent, or not of that form.
  std::optional<std::uint32_t> u32(AttributeType type) const noexcept;
  std::optional<std::uint64_t> u64(AttributeType type) const noexcept;
  std::optional<std::string_view> text(AttributeType type) const noexcept;
  /// Masked with the cookie (and the transaction id): all XOR-…-ADDRESS attributes.
  std::optional<Endpoint> xor_address(AttributeType type) const noexcept;
  /// In clear: MAPPED-ADDRESS, OTHER-ADDRESS, RESPONSE-ORIGIN, ALTERNATE-SERVER.
  std::optional<Endpoint> address(AttributeType type) const noexcept;
};

/// Whether a datagram on a shared port is for STUN: the two zero bits and the cookie.
bool looks_like_stun(ByteView datagram) noexcept;
Result<Message> parse(ByteView datagram) noexcept;
/// A message of RFC 3489, which has no cookie.
Result<Message> parse_classic(ByteView datagram) noexcept;

/// Of XOR-MAPPED-ADDRESS, or else MAPPED-ADDRESS.
std::optional<Endpoint> mapped_address(const Message& message) noexcept;
/// Of ERROR-CODE: 300 to 699.
std::optional<unsigned> error_code(const Message& message) noexcept;

class IntegrityKey;

/// Builds one message in the caller's buffer. What does not fit is left out and makes finish() empty.
class MessageBuilder {
 public:
  /// The buffer holds kHeaderBytes at least. Another cookie is for the answer to a classic request only.
  MessageBuilder(MutableBytes buffer, MessageClass message_class, std::uint16_t method,
                 const TransactionId& transaction, std::uint32_t cookie = kMagicCookie) noexcept;

  MessageBuilder& add(AttributeType type, ByteView value) noexcept;
  MessageBuilder& add_u32(AttributeType type, std::uint32_t value) noexcept;
  MessageBuilder& add_u64(AttributeType type, std::uint64_t value) noexcept;
  MessageBuilder& add_text(AttributeType type, std::string_view text) noexcept { return add(type, as_bytes(text)); }
  MessageBuilder& add_xor_address(AttributeType type, const Endpoint& endpoint) noexcept;
  MessageBuilder& add_xor_mapped_address(const Endpoint& endpoint) noexcept {
    return add_xor_address(AttributeType::kXorMappedAddress, endpoint);
  }
  /// In clear.
  MessageBuilder& add_address(AttributeType type, const Endpoint& endpoint) noexcept;
  MessageBuilder& add_error(unsigned code, std::string_view reason) noexcept;
  /// After everything but the other two; where both are sent, this one goes first (RFC 8489, 14.5).
  MessageBuilder& add_message_integrity(const IntegrityKey& key) noexcept;
  MessageBuilder& add_message_integrity_sha256(const IntegrityKey& key) noexcept;
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

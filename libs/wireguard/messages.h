// The four messages of WireGuard (paper, section 5.4). All integers are little-endian.
//
// Parsers check the type and the length and return views into the message; they check nothing cryptographic.
//
//  initiation, 148 bytes (5.4.2)              response, 92 bytes (5.4.3)
//   0      4      8                            0      4      8      12
//   +------+------+--------------------+       +------+------+------+--------------------+
//   |  1   |sender| ephemeral       32 |       |  2   |sender| recv | ephemeral       32 |
//   +------+------+------+-------------+       +------+------+------+--------------------+
//   | static, sealed        32 + 16 |  40      | nothing, sealed  16 |  44
//   +-------------------------------+          +---------------------+
//   | timestamp, sealed     12 + 16 |  88      | mac1             16 |  60
//   +-------------------------------+          +---------------------+
//   | mac1                       16 | 116      | mac2             16 |  76
//   +-------------------------------+          +---------------------+
//   | mac2                       16 | 132
//   +-------------------------------+
//
//  cookie reply, 64 bytes (5.4.7)             transport data, 32 bytes and more (5.4.6)
//   0      4      8                            0      4      8          16
//   +------+------+------------+               +------+------+----------+----------------------------+
//   |  3   | recv | nonce   24 |               |  4   | recv |  counter | packet, padded, sealed + 16 |
//   +------+------+------------+               +------+------+----------+----------------------------+
//   | cookie, sealed   16 + 16 | 32
//   +--------------------------+
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.h"

namespace higgs::wireguard {

enum class MessageType : std::uint32_t { kInitiation = 1, kResponse = 2, kCookieReply = 3, kData = 4 };

inline constexpr std::size_t kInitiationBytes = 148;
inline constexpr std::size_t kResponseBytes = 92;
inline constexpr std::size_t kCookieReplyBytes = 64;
/// Of a keepalive: header and tag around nothing.
inline constexpr std::size_t kMinDataBytes = 32;
inline constexpr std::size_t kMacBytes = 16;
inline constexpr std::size_t kTimestampBytes = 12;

template <std::size_t N>
using FixedView = std::span<const std::byte, N>;
template <std::size_t N>
using FixedBytes = std::span<std::byte, N>;

struct InitiationView {
  std::uint32_t sender;
  FixedView<32> ephemeral;
  FixedView<48> sealed_static;
  FixedView<28> sealed_timestamp;
};

struct ResponseView {
  std::uint32_t sender;
  std::uint32_t receiver;
  FixedView<32> ephemeral;
  FixedView<16> sealed_nothing;
};

struct CookieReplyView {
  std::uint32_t receiver;
  FixedView<24> nonce;
  FixedView<32> sealed_cookie;
};

/// The first four bytes (the type and three reserved zeros); nullopt if they are no type or the message is shorter.
std::optional<MessageType> message_type(ByteView message) noexcept;

std::optional<InitiationView> parse_initiation(ByteView message) noexcept;
std::optional<ResponseView> parse_response(ByteView message) noexcept;
std::optional<CookieReplyView> parse_cookie_reply(ByteView message) noexcept;

/// Initiation and response end in mac1 and mac2: mac1 covers what is before it, mac2 also mac1 (5.4.4).
inline ByteView before_mac1(ByteView message) noexcept { return message.first(message.size() - 2 * kMacBytes); }
inline ByteView before_mac2(ByteView message) noexcept { return message.first(message.size() - kMacBytes); }
inline ByteView mac1_of(ByteView message) noexcept { return message.last(2 * kMacBytes).first(kMacBytes); }
inline ByteView mac2_of(ByteView message) noexcept { return message.last(kMacBytes); }

/// Header of a data message.
inline std::uint32_t data_receiver(const std::byte* message) noexcept { return load_le<std::uint32_t>(message + 4); }
inline std::uint64_t data_counter(const std::byte* message) noexcept { return load_le<std::uint64_t>(message + 8); }
inline void write_data_header(std::byte* message, std::uint32_t receiver, std::uint64_t counter) noexcept {
  store_le(message, static_cast<std::uint32_t>(MessageType::kData));
  store_le(message + 4, receiver);
  store_le(message + 8, counter);
}

}  // namespace higgs::wireguard

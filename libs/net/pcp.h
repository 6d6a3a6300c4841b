// The wire format of the Port Control Protocol (RFC 6887) as far as one mapping of a UDP port needs it: the opcodes
// ANNOUNCE and MAP without options. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/time.h"

namespace higgs::net::pcp {

// RFC 6887, 19.1: the server's port, and the clients' for multicast announcements.
inline constexpr std::uint16_t kServerPort = 5351;
inline constexpr std::uint16_t kClientPort = 5350;
// RFC 6887, 7: "PCP messages [have] a maximum length of 1100 octets".
inline constexpr std::size_t kMaxBytes = 1100;
inline constexpr std::size_t kHeaderBytes = 24;
inline constexpr std::size_t kMapBytes = 36;

enum class Opcode : std::uint8_t { kAnnounce = 0, kMap = 1 };

/// RFC 6887, 7.4; others are shown by number.
enum class ResultCode : std::uint8_t {
  kSuccess = 0,
  kUnsupportedVersion = 1,
  kNotAuthorized = 2,
  kMalformedRequest = 3,
  kUnsupportedOpcode = 4,
  kUnsupportedOption = 5,
  kMalformedOption = 6,
  kNetworkFailure = 7,
  kNoResources = 8,
  kUnsupportedProtocol = 9,
  kUserExceededQuota = 10,
  kCannotProvideExternal = 11,
  kAddressMismatch = 12,
  kExcessiveRemotePeers = 13,
};
/// A sentence for people.
std::string describe(ResultCode code);

using Nonce = ByteArray<12>;

struct MapRequest {
  IpAddress client;  ///< the source address of the request
  Nonce nonce{};
  std::uint16_t internal_port = 0;
  std::uint32_t lifetime_seconds = 0;  ///< 0: delete
  Endpoint suggested;                  ///< port 0: any
};
Bytes encode_map_request(const MapRequest& request);
Bytes encode_announce_request(const IpAddress& client);

struct MapAnswer {
  Nonce nonce{};
  std::uint16_t internal_port = 0;
  Endpoint external;
};
struct Response {
  Opcode opcode = Opcode::kAnnounce;
  ResultCode result = ResultCode::kSuccess;
  std::uint32_t lifetime_seconds = 0;
  std::uint32_t epoch_seconds = 0;
  std::optional<MapAnswer> map;  ///< of UDP; always there with kMap
};
/// nullopt: no response to ANNOUNCE or MAP (of UDP). A server that knows NAT-PMP alone answers in eight bytes with
/// version 0 (RFC 6886, 3.5): kUnsupportedVersion.
std::optional<Response> parse_response(ByteView datagram) noexcept;

/// Whether the server lost its state between two responses (RFC 6887, 8.5).
class EpochCheck {
 public:
  /// False: it did. From there on it counts anew.
  bool accept(Instant now, std::uint32_t epoch_seconds) noexcept;

 private:
  struct Reading {
    Instant at;
    std::int64_t epoch;
  };
  std::optional<Reading> last_;
};

}  // namespace higgs::net::pcp

// Values that several bodies share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"

namespace higgs::api {

/// How a NAT treats UDP, in the words of RFC 3489 that people know; found as RFC 5780 says. kUnknown: not measured.
enum class NatType { kOpen, kFullCone, kRestrictedCone, kPortRestricted, kSymmetric, kUdpBlocked, kUnknown };
std::string_view to_string(NatType type);
std::optional<NatType> parse_nat_type(std::string_view name);

enum class Role { kUser, kOperator, kAdmin };  ///< in order of power
std::string_view to_string(Role role);
std::optional<Role> parse_role(std::string_view name);

struct Bandwidth {
  double up = 0;  ///< Mbit/s
  double down = 0;
};

struct Coordinates {
  double latitude = 0;  ///< degrees; in JSON [latitude, longitude]
  double longitude = 0;
  friend bool operator==(const Coordinates&, const Coordinates&) = default;
};

struct Location {
  std::string country;  ///< ISO 3166-1 alpha-2, upper case
  std::string region;   ///< free text
  std::optional<Coordinates> coordinates;
};

struct HostPort {
  std::string host;  ///< name or address without brackets
  std::uint16_t port = 0;
};

/// A server of the deployment, for API and relay.
struct RelayServer {
  std::string id;
  std::string host;  ///< name or address without brackets
  std::uint16_t port = 0;
  std::string protocol = "websocket";  ///< "tcp", "udp" or "websocket"
  std::optional<std::string> pin;      ///< "sha256/…" of its key, for who trusts by pins
  double load = 0;                     ///< percent
  bool draining = false;

  /// "https://host:port".
  std::string origin() const;
};

struct Message {
  std::string message;
};

}  // namespace higgs::api

// One server of a cluster as the others know it: what it says of itself, again and again, while it lives. Who it is
// stands in its entry, which only the store is believed about. How it is stands in its pulse, for presence.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/common.h"
#include "base/uuid.h"

namespace higgs::boson {

/// Who has said nothing for so long is taken to be gone. Clocks of servers differ by less.
inline constexpr std::chrono::seconds kServerSilence{10};

struct ServerPulse {
  double load = 0;  ///< percent
  bool draining = false;
  friend bool operator==(const ServerPulse&, const ServerPulse&) = default;
};

struct ServerEntry {
  ServerId id;
  std::string url;                 ///< origin under which nodes, clients and other servers reach it
  std::string pin;                 ///< "sha256/…" of its TLS key
  unsigned relay_workers = 1;      ///< see relay::worker_of()
  std::uint16_t stun_port = 3478;  ///< on the same host
  double load = 0;                 ///< percent
  bool draining = false;

  ServerPulse pulse() const { return {load, draining}; }
  /// As nodes and clients are told.
  api::RelayServer shown() const;
  friend bool operator==(const ServerEntry&, const ServerEntry&) = default;
};

/// "vpn.example.org" and 8443 of "https://vpn.example.org:8443"; IPv6 without brackets. The URL is an origin.
std::string host_of_origin(std::string_view origin);
std::uint16_t port_of_origin(std::string_view origin);

std::string encode_entry(const ServerEntry& entry);
/// nullopt for what is no entry: it may be a newer version's.
std::optional<ServerEntry> decode_entry(std::string_view json);

std::string encode_pulse(const ServerPulse& pulse);
std::optional<ServerPulse> decode_pulse(std::string_view json);

}  // namespace higgs::boson

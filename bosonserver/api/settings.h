// What an operator may set about the API; bosonserver/settings.h reads it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "bosonserver/domain/admission.h"
#include "bosonserver/domain/lockout.h"
#include "bosonserver/domain/route_scoring.h"
#include "bosonserver/store/records.h"

namespace higgs::boson {

/// Requests a minute.
struct RateLimits {
  // From one address (IPv6: one /64).
  std::uint32_t general = 1200;
  std::uint32_t login = 60;         ///< login, refresh, logout
  std::uint32_t registration = 60;  ///< challenge, register

  // Of one account, from wherever, with all its logins and API keys.
  std::uint32_t account = 1200;
  std::uint32_t lists = 600;
  std::uint32_t routes = 240;

  std::uint32_t node = 240;   ///< of one node; it sends a heartbeat each 2 to 300 s, and as many metrics at most
  std::uint32_t links = 120;  ///< to the relay, of one node, session or server
};

/// Who may make an account.
enum class Registration {
  kInvite,  ///< who has an invite
  kOpen,    ///< everybody
};

struct ApiSettings {
  /// "https://host:port" under which the server is reached; unset: what a request's Host says, see LocalNames.
  std::optional<std::string> public_origin;
  std::vector<IpAddress> public_addresses;  ///< of the host in public_origin, for clients that cannot ask for it
  AdmissionPolicy admission;
  Registration registration = Registration::kInvite;
  RouteWeights weights;
  LockoutPolicy lockout;
  Retention retention;
  RateLimits rates;
  std::vector<IpAddress> dns;  ///< resolvers for clients, asked through the exit
  std::uint16_t stun_port = 3478;
  std::uint32_t sessions_per_user = 16;
  std::optional<std::uint64_t> relay_quota_bytes;  ///< of a user in a month, both ways; unset: none
  std::uint32_t mtu = 1420;
  std::uint32_t keepalive = 25;  ///< seconds

  // RFC 6749 leaves lifetimes to us.
  std::chrono::seconds access_lifetime{15 * 60};
  std::chrono::seconds refresh_lifetime{30 * 24 * 3600};
  std::chrono::seconds node_lifetime{24 * 3600};
  std::chrono::seconds session_lifetime{30 * 60};
  std::chrono::seconds nonce_lifetime{60};
  std::chrono::seconds key_rotation{30 * 24 * 3600};
  std::chrono::milliseconds route_cache{5000};
};

}  // namespace higgs::boson

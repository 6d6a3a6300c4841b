// Fields of common.h and key_certificate.h, for this module's sources.
#pragma once

#include "api/codec_fields.h"
#include "api/key_certificate.h"
#include "api/node.h"
#include "api/routing.h"

namespace higgs::api {

using codec::Between;
using codec::kPercentage;
using codec::kToken;
using codec::Length;
using codec::Like;

inline constexpr Between kNotNegative{0, 1e15};
inline constexpr Length kName{1, 64};

namespace codec {
template <>
struct Names<NatType> {
  static constexpr std::array<std::string_view, 7> kAll{"Open",      "FullCone",   "RestrictedCone", "PortRestricted",
                                                        "Symmetric", "UdpBlocked", "Unknown"};
};
template <>
struct Names<Role> {
  static constexpr std::array<std::string_view, 3> kAll{"user", "operator", "admin"};
};
template <>
struct Names<NodeStatus> {
  static constexpr std::array<std::string_view, 5> kAll{"online", "degraded", "offline", "pending", "banned"};
};
template <>
struct Names<ActionType> {
  static constexpr std::array<std::string_view, 3> kAll{"updateConfig", "restart", "maintenance"};
};
template <>
struct Names<RouteType> {
  static constexpr std::array<std::string_view, 3> kAll{"direct", "relay", "cascade"};
};
}  // namespace codec

template <class V, Like<Bandwidth> S>
void describe(V& v, S& s) {
  v("up", s.up, kNotNegative);
  v("down", s.down, kNotNegative);
}

template <class V, Like<Location> S>
void describe(V& v, S& s) {
  v("country", s.country, Length{2, 2});
  v("region", s.region, Length{0, 64});
  v.nullable("coordinates", s.coordinates);
}

template <class V, Like<HostPort> S>
void describe(V& v, S& s) {
  v("host", s.host, Length{1, 255});
  v("port", s.port, Between{1, 65535});
}

template <class V, Like<RelayServer> S>
void describe(V& v, S& s) {
  v("id", s.id, kName);
  v("host", s.host, Length{1, 255});
  v("port", s.port, Between{1, 65535});
  v("protocol", s.protocol, kName);
}

template <class V, Like<ExitPolicy> S>
void describe(V& v, S& s) {
  v("blockedPorts", s.blocked_ports);
  v("privateNetworks", s.private_networks);
  v.nullable("rateLimitMbps", s.rate_limit_mbps);
  v.nullable("monthlyQuotaGib", s.monthly_quota_gib);
  v("logging", s.logging, kName);
}

template <class V, Like<KeyCertificate> S>
void describe(V& v, S& s) {
  v("identityKey", s.identity_key);
  v("wireguardPublicKey", s.wireguard_public_key);
  v("sequence", s.sequence, Between{0, 9.0e18});
  v("notAfter", s.not_after, Between{0, 253402300799.0});
  v("exitPolicy", s.exit_policy);
  v("signature", s.signature);
}

}  // namespace higgs::api

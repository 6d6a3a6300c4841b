// Bodies of /api/v1/routing/request and /api/v1/sessions/….
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/common.h"
#include "api/json.h"
#include "api/key_certificate.h"
#include "base/ip.h"
#include "base/uuid.h"

namespace higgs::api {

enum class RouteType { kDirect, kRelay, kCascade };
std::string_view to_string(RouteType type);

struct RouteRequirements {
  std::optional<double> min_bandwidth;            ///< Mbit/s, down
  std::optional<double> max_latency;              ///< ms
  std::optional<std::string> preferred_location;  ///< a region
  std::optional<std::string> preferred_country;
  friend bool operator==(const RouteRequirements&, const RouteRequirements&) = default;
};

struct ClientNetworkInfo {
  std::optional<IpAddress> ipv4;
  std::optional<IpAddress> ipv6;
  NatType nat_type = NatType::kUnknown;
  std::optional<Endpoint> stun_mapped_address;
};

struct RoutingRequest {
  ClientId client_id;
  crypto::PublicKey wireguard_public_key;  ///< of this session only
  std::optional<NodeId> target_node_id;
  RouteRequirements requirements;
  ClientNetworkInfo client_network_info;
};

struct Route {
  std::string id;
  RouteType type = RouteType::kRelay;
  std::vector<std::string> path;  ///< ids
  double estimated_latency = 0;
  double estimated_bandwidth = 0;
  double cost = 0;  ///< lower is better
  std::uint32_t priority = 0;
};

struct WireguardConfig {
  crypto::PublicKey public_key;
  KeyCertificate key_certificate;
  std::optional<std::string> preshared_key;  ///< always null: one from the server would be the server's to know
  std::vector<IpPrefix> address;
  std::vector<IpAddress> dns;
  std::uint32_t mtu = 1420;
  std::vector<IpPrefix> allowed_ips;
  std::uint32_t persistent_keepalive = 25;  ///< seconds
};

struct NodeEndpoint {
  NodeId node_id;
  bool direct_connection = false;
  WireguardConfig wireguard_config;
};

struct TurnServer {
  std::string urls;
  std::string username;
  std::string credential;
  std::int64_t expires_at = 0;
};

/// Of a name elsewhere in the answer: a client whose kill switch is closed can ask nobody else.
struct HostAddresses {
  std::string name;
  std::vector<IpAddress> addresses;
};

struct SelectedRoute {
  std::string id;
  SessionId session_id;
  std::string relay_endpoint;  ///< wss://…/relay/{sessionId}
  NodeEndpoint node_endpoint;
  std::vector<HostPort> stun_servers;
  std::vector<TurnServer> turn;
  std::vector<HostAddresses> hosts;
  std::string session_token;  ///< aud relay, for this session only
  std::int64_t expires_at = 0;
};

struct RoutingResponse {
  std::vector<Route> routes;
  SelectedRoute selected_route;
  /// Any of them takes the session's link, at /relay/{sessionId}; empty: nothing is said of others.
  std::vector<RelayServer> relay_servers;
};

struct SessionRenewal {
  std::string session_token;
  std::int64_t expires_at = 0;
};

}  // namespace higgs::api

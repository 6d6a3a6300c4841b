// Bodies of /api/v1/nodes/… and /api/v1/metrics: registration, heartbeat, lists, metrics.
// Times are Unix seconds, latencies ms, bandwidth Mbit/s, percentages 0 to 100.
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

/// kOffline and kPending nodes, and banned ones, are offered to nobody.
enum class NodeStatus { kOnline, kDegraded, kOffline, kPending, kBanned };
std::string_view to_string(NodeStatus status);
std::optional<NodeStatus> parse_node_status(std::string_view name);

enum class ActionType { kUpdateConfig, kRestart, kMaintenance };
std::string_view to_string(ActionType type);
std::optional<ActionType> parse_action_type(std::string_view name);

struct ChallengeResponse {
  std::string nonce;
  std::int64_t expires_at = 0;
};

struct NetworkInfo {
  IpAddress ipv4;
  std::optional<IpAddress> ipv6;
  NatType nat_type = NatType::kUnknown;
  std::optional<Endpoint> stun_mapped_address;
  std::uint16_t local_port = 0;
};

struct Capabilities {
  std::uint32_t max_connections = 0;
  Bandwidth bandwidth;
  bool routing = false;
  bool natting = false;
};

struct NodeMetrics {
  double latency = 0;  ///< round trip to the server
  double jitter = 0;
  double packet_loss = 0;
  double cpu_usage = 0;
  double memory_usage = 0;
};

struct RegisterRequest {
  NodeId node_id;
  crypto::PublicKey public_key;  ///< WireGuard; the one of the certificate
  crypto::Ed25519PublicKey identity_key;
  std::string nonce;
  KeyCertificate key_certificate;
  std::vector<IpPrefix> tunnel_prefixes;  ///< where the server takes clients' addresses from: one v4, at most one v6
  NetworkInfo network_info;
  Capabilities capabilities;
  NodeMetrics metrics;
  std::optional<Location> location;
  std::uint32_t heartbeat_interval = 30;  ///< seconds
};

struct RegisterResponse {
  NodeId node_id;
  bool pending = false;  ///< status "pending" instead of "registered": an operator has to approve
  std::vector<RelayServer> relay_servers;
  std::vector<HostPort> stun_servers;
  std::string session_token;  ///< aud node: heartbeat, metrics
  std::string relay_token;    ///< aud relay
  std::int64_t expires_at = 0;
  std::optional<IpAddress> observed_address;  ///< where the server saw the request come from: the node's public one
};

struct HeartbeatMetrics : NodeMetrics {
  std::uint32_t active_connections = 0;
  Bandwidth bandwidth;  ///< in use now
};

struct ActionResult {
  std::string id;
  bool ok = false;
  std::string detail;
};

struct HeartbeatRequest {
  HeartbeatMetrics metrics;
  NodeStatus status = NodeStatus::kOnline;  ///< online, degraded or offline
  std::vector<ActionResult> action_results;
};

struct NodeAction {
  std::string id;
  ActionType type = ActionType::kUpdateConfig;
  JsonText payload;
};

struct HeartbeatResponse {
  std::string status = "ok";
  std::int64_t next_heartbeat = 0;
  std::vector<NodeAction> actions;
  std::optional<std::string> session_token;
  std::optional<std::string> relay_token;
  std::optional<IpAddress> observed_address;
  std::vector<RelayServer> relay_servers;  ///< empty: nothing is said of others
};

/// What a client may know of a node: never its address.
struct NodeSummary {
  NodeId node_id;
  NodeStatus status = NodeStatus::kOnline;
  std::optional<Location> location;
  NatType nat_type = NatType::kUnknown;
  Capabilities capabilities;
  std::uint32_t active_connections = 0;
  double latency = 0;  ///< server to node
  double packet_loss = 0;
  double load = 0;  ///< percentage of connections or bandwidth in use, the larger
  KeyCertificate key_certificate;
};

struct NodeList {
  std::vector<NodeSummary> nodes;
  std::optional<std::string> next_cursor;  ///< for ?cursor=; absent on the last page
};

struct Traffic {
  std::uint64_t sent = 0, received = 0, errors = 0;
};

struct MetricsReport {
  NodeId node_id;
  std::int64_t timestamp = 0;
  double latency = 0, jitter = 0, packet_loss = 0;
  Bandwidth bandwidth;
  double cpu_usage = 0, memory_usage = 0, disk_usage = 0, load_average = 0;
  Traffic packets;
  std::uint64_t bytes_sent = 0, bytes_received = 0;
  std::uint32_t connections_active = 0;
  std::uint64_t connections_total = 0, connections_failed = 0;
};

}  // namespace higgs::api

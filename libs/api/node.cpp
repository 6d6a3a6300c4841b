#include "api/node.h"

#include "api/describe_common.h"

namespace higgs::api {

std::string_view to_string(NodeStatus status) {
  return codec::Names<NodeStatus>::kAll[static_cast<std::size_t>(status)];
}
std::optional<NodeStatus> parse_node_status(std::string_view name) { return codec::parse_name<NodeStatus>(name); }
std::string_view to_string(ActionType type) { return codec::Names<ActionType>::kAll[static_cast<std::size_t>(type)]; }
std::optional<ActionType> parse_action_type(std::string_view name) { return codec::parse_name<ActionType>(name); }

template <class V, Like<ChallengeResponse> S>
void describe(V& v, S& s) {
  v("nonce", s.nonce, Length{1, 128});
  v("expiresAt", s.expires_at);
}

template <class V, Like<NetworkInfo> S>
void describe(V& v, S& s) {
  v("ipv4", s.ipv4);
  v.nullable("ipv6", s.ipv6);
  v("natType", s.nat_type);
  v.nullable("stunMappedAddress", s.stun_mapped_address);
  v("localPort", s.local_port);
}

template <class V, Like<Capabilities> S>
void describe(V& v, S& s) {
  v("maxConnections", s.max_connections, Between{0, 1'000'000});
  v("bandwidth", s.bandwidth);
  v("routing", s.routing);
  v("natting", s.natting);
}

template <class V>
void describe_metrics(V& v, auto& s) {
  v("latency", s.latency, kNotNegative);
  v("jitter", s.jitter, kNotNegative);
  v("packetLoss", s.packet_loss, kPercentage);
  v("cpuUsage", s.cpu_usage, kPercentage);
  v("memoryUsage", s.memory_usage, kPercentage);
}
template <class V, Like<NodeMetrics> S>
void describe(V& v, S& s) {
  describe_metrics(v, s);
}
template <class V, Like<HeartbeatMetrics> S>
void describe(V& v, S& s) {
  describe_metrics(v, s);
  v("activeConnections", s.active_connections);
  v("bandwidth", s.bandwidth);
}

template <class V, Like<RegisterRequest> S>
void describe(V& v, S& s) {
  v("nodeId", s.node_id);
  v("publicKey", s.public_key);
  v("identityKey", s.identity_key);
  v("nonce", s.nonce, Length{1, 128});
  v("keyCertificate", s.key_certificate);
  v("tunnelPrefixes", s.tunnel_prefixes, Length{1, 2});
  v("networkInfo", s.network_info);
  v("capabilities", s.capabilities);
  v("metrics", s.metrics);
  v.nullable("location", s.location);
  v("heartbeatInterval", s.heartbeat_interval, Between{1, 3600});
}

template <class V, Like<RegisterResponse> S>
void describe(V& v, S& s) {
  v("nodeId", s.node_id);
  std::string status = s.pending ? "pending" : "registered";
  v("status", status, kName);
  if constexpr (!std::is_const_v<S>) s.pending = status != "registered";
  v("relayServers", s.relay_servers);
  v("stunServers", s.stun_servers);
  v("sessionToken", s.session_token, kToken);
  v("relayToken", s.relay_token, kToken);
  v("expiresAt", s.expires_at);
  v.optional("observedAddress", s.observed_address);
}

template <class V, Like<ActionResult> S>
void describe(V& v, S& s) {
  v("id", s.id, kName);
  v("ok", s.ok);
  v("detail", s.detail, Length{0, 256});
}

template <class V, Like<HeartbeatRequest> S>
void describe(V& v, S& s) {
  v("metrics", s.metrics);
  v("status", s.status);
  v.list_if_any("actionResults", s.action_results);
}

template <class V, Like<NodeAction> S>
void describe(V& v, S& s) {
  v("id", s.id, kName);
  v("type", s.type);
  v("payload", s.payload);
}

template <class V, Like<HeartbeatResponse> S>
void describe(V& v, S& s) {
  v("status", s.status, kName);
  v("nextHeartbeat", s.next_heartbeat);
  v("actions", s.actions);
  v.optional("sessionToken", s.session_token, kToken);
  v.optional("relayToken", s.relay_token, kToken);
  v.optional("observedAddress", s.observed_address);
}

template <class V, Like<NodeSummary> S>
void describe(V& v, S& s) {
  v("nodeId", s.node_id);
  v("status", s.status);
  v.nullable("location", s.location);
  v("natType", s.nat_type);
  v("capabilities", s.capabilities);
  v("activeConnections", s.active_connections);
  v("latency", s.latency, kNotNegative);
  v("packetLoss", s.packet_loss, kPercentage);
  v("load", s.load, kPercentage);
  v("keyCertificate", s.key_certificate);
}

template <class V, Like<NodeList> S>
void describe(V& v, S& s) {
  v("nodes", s.nodes);
  v.nullable("nextCursor", s.next_cursor);
}

template <class V, Like<MetricsReport> S>
void describe(V& v, S& s) {
  v("nodeId", s.node_id);
  v("timestamp", s.timestamp);
  v.group("metrics", [&](auto& metrics) {
    metrics.group("network", [&](auto& network) {
      network("latency", s.latency, kNotNegative);
      network("jitter", s.jitter, kNotNegative);
      network("packetLoss", s.packet_loss, kPercentage);
      network("bandwidth", s.bandwidth);
    });
    metrics.group("system", [&](auto& system) {
      system("cpuUsage", s.cpu_usage, kPercentage);
      system("memoryUsage", s.memory_usage, kPercentage);
      system("diskUsage", s.disk_usage, kPercentage);
      system("loadAverage", s.load_average, kNotNegative);
    });
    metrics.group("wireguard", [&](auto& wireguard) {
      wireguard.group("packets", [&](auto& packets) {
        packets("sent", s.packets.sent);
        packets("received", s.packets.received);
        packets("errors", s.packets.errors);
      });
      wireguard.group("bytes", [&](auto& bytes) {
        bytes("sent", s.bytes_sent);
        bytes("received", s.bytes_received);
      });
    });
    metrics.group("connections", [&](auto& connections) {
      connections("active", s.connections_active);
      connections("total", s.connections_total);
      connections("failed", s.connections_failed);
    });
  });
}

HIGGS_API_BODY(NetworkInfo)
HIGGS_API_BODY(Capabilities)
HIGGS_API_BODY(HeartbeatMetrics)
HIGGS_API_BODY(ChallengeResponse)
HIGGS_API_BODY(RegisterRequest)
HIGGS_API_BODY(RegisterResponse)
HIGGS_API_BODY(HeartbeatRequest)
HIGGS_API_BODY(HeartbeatResponse)
HIGGS_API_BODY(NodeSummary)
HIGGS_API_BODY(NodeList)
HIGGS_API_BODY(MetricsReport)

}  // namespace higgs::api

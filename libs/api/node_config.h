// What operators may change on a volunteer's node (payload of an `updateConfig` action), and the other payloads: one
// list for the server, which refuses what a node would not do, and for the node, which trusts no server in this.
// Nothing here touches keys, egress policy or privacy: those are the volunteer's alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "api/node.h"

namespace higgs::api {

/// An operator cannot silence a node: there is no "off".
enum class NodeLogLevel { kTrace, kDebug, kInfo, kWarn, kError };
std::string_view to_string(NodeLogLevel level);

/// What is absent is as the volunteer has it.
struct NodeConfig {
  std::optional<std::uint32_t> heartbeat_interval;  ///< seconds, 2 to 300
  std::optional<std::uint32_t> metrics_interval;    ///< seconds, 10 to 3600
  std::optional<std::uint32_t> max_connections;     ///< downwards only, which the node knows
  std::optional<std::vector<RelayServer>> relay_servers;
  std::optional<std::vector<HostPort>> stun_servers;
  std::optional<NodeLogLevel> log_level;
};

inline constexpr std::size_t kMostConfiguredServers = 16;

/// Unlike other bodies, a key that is not ours is an error: what is asked for and would not happen must be said. A key
/// that is null counts as absent.
Decoded<NodeConfig> decode_node_config(std::string_view text);
/// `update` on top of `standing`, both as decode_node_config takes them, as RFC 7396 merges: null takes a key back.
Decoded<NodeConfig> merge_node_config(const NodeConfig& standing, std::string_view update);

/// Payload of `maintenance`.
struct MaintenancePayload {
  bool on = false;
};

}  // namespace higgs::api

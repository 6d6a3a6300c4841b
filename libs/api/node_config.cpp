#include "api/node_config.h"

#include <algorithm>
#include <array>

#include "api/describe_common.h"

namespace higgs::api {

namespace codec {
template <>
struct Names<NodeLogLevel> {
  static constexpr std::array<std::string_view, 5> kAll{"trace", "debug", "info", "warn", "error"};
};
}  // namespace codec

namespace {

constexpr std::array<std::string_view, 6> kKeys{"heartbeatInterval", "metricsInterval", "maxConnections",
                                                "relayServers",      "stunServers",     "logLevel"};

}  // namespace

std::string_view to_string(NodeLogLevel level) {
  return codec::Names<NodeLogLevel>::kAll[static_cast<std::size_t>(level)];
}

template <class V, Like<NodeConfig> S>
void describe(V& v, S& s) {
  v.optional("heartbeatInterval", s.heartbeat_interval, Between{2, 300});
  v.optional("metricsInterval", s.metrics_interval, Between{10, 3600});
  v.optional("maxConnections", s.max_connections, Between{1, 10'000});
  v.optional("relayServers", s.relay_servers, Length{1, kMostConfiguredServers});
  v.optional("stunServers", s.stun_servers, Length{1, kMostConfiguredServers});
  v.optional("logLevel", s.log_level);
}

template <class V, Like<MaintenancePayload> S>
void describe(V& v, S& s) {
  v("on", s.on);
}

HIGGS_API_BODY(NodeConfig)
HIGGS_API_BODY(MaintenancePayload)

Decoded<NodeConfig> decode_node_config(std::string_view text) {
  FieldErrors errors;
  const auto json = codec::parse(text, errors);
  if (!json) return errors;
  const codec::Cursor cursor{*json, "", errors};
  NodeConfig config;
  codec::read(cursor, config);
  if (json->is_object()) {
    for (const auto& [key, value] : json->items()) {
      if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end())
        cursor.child(key, value).fail("is the volunteer's alone, or unknown");
    }
  }
  if (!errors.list.empty()) return errors;
  return config;
}

Decoded<NodeConfig> merge_node_config(const NodeConfig& standing, std::string_view update) {
  if (auto sound = decode_node_config(update); !sound) return sound;
  FieldErrors errors;
  auto merged = codec::parse(encode(standing), errors);
  const auto patch = codec::parse(update, errors);
  if (!merged || !patch) return errors;
  merged->merge_patch(*patch);
  return decode_node_config(codec::dump(*merged));
}

}  // namespace higgs::api

#include "higgsnode/operator_settings.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "runtime/files.h"

namespace higgs::node {
namespace {

constexpr const char* kFile = "operator.json";
constexpr std::size_t kMostBytes = 64 * 1024;
constexpr const char* kConfig = "config";
constexpr const char* kMaintenance = "maintenance";

}  // namespace

std::filesystem::path operator_settings_file(const std::filesystem::path& state_dir) { return state_dir / kFile; }

OperatorSettings load_operator_settings(const std::filesystem::path& state_dir, std::string& problem) {
  problem.clear();
  const auto text = runtime::read_file_if_there(operator_settings_file(state_dir), kMostBytes);
  if (!text) {
    problem = text.error().message();
    return {};
  }
  if (!*text) return {};
  const auto json = nlohmann::json::parse(**text, nullptr, false);
  const bool shaped =
      json.is_object() && json.contains(kConfig) && json.contains(kMaintenance) && json.at(kMaintenance).is_boolean();
  if (!shaped) {
    problem = "it is not what this program writes";
    return {};
  }
  const auto config = api::decode_node_config(json.at(kConfig).dump());
  if (!config) {
    problem = config.error().to_string();
    return {};
  }
  return {*config, json.at(kMaintenance).get<bool>()};
}

Result<void> save_operator_settings(const std::filesystem::path& state_dir, const OperatorSettings& settings) {
  const auto path = operator_settings_file(state_dir);
  const auto config = nlohmann::json::parse(api::encode(settings.config));
  if (config.empty() && !settings.maintenance) return runtime::remove_file(path);
  const nlohmann::json json = {{kConfig, config}, {kMaintenance, settings.maintenance}};
  return runtime::write_file_atomic(path, json.dump(2) + "\n");
}

Settings in_force(Settings configured, const api::NodeConfig& changes) {
  if (changes.heartbeat_interval) configured.heartbeat_interval = std::chrono::seconds(*changes.heartbeat_interval);
  if (changes.metrics_interval) configured.metrics_interval = std::chrono::seconds(*changes.metrics_interval);
  if (changes.max_connections)
    configured.max_connections = std::min(configured.max_connections, *changes.max_connections);
  if (changes.log_level)
    configured.log_level = runtime::log::parse_level(to_string(*changes.log_level)).value_or(configured.log_level);
  return configured;
}

}  // namespace higgs::node

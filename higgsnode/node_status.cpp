// NodeService::status(): what `higgsnode status` shows.
#include <nlohmann/json.hpp>

#include "higgsnode/node_service.h"
#include "runtime/clock.h"

namespace higgs::node {
namespace {

template <class T>
nlohmann::json strings(const std::vector<T>& values) {
  auto list = nlohmann::json::array();
  for (const auto& value : values) list.push_back(value.to_string());
  return list;
}

}  // namespace

nlohmann::json NodeService::status() {
  const auto clocks = runtime::now();
  const auto now = unix_seconds(clocks.wall);
  const auto& registration = connection_.status();
  const auto& link = relay_->status();
  auto sessions = nlohmann::json::array();
  for (const auto& [id, session] : sessions_->sessions()) {
    sessions.push_back(session_status(session, clocks));
  }
  nlohmann::json json = {
      {"nodeId", to_string(identity_.node_id())},
      {"identityKey", identity_.identity_key().to_base64()},
      {"publicKey", identity_.wireguard_public_key().to_base64()},
      {"uptimeSeconds", now - unix_seconds(started_)},
      {"server",
       {{"url", servers_.current()},
        {"registered", registration.registered},
        {"pending", registration.pending},
        {"registrations", registration.registrations},
        {"heartbeats", registration.heartbeats},
        {"lastError", registration.last_error}}},
      {"relay", {{"up", link.up}, {"url", link.url}, {"connects", link.connects}, {"lastError", link.last_error}}},
      {"tunnel", {{"interface", wireguard_->name()}, {"prefixes", strings(advertised_prefixes())}}},
      {"egress",
       {{"inForce", routing_.in_force()},
        {"repairs", routing_.repairs()},
        {"ipv6", routing_.policy().ipv6},
        {"connectionCap", routing_.policy().limit_connections},
        {"conflicts", conflicts_},
        {"ownNetworks", strings(networks_.own)},
        {"publicAddresses", strings(public_addresses_.all())}}},
      {"metrics",
       {{"cpuUsage", last_metrics_.cpu_usage},
        {"memoryUsage", last_metrics_.memory_usage},
        {"latency", last_metrics_.latency},
        {"bandwidthUp", last_metrics_.bandwidth.up},
        {"bandwidthDown", last_metrics_.bandwidth.down}}},
      {"maxConnections", settings_.max_connections},
      {"heartbeatInterval", settings_.heartbeat_interval.count()},
      {"metricsInterval", settings_.metrics_interval.count()},
      {"metricsReports", {{"sent", reporter_.sent()}, {"failed", reporter_.failed()}}},
      {"operators", operator_status()},
      {"refused", sessions_->counters().refused},
      {"sessions", sessions},
      {"traversal", traversal_status()},
      {"nat", nlohmann::json::parse(nat_->json())},
      {"natType", nat_->report() ? std::string(stun::to_string(nat_->report()->nat)) : "Unknown"},
  };
  if (const auto status = relay_->link_status()) {
    json["relay"]["droppedPackets"] = status->dropped_packets;
    json["relay"]["malformed"] = status->malformed;
  }
  return json;
}

}  // namespace higgs::node

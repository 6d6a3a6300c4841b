// NodeService::status(): what `higgsnode status` shows.
#include <nlohmann/json.hpp>

#include "higgsnode/node_service.h"
#include "runtime/clock.h"

namespace higgs::node {
namespace {

nlohmann::json session_status(const Session& session, const std::optional<wireguard::PeerStatus>& peer,
                              std::int64_t now) {
  nlohmann::json json = {{"id", to_string(session.id)},
                         {"seconds", now - unix_seconds(session.opened)},
                         {"linked", !session.link_lost.has_value()},
                         {"moves", session.moves}};
  if (peer) {
    json["bytesFromClient"] = peer->received_bytes;
    json["bytesToClient"] = peer->sent_bytes;
    json["lastHandshake"] =
        peer->last_handshake ? nlohmann::json(unix_seconds(*peer->last_handshake)) : nlohmann::json();
  }
  return json;
}

nlohmann::json strings(const std::vector<IpPrefix>& prefixes) {
  auto list = nlohmann::json::array();
  for (const auto& prefix : prefixes) list.push_back(prefix.to_string());
  return list;
}

}  // namespace

nlohmann::json NodeService::status() {
  const auto now = unix_seconds(runtime::now().wall);
  const auto& registration = connection_.status();
  const auto& link = relay_->status();
  auto sessions = nlohmann::json::array();
  for (const auto& [id, session] : sessions_->sessions()) {
    sessions.push_back(session_status(session, wireguard_->status(session.key), now));
  }
  nlohmann::json json = {
      {"nodeId", to_string(identity_.node_id())},
      {"publicKey", identity_.wireguard_public_key().to_base64()},
      {"uptimeSeconds", now - unix_seconds(started_)},
      {"server",
       {{"url", settings_.server},
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
        {"ownNetworks", strings(networks_.connected)}}},
      {"metrics",
       {{"cpuUsage", last_metrics_.cpu_usage},
        {"memoryUsage", last_metrics_.memory_usage},
        {"latency", last_metrics_.latency},
        {"bandwidthUp", last_metrics_.bandwidth.up},
        {"bandwidthDown", last_metrics_.bandwidth.down}}},
      {"maxConnections", settings_.max_connections},
      {"refused", sessions_->counters().refused},
      {"sessions", sessions},
  };
  if (const auto status = relay_->link_status()) {
    json["relay"]["droppedPackets"] = status->dropped_packets;
    json["relay"]["malformed"] = status->malformed;
  }
  return json;
}

}  // namespace higgs::node

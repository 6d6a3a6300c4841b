#include "higgsnode/registration.h"

#include <algorithm>

#include "api/registration_signature.h"

namespace higgs::node {

api::RegisterRequest make_registration(const RegistrationFacts& facts, std::string nonce) {
  const auto& settings = facts.settings;
  api::RegisterRequest request;
  request.node_id = facts.identity.node_id();
  request.public_key = facts.identity.wireguard_public_key();
  request.identity_key = facts.identity.identity_key();
  request.nonce = std::move(nonce);
  request.key_certificate = facts.certificate;
  request.tunnel_prefixes = facts.tunnel_prefixes;
  request.network_info.ipv4 = facts.networks.primary_v4.value_or(IpAddress());
  request.network_info.ipv6 = facts.networks.primary_v6;
  request.network_info.local_port = facts.listen_port;
  request.network_info.stun_mapped_address = facts.reflexive;
  if (facts.nat) {
    const auto type = api::parse_nat_type(stun::to_string(facts.nat->nat));
    request.network_info.nat_type = type.value_or(api::NatType::kUnknown);
  }
  request.capabilities.max_connections = settings.max_connections;
  request.capabilities.bandwidth = {settings.bandwidth_up_mbps, settings.bandwidth_down_mbps};
  request.capabilities.routing = true;
  request.capabilities.natting = true;
  request.metrics = facts.metrics;
  if (settings.country) {
    api::Location location;
    location.country = *settings.country;
    location.region = settings.region.value_or("");
    if (settings.latitude && settings.longitude) {
      location.coordinates = api::Coordinates{*settings.latitude, *settings.longitude};
    }
    request.location = location;
  }
  request.heartbeat_interval = static_cast<std::uint32_t>(settings.heartbeat_interval.count());
  return request;
}

std::vector<std::string> relay_urls(const api::RegisterResponse& response, const std::string& server,
                                    const NodeId& node) {
  std::vector<std::string> origins;
  for (const auto& relay : response.relay_servers) {
    if (relay.protocol != "websocket" || relay.host.empty()) continue;
    const bool v6 = relay.host.find(':') != std::string::npos && relay.host.front() != '[';
    origins.push_back("https://" + (v6 ? "[" + relay.host + "]" : relay.host) + ":" + std::to_string(relay.port));
  }
  origins.push_back(server);
  std::vector<std::string> urls;
  for (const auto& text : origins) {
    const auto origin = api::origin_of(text);
    if (!origin) continue;
    auto url = "wss" + origin->substr(origin->find("://")) + "/relay/" + to_string(node);
    if (std::find(urls.begin(), urls.end(), url) == urls.end()) urls.push_back(std::move(url));
  }
  return urls;
}

}  // namespace higgs::node

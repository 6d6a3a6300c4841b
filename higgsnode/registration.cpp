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

}  // namespace higgs::node

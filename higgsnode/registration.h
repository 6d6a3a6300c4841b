// What the node says of itself when it registers. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/node.h"
#include "higgsnode/identity.h"
#include "higgsnode/network_route_manager.h"
#include "higgsnode/settings.h"
#include "stun/behaviour.h"

namespace higgs::node {

struct RegistrationFacts {
  const Settings& settings;
  const Identity& identity;
  const HostNetworks& networks;
  const api::KeyCertificate& certificate;
  std::vector<IpPrefix> tunnel_prefixes;
  std::uint16_t listen_port = 0;
  std::optional<Endpoint> reflexive = {};  ///< how STUN sees that port
  std::optional<stun::BehaviourReport> nat = {};
  api::NodeMetrics metrics;
};
api::RegisterRequest make_registration(const RegistrationFacts& facts, std::string nonce);

}  // namespace higgs::node

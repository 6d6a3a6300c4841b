// For tests: records as they may stand in a store.
#pragma once

#include "api/key_certificate.h"
#include "base/random.h"
#include "bosonserver/store/records.h"

namespace higgs::boson::testing {

inline NodeRecord make_node(const crypto::Ed25519PrivateKey& identity, const crypto::PublicKey& key,
                            std::uint64_t sequence) {
  NodeRecord node;
  node.key_certificate = api::sign_key_certificate(identity, key, sequence, 5'000, {{25}});
  node.identity_key = node.key_certificate.identity_key;
  node.id = api::node_id_of(node.identity_key);
  node.wireguard_key = key;
  node.admission = NodeAdmission::kApproved;
  node.status = api::NodeStatus::kOnline;
  node.tunnel_prefixes = {*IpPrefix::parse("10.1.0.0/24"), *IpPrefix::parse("fd00::/64")};
  node.network_info.ipv4 = *IpAddress::parse("192.0.2.1");
  node.capabilities.max_connections = 10;
  node.location = api::Location{"DE", "Berlin", std::nullopt};
  node.address = *IpAddress::parse("2001:db8::1");
  node.registered_at = node.last_seen = 100;
  return node;
}

inline NodeRecord make_node(RandomSource& random) {
  const auto identity = crypto::make_ed25519_key(random);
  return make_node(identity, crypto::public_key_of(crypto::make_private_key(random)), 1);
}

}  // namespace higgs::boson::testing

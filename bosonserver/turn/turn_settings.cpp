#include "bosonserver/turn/turn_settings.h"

#include <algorithm>

namespace higgs::boson {

namespace {

using namespace std::chrono_literals;
using config::in_range;

/// At most one address of each family, and none that stands for any.
bool one_of_each(const std::vector<IpAddress>& addresses) {
  const auto v6 = std::count_if(addresses.begin(), addresses.end(), [](const IpAddress& a) { return a.is_v6(); });
  const auto unspecified =
      std::count_if(addresses.begin(), addresses.end(), [](const IpAddress& a) { return a.is_unspecified(); });
  return unspecified == 0 && v6 <= 1 && std::ssize(addresses) - v6 <= 1;
}

}  // namespace

void TurnSettings::declare(config::Schema& schema) {
  schema.add("turn.enabled", enabled, {.description = "serve TURN, for clients without a direct path to their node"});
  schema.add("turn.tcp", tcp, {.description = "TURN over TCP as well as over UDP"});
  schema.add("turn.tls", tls, {.description = "TURN over TLS, with the certificate of the API"});
  schema.add("turn.tcp_listen", tcp_listen, {.description = "TCP; default: as stun_listen"});
  schema.add("turn.tls_listen", tls_listen, {.description = "TLS; default: the address of stun_listen, port 5349"});
  schema.add("turn.relay_addresses", relay_addresses,
             {.description = "where relayed ports are opened, one address a family; default: where the client came"});
  schema.add("turn.external_addresses", external_addresses,
             {.description = "what peers see instead of them, behind a one-to-one NAT"});
  schema.add("turn.first_port", ports.first, {.description = "of the relayed ports"}, in_range(1024u, 65535u));
  schema.add("turn.last_port", ports.last, {.description = "of the relayed ports"}, in_range(1024u, 65535u));
  schema.add("turn.realm", realm, {.description = "of the credentials"});
  schema.add("turn.allocations", allocations, {.description = "standing at a time"}, in_range(1u, 16'384u));
  schema.add("turn.allocations_per_session", allocations_per_session, {.description = "standing at a time"},
             in_range(1u, 64u));
  schema.add("turn.rate", rate_mbps,
             {.description = "Mbit/s each way for one allocation; default: as relay.session_rate"},
             in_range(0.01, 1e6));
  schema.add("turn.allow_private_peers", allow_private_peers,
             {.description = "for test networks: relay to private, loopback and link-local addresses as well"});
  schema.add("turn.credential_lifetime", credential_lifetime,
             {.description = "in which a session's client may allocate; they end with the session in any case"},
             in_range(60s, 7 * 86400s));
  schema.add("turn.secret_file", secret_file,
             {.description = "32 bytes in base64 that servers of a cluster share; default: made in state_dir"});
  schema.add("turn.connections", streams.connections, {.description = "TCP and TLS connections at a time, each"},
             in_range(1u, 100'000u));
  schema.add("turn.connections_per_source", streams.connections_per_source,
             {.description = "of one address (IPv6: one /64)"}, in_range(1u, 10'000u));
  schema.add_rule([this]() -> std::optional<config::Problem> {
    if (ports.first > ports.last) return config::Problem{"", "turn.first_port", "is above turn.last_port"};
    if (realm.empty() || realm.size() > turn::kMaxRealmBytes)
      return config::Problem{"", "turn.realm", "must have from 1 to 64 bytes"};
    if (!one_of_each(relay_addresses))
      return config::Problem{"", "turn.relay_addresses", "may name one address of each family"};
    if (!one_of_each(external_addresses))
      return config::Problem{"", "turn.external_addresses", "may name one address of each family"};
    return std::nullopt;
  });
}

}  // namespace higgs::boson

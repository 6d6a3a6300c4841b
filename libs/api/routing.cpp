#include "api/routing.h"

#include "api/describe_common.h"

namespace higgs::api {

std::string_view to_string(RouteType type) { return codec::Names<RouteType>::kAll[static_cast<std::size_t>(type)]; }

template <class V, Like<RouteRequirements> S>
void describe(V& v, S& s) {
  v.nullable("minBandwidth", s.min_bandwidth, kNotNegative);
  v.nullable("maxLatency", s.max_latency, kNotNegative);
  v.nullable("preferredLocation", s.preferred_location, kName);
  v.nullable("preferredCountry", s.preferred_country, Length{2, 2});
}

template <class V, Like<ClientNetworkInfo> S>
void describe(V& v, S& s) {
  v.nullable("ipv4", s.ipv4);
  v.nullable("ipv6", s.ipv6);
  v("natType", s.nat_type);
  v.nullable("stunMappedAddress", s.stun_mapped_address);
}

template <class V, Like<RoutingRequest> S>
void describe(V& v, S& s) {
  v("clientId", s.client_id);
  v("wireguardPublicKey", s.wireguard_public_key);
  v.nullable("targetNodeId", s.target_node_id);
  v("requirements", s.requirements);
  v("clientNetworkInfo", s.client_network_info);
}

template <class V, Like<Route> S>
void describe(V& v, S& s) {
  v("id", s.id, kName);
  v("type", s.type);
  v("path", s.path);
  v("estimatedLatency", s.estimated_latency, kNotNegative);
  v("estimatedBandwidth", s.estimated_bandwidth, kNotNegative);
  v("cost", s.cost);
  v("priority", s.priority);
}

template <class V, Like<WireguardConfig> S>
void describe(V& v, S& s) {
  v("publicKey", s.public_key);
  v("keyCertificate", s.key_certificate);
  v.nullable("presharedKey", s.preshared_key);
  v("address", s.address, Length{1, 4});
  v("dns", s.dns, Length{0, 16});
  v("mtu", s.mtu, Between{576, 65535});
  v("allowedIps", s.allowed_ips);
  v("persistentKeepalive", s.persistent_keepalive, Between{0, 65535});
}

template <class V, Like<NodeEndpoint> S>
void describe(V& v, S& s) {
  v("nodeId", s.node_id);
  v("directConnection", s.direct_connection);
  v("wireguardConfig", s.wireguard_config);
}

template <class V, Like<TurnServer> S>
void describe(V& v, S& s) {
  v("urls", s.urls);
  v("username", s.username);
  v("credential", s.credential);
  v("expiresAt", s.expires_at);
}

template <class V, Like<HostAddresses> S>
void describe(V& v, S& s) {
  v("name", s.name, Length{1, 255});
  v("addresses", s.addresses, Length{1, 16});
}

template <class V, Like<SelectedRoute> S>
void describe(V& v, S& s) {
  v("id", s.id, kName);
  v("sessionId", s.session_id);
  v("relayEndpoint", s.relay_endpoint, Length{1, 2048});
  v("nodeEndpoint", s.node_endpoint);
  v("stunServers", s.stun_servers);
  v("turn", s.turn);
  v.list_if_any("hosts", s.hosts);
  v("sessionToken", s.session_token, kToken);
  v("expiresAt", s.expires_at);
}

template <class V, Like<RoutingResponse> S>
void describe(V& v, S& s) {
  v("routes", s.routes);
  v("selectedRoute", s.selected_route);
  v.list_if_any("relayServers", s.relay_servers);
}

template <class V, Like<SessionRenewal> S>
void describe(V& v, S& s) {
  v("sessionToken", s.session_token, kToken);
  v("expiresAt", s.expires_at);
}

HIGGS_API_BODY(RoutingRequest)
HIGGS_API_BODY(RoutingResponse)
HIGGS_API_BODY(SessionRenewal)

}  // namespace higgs::api

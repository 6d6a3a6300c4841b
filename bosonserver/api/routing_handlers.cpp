// A route for a client: the best nodes, and a session on the first of them that has room.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <set>
#include <sstream>

#include "api/routing.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/api/handlers.h"
#include "bosonserver/api/tokens.h"
#include "bosonserver/domain/address_allocation.h"
#include "bosonserver/domain/quota_period.h"
#include "bosonserver/domain/route_scoring.h"

namespace higgs::boson {
namespace {

constexpr std::size_t kShownRoutes = 5;
/// The best of a ranking, which are tried one after the other.
constexpr std::size_t kKeptRoutes = 64;
/// Nodes that are tried for one request: each costs calls of the store.
constexpr std::size_t kMostTried = 16 * kKeptRoutes;
/// Another request may take an address between looking and taking.
constexpr int kAllocationTries = 4;

/// Measured latencies of clients count in steps of this, so that they share cached answers.
constexpr double kLatencyStepMs = 10;

RouteQuery query_of(const Call& call, const api::RoutingRequest& body) {
  RouteQuery query{body.target_node_id, body.requirements, body.client_network_info.nat_type, {}, {}, false};
  query.client_coordinates = call.services.places.of_client(call.address()).coordinates;
  if (call.request.round_trip) {
    const std::chrono::duration<double, std::milli> measured = *call.request.round_trip;
    query.client_latency = std::round(measured.count() / kLatencyStepMs) * kLatencyStepMs;
  }
  return query;
}

/// Where the client is, coarsely: its place, or else its network. Clients of one bucket share cached answers.
std::string geographic_bucket(const Call& call, const RouteQuery& query) {
  if (const auto& place = query.client_coordinates)
    return std::to_string(std::lround(place->latitude)) + "," + std::to_string(std::lround(place->longitude));
  const auto from = call.address();
  return IpPrefix::make(from, from.is_v4() ? 16 : 32)->to_string();
}

std::string cache_key(const Call& call, const RouteQuery& query) {
  const auto number = [](const std::optional<double>& value) { return value ? std::to_string(*value) : "-"; };
  const auto text = [](const std::optional<std::string>& value) {
    return value ? std::to_string(value->size()) + ":" + *value : "-";
  };
  const auto& wanted = query.requirements;
  return "routes|" + geographic_bucket(call, query) + "|" + number(query.client_latency) + "|" +
         (query.target ? to_string(*query.target) : "-") + (query.direct_only ? "|direct|" : "|") +
         std::string(api::to_string(query.client_nat)) + "|" + number(wanted.min_bandwidth) + "|" +
         number(wanted.max_latency) + "|" + text(wanted.preferred_country) + "|" + text(wanted.preferred_location);
}

std::string write_routes(const std::vector<RankedRoute>& routes) {
  std::ostringstream out;
  out.precision(17);
  for (const auto& route : routes)
    out << to_string(route.id) << ' ' << route.cost << ' ' << route.latency << ' ' << route.bandwidth << ' '
        << route.direct << '\n';
  return out.str();
}

std::vector<RankedRoute> read_routes(const std::string& text) {
  std::istringstream in(text);
  std::vector<RankedRoute> routes;
  std::string id;
  RankedRoute route;
  while (in >> id >> route.cost >> route.latency >> route.bandwidth >> route.direct) {
    const auto parsed = parse_id<NodeId>(id);
    if (!parsed) continue;
    route.id = *parsed;
    routes.push_back(route);
  }
  return routes;
}

struct FoundRoutes {
  Ranking ranking;
  bool complete = false;  ///< there is no other node that fits
};

/// From the cache, or ranked now and cached; never cached when empty, so that a node that comes is found at once. Nodes
/// in `tried` are passed over: then what others have found does not help, nor this them.
Result<FoundRoutes> find_routes(Call& call, const RouteQuery& query, const std::set<NodeId>& tried) {
  const auto key = cache_key(call, query);
  if (const auto cached = tried.empty() ? call.services.cache.get(key) : std::nullopt) {
    FoundRoutes found;
    found.ranking.routes = read_routes(*cached);
    shuffle_equals(found.ranking.routes, call.services.random);
    return found;
  }
  const auto candidates = call.services.candidates.get(call.services, call.now);
  if (!candidates) return candidates.error();
  RouteRanker ranker(query, call.services.settings.weights);
  for (const auto& candidate : **candidates)
    if (tried.empty() || !tried.contains(candidate.id)) ranker.add(candidate);
  auto ranking = ranker.take(kKeptRoutes, call.services.random);
  if (!ranking.routes.empty() && tried.empty()) {
    std::vector<std::string> tags;
    for (const auto& route : ranking.routes) tags.push_back(route_tag(route.id));
    call.services.cache.set(key, write_routes(ranking.routes), call.services.settings.route_cache, tags);
  }
  const bool complete = ranking.routes.size() < kKeptRoutes;
  return FoundRoutes{std::move(ranking), complete};
}

/// `turned_down`: nodes of the ranking that could not be had after all, by the reason.
net::HttpResponse no_node_fits(const Ranking& ranking, const std::map<std::string, std::uint32_t>& turned_down) {
  auto problem = api::Problem::make(409, "no-node-fits", "No node fits");
  problem.ruled_out = ranking.ruled_out;
  for (const auto& [reason, count] : turned_down) problem.ruled_out[reason] += count;
  std::uint32_t considered = 0;
  for (const auto& [reason, count] : problem.ruled_out) considered += count;
  problem.detail = considered == 0 ? "no nodes are registered"
                                   : "of " + std::to_string(considered) + " nodes none meets the requirements";
  return problem_answer(problem);
}

/// Addresses from the node's prefixes and a row for them. Fails as Store::add_session does; kFull: the node has no
/// room.
Result<SessionRow> open_session(Call& call, const api::RoutingRequest& body, const NodeRecord& node) {
  SessionTerms terms{{}, call.services.settings.sessions_per_user, node.capabilities.max_connections};
  if (call.claims && !call.key_name) terms.login = call.claims->family;
  for (int attempt = 0; attempt < kAllocationTries; ++attempt) {
    const auto used = call.services.store.addresses_in_use(node.id);
    if (!used) return used.error();
    const std::set<IpAddress> taken(used->begin(), used->end());
    SessionRow session;
    for (const auto& prefix : node.tunnel_prefixes) {
      const auto address = allocate_address(prefix, taken, call.services.random);
      if (!address) return StoreError::kFull;
      if (address->is_v4()) {
        session.address4 = *address;
      } else {
        session.address6 = *address;
      }
    }
    session.id = SessionId(Uuid::random(call.services.random));
    session.user = call.user->id;
    session.node = node.id;
    session.client = body.client_id;
    session.wireguard_key = body.wireguard_public_key;
    session.started_at = call.seconds();
    session.expires_at = call.seconds() + call.services.settings.session_lifetime.count();
    const auto added = call.services.store.add_session(session, terms);
    if (added) return session;
    if (added.error() != StoreError::kExists) return added.error();
  }
  return StoreError::kFull;
}

std::string route_id(NodeId node) { return "relay-" + to_string(node); }

/// The other server over which packets would go to the node, as long as they have no better path.
std::optional<ServerId> cascade_of(const Call& call, NodeId node) {
  if (call.services.cluster.others().empty() || call.services.relay.node_link_up(node)) return std::nullopt;
  const auto nodes = call.services.directory.nodes(call.now);
  if (!nodes) return std::nullopt;
  const auto* const found = NodeDirectory::find(**nodes, node);
  return found && found->server && call.services.cluster.lives(*found->server) ? found->server : std::nullopt;
}

std::vector<api::Route> shown_routes(const Call& call, const std::vector<RankedRoute>& routes, NodeId selected) {
  std::vector<api::Route> shown;
  for (const auto& route : routes) {
    if (shown.size() >= kShownRoutes && route.id != selected) continue;
    const auto cascade = cascade_of(call, route.id);
    std::vector<std::string> path{to_string(call.services.server_id)};
    if (cascade) path.push_back(to_string(*cascade));
    path.push_back(to_string(route.id));
    const auto relayed = cascade ? api::RouteType::kCascade : api::RouteType::kRelay;
    shown.push_back({route_id(route.id), route.direct ? api::RouteType::kDirect : relayed, std::move(path),
                     route.latency, route.bandwidth, route.cost, static_cast<std::uint32_t>(shown.size() + 1)});
  }
  return shown;
}

/// What is allowed of the relay.
enum class Relaying {
  kFree,
  kOverQuota,  ///< to find a direct path, and no more
};

api::SelectedRoute selected_route(Call& call, const SessionRow& session, const NodeRecord& node, bool direct,
                                  const std::string& origin, Relaying relaying) {
  const auto full = [](const IpAddress& address) { return *IpPrefix::make(address, address.bit_length()); };
  const auto token = session_token(call.services, session.id, session.expires_at, call.now);
  api::SelectedRoute route;
  route.id = route_id(node.id);
  route.session_id = session.id;
  route.relay_endpoint = "wss" + origin.substr(std::string_view("https").size()) + "/relay/" + to_string(session.id);
  route.node_endpoint.node_id = node.id;
  route.node_endpoint.direct_connection = direct;
  auto& wireguard = route.node_endpoint.wireguard_config;
  wireguard.public_key = node.wireguard_key;
  wireguard.key_certificate = node.key_certificate;
  wireguard.address.push_back(full(session.address4));
  wireguard.allowed_ips.push_back(*IpPrefix::parse("0.0.0.0/0"));
  if (session.address6) {
    wireguard.address.push_back(full(*session.address6));
    wireguard.allowed_ips.push_back(*IpPrefix::parse("::/0"));
  }
  wireguard.dns = call.services.settings.dns;
  wireguard.mtu = call.services.settings.mtu;
  wireguard.persistent_keepalive = call.services.settings.keepalive;
  const auto host = host_of_origin(origin);
  route.stun_servers.push_back({host, call.services.settings.stun_port});
  if (relaying == Relaying::kFree)
    route.turn = call.services.turn.admit(session.id, node.addresses(), session.expires_at, host, call.now.wall);
  const auto& addresses = call.services.settings.public_addresses;
  if (!addresses.empty() && !IpAddress::parse(host)) route.hosts.push_back({host, addresses});
  route.session_token = token.text;
  route.expires_at = token.expires_at;
  return route;
}

net::HttpResponse quota_exhausted(std::int64_t resets_at) {
  auto problem =
      api::Problem::make(403, "quota-exhausted", "The relay quota is used up",
                         "no node can be reached directly, and the relay may be used again from resetsAt on");
  problem.resets_at = resets_at;
  return problem_answer(problem);
}

Result<Relaying> relaying_of(Call& call) {
  const auto period = quota_period_at(call.seconds());
  const auto account = call.services.store.relay_account(call.user->id, period.number);
  if (!account) return account.error();
  return account->is_exhausted(call.services.settings.relay_quota_bytes) ? Relaying::kOverQuota : Relaying::kFree;
}

}  // namespace

net::HttpResponse request_route(Call& call) {
  const auto body = call.body<api::RoutingRequest>();
  if (!body) return invalid_body(body.error());
  const auto origin = call.origin();
  if (!origin) return problem_answer(400, "bad-host", "The Host header is not usable");
  const auto relaying = relaying_of(call);
  if (!relaying) return store_failure(relaying.error(), "user");
  auto query = query_of(call, *body);
  // Of a user over quota only the nodes are left that are likely to be reached directly.
  query.direct_only = relaying == Relaying::kOverQuota;
  std::set<NodeId> tried;
  std::map<std::string, std::uint32_t> turned_down;
  for (;;) {
    const auto found = find_routes(call, query, tried);
    if (!found) return store_failure(found.error(), "node");
    const auto& ranking = found->ranking;
    for (const auto& route : ranking.routes) {
      tried.insert(route.id);
      const auto node = call.services.store.node(route.id);
      if (!node && node.error() != StoreError::kNotFound) return store_failure(node.error(), "node");
      if (!node || node->admission != NodeAdmission::kApproved) {
        ++turned_down[node ? "not-admitted" : "gone"];
        continue;
      }
      const auto session = open_session(call, *body, *node);
      if (session)
        return json_answer(api::RoutingResponse{shown_routes(call, ranking.routes, node->id),
                                                selected_route(call, *session, *node, route.direct, *origin, *relaying),
                                                relay_servers(call.services, *origin)});
      if (session.error() == StoreError::kKeyTaken)
        return problem_answer(409, "key-taken", "The WireGuard key was used before", "make a new one for each session");
      if (session.error() == StoreError::kTooMany)
        return problem_answer(409, "too-many-sessions", "This account has too many sessions",
                              "end one, or wait for abandoned ones to expire");
      if (session.error() == StoreError::kNotFound) return unauthorized("the login has ended");
      const bool admitted = session.error() != StoreError::kNotAdmitted;
      if (admitted && session.error() != StoreError::kFull) return store_failure(session.error(), "session");
      ++turned_down[admitted ? "full" : "not-admitted"];
    }
    if (tried.empty() && ranking.ruled_out.contains(kNoDirectPath))
      return quota_exhausted(quota_period_at(call.seconds()).ends_at);
    if (found->complete || tried.size() >= kMostTried) return no_node_fits(ranking, turned_down);
  }
}

}  // namespace higgs::boson

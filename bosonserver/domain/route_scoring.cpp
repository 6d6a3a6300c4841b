#include "bosonserver/domain/route_scoring.h"

#include <algorithm>

#include "bosonserver/domain/distance.h"

namespace higgs::boson {
namespace {

constexpr double kWorstLatencyMs = 500;    ///< at and above: 1
constexpr double kUnknownLatencyMs = 150;  ///< neither measured nor placed: neither near nor far
constexpr double kWorstLossPercent = 10;
constexpr double kAmpleMbps = 100;  ///< free bandwidth from which more makes no difference

double share(double part, double whole) { return whole <= 0 ? 0 : std::clamp(part / whole, 0.0, 1.0); }

double free_bandwidth(const RouteCandidate& node) {
  return std::max(0.0, node.capabilities.bandwidth.down - node.metrics.bandwidth.down);
}

/// The name of the requirement that the node misses; nullptr: none.
const char* missed_requirement(const RouteCandidate& node, const RouteQuery& query) {
  const auto& wanted = query.requirements;
  if (query.target && node.id != *query.target) return "other-node";
  if (node.status == api::NodeStatus::kBanned || node.status == api::NodeStatus::kPending) return "not-admitted";
  if (node.status != api::NodeStatus::kOnline && node.status != api::NodeStatus::kDegraded) return "offline";
  if (!node.capabilities.routing || !node.capabilities.natting) return "no-exit";
  if (wanted.preferred_country && node.country != *wanted.preferred_country) return "country";
  if (wanted.preferred_location && node.region != *wanted.preferred_location && node.city != *wanted.preferred_location)
    return "location";
  if (wanted.max_latency && latency_of(node, query).value_or(0) > *wanted.max_latency) return "latency";
  if (wanted.min_bandwidth && free_bandwidth(node) < *wanted.min_bandwidth) return "bandwidth";
  if (node.sessions >= node.capabilities.max_connections) return "full";
  return nullptr;
}

double cost_of(const RouteCandidate& node, const RouteQuery& query, const RouteWeights& weights) {
  // A degraded node takes its resources for exhausted, whatever the counts say.
  const double load =
      node.status == api::NodeStatus::kDegraded
          ? 1.0
          : std::max(share(node.sessions, node.capabilities.max_connections), share(node.metrics.cpu_usage, 100));
  return weights.latency * share(latency_of(node, query).value_or(kUnknownLatencyMs), kWorstLatencyMs) +
         weights.headroom * (1 - share(free_bandwidth(node), kAmpleMbps)) +
         weights.loss * share(node.metrics.packet_loss, kWorstLossPercent) + weights.load * load +
         weights.nat * nat_difficulty(query.client_nat, node.nat_type) + (node.relay_link_up ? 0 : weights.no_link);
}

}  // namespace

std::optional<double> latency_of(const RouteCandidate& node, const RouteQuery& query) {
  // A node that has measured nothing yet says 0.
  const bool measured = node.metrics.latency > 0;
  if (measured && query.client_latency) return *query.client_latency + node.metrics.latency;
  if (query.client_coordinates && node.coordinates)
    return round_trip_over_ms(distance_km(*query.client_coordinates, *node.coordinates));
  return measured ? std::optional(node.metrics.latency) : std::nullopt;
}

double nat_difficulty(api::NatType client, api::NatType node) {
  using api::NatType;
  if (client == NatType::kUdpBlocked || node == NatType::kUdpBlocked) return 1;
  if (client == NatType::kUnknown || node == NatType::kUnknown) return 0.5;
  const auto narrow = [](NatType type) { return type == NatType::kPortRestricted || type == NatType::kSymmetric; };
  // A mapping that changes with the destination can be met only by a side that does not look at the port.
  if ((client == NatType::kSymmetric && narrow(node)) || (node == NatType::kSymmetric && narrow(client))) return 1;
  return 0;
}

void shuffle_equals(std::vector<RankedRoute>& routes, RandomSource& random) {
  for (std::size_t from = 0; from < routes.size();) {
    std::size_t to = from + 1;
    while (to < routes.size() && routes[to].cost - routes[from].cost < kEqualCosts) ++to;
    for (std::size_t i = to - from; i > 1; --i) std::swap(routes[from + i - 1], routes[from + random.below(i)]);
    from = to;
  }
}

Ranking rank_routes(const std::vector<RouteCandidate>& candidates, const RouteQuery& query, const RouteWeights& weights,
                    RandomSource& random) {
  Ranking ranking;
  for (const auto& node : candidates) {
    if (const auto* missed = missed_requirement(node, query)) {
      ++ranking.ruled_out[missed];
      continue;
    }
    ranking.routes.push_back({node.id, cost_of(node, query, weights), latency_of(node, query).value_or(0),
                              free_bandwidth(node), nat_difficulty(query.client_nat, node.nat_type) == 0});
  }
  auto& routes = ranking.routes;
  std::sort(routes.begin(), routes.end(), [](const auto& a, const auto& b) { return a.cost < b.cost; });
  shuffle_equals(routes, random);
  return ranking;
}

}  // namespace higgs::boson

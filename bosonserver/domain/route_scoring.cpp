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
  if (query.direct_only && nat_difficulty(query.client_nat, node.nat_type) != 0) return kNoDirectPath;
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

void RouteRanker::add(const RouteCandidate& candidate) {
  if (const auto* missed = missed_requirement(candidate, query_)) {
    count_out(missed);
    return;
  }
  ranking_.routes.push_back({candidate.id, cost_of(candidate, query_, weights_),
                             latency_of(candidate, query_).value_or(0), free_bandwidth(candidate),
                             nat_difficulty(query_.client_nat, candidate.nat_type) == 0});
}

/// Compares places, not texts: there are few of them, and they are asked for by every node.
void RouteRanker::count_out(const char* requirement) {
  const auto known = std::find_if(out_.begin(), out_.end(), [&](const auto& one) { return one.first == requirement; });
  if (known != out_.end())
    ++known->second;
  else
    out_.emplace_back(requirement, 1);
}

Ranking RouteRanker::take(std::size_t most, RandomSource& random) {
  for (const auto& [requirement, count] : out_) ranking_.ruled_out[requirement] += count;
  auto& routes = ranking_.routes;
  const auto by_cost = [](const auto& a, const auto& b) { return a.cost < b.cost; };
  if (routes.size() > most) {
    const auto last = routes.begin() + static_cast<std::ptrdiff_t>(most) - 1;
    std::nth_element(routes.begin(), last, routes.end(), by_cost);
    const double edge = last->cost;
    // Those that are as good as the last one, on either side of it, have the same chance to stay.
    const auto equals = std::partition(routes.begin(), routes.end(),
                                       [edge](const auto& route) { return route.cost <= edge - kEqualCosts; });
    const auto others =
        std::partition(equals, routes.end(), [edge](const auto& route) { return route.cost < edge + kEqualCosts; });
    const auto count = static_cast<std::size_t>(others - equals);
    const auto wanted = most - static_cast<std::size_t>(equals - routes.begin());
    for (std::size_t i = 0; i < wanted; ++i)
      std::swap(equals[static_cast<std::ptrdiff_t>(i)],
                equals[static_cast<std::ptrdiff_t>(i + random.below(count - i))]);
    routes.resize(most);
  }
  std::sort(routes.begin(), routes.end(), by_cost);
  shuffle_equals(routes, random);
  return std::move(ranking_);
}

Ranking rank_routes(const std::vector<RouteCandidate>& candidates, const RouteQuery& query, const RouteWeights& weights,
                    RandomSource& random) {
  RouteRanker ranker(query, weights);
  for (const auto& node : candidates) ranker.add(node);
  return ranker.take(candidates.size(), random);
}

}  // namespace higgs::boson

// Which node a client is sent to: requirements rule nodes out, a weighted cost orders the rest.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/node.h"
#include "api/routing.h"
#include "base/random.h"
#include "base/uuid.h"

namespace higgs::boson {

/// How much each part counts in the cost. Every part is from 0 (best) to 1.
struct RouteWeights {
  double latency = 3;
  double headroom = 2;  ///< of bandwidth
  double loss = 3;
  double load = 2;
  double nat = 0.5;     ///< whether a direct path is likely
  double no_link = 50;  ///< the node's relay link is down just now: only where nothing else is left
};

struct RouteCandidate {
  NodeId id;
  api::NodeStatus status = api::NodeStatus::kOnline;  ///< see domain/liveness.h
  bool relay_link_up = true;
  std::string country, region, city;  ///< empty: unknown
  std::optional<api::Coordinates> coordinates;
  api::NatType nat_type = api::NatType::kUnknown;
  api::Capabilities capabilities;
  api::HeartbeatMetrics metrics;
  std::uint32_t sessions = 0;  ///< allocated here or reported by the node, the larger
};

struct RouteQuery {
  std::optional<NodeId> target;
  api::RouteRequirements requirements;
  api::NatType client_nat = api::NatType::kUnknown;
  std::optional<api::Coordinates> client_coordinates;
  std::optional<double> client_latency;  ///< ms, client to server; unknown behind a proxy
  bool direct_only = false;              ///< nodes to which a direct path is not likely are ruled out
};

/// The name of that requirement.
inline constexpr const char* kNoDirectPath = "no-direct-path";

struct RankedRoute {
  NodeId id;
  double cost = 0;
  double latency = 0;    ///< ms, client to node; 0: unknown
  double bandwidth = 0;  ///< Mbit/s free, down
  bool direct = false;   ///< by the NATs of both ends a direct path is likely
  friend bool operator==(const RankedRoute&, const RankedRoute&) = default;
};

struct Ranking {
  std::vector<RankedRoute> routes;                 ///< best first
  std::map<std::string, std::uint32_t> ruled_out;  ///< by the first requirement each node missed
};

/// ms from client to node: measured, by way of the server, or else by their distance. Where the server's way to the
/// client is unknown and so is the distance, the rest of the way, which is what tells nodes apart. nullopt: nothing is
/// known.
std::optional<double> latency_of(const RouteCandidate& node, const RouteQuery& query);

/// Costs that differ by less count as equal, and equals are shuffled, so that load spreads.
inline constexpr double kEqualCosts = 0.05;

/// Routes that are best first stay so, but those of equal cost change places.
void shuffle_equals(std::vector<RankedRoute>& routes, RandomSource& random);

/// Takes candidates one after the other, and keeps the best of them.
class RouteRanker {
 public:
  RouteRanker(const RouteQuery& query, const RouteWeights& weights) : query_(query), weights_(weights) {}

  void add(const RouteCandidate& candidate);
  /// The best `most`; which of equals are left out at the end is decided by lot. Once.
  Ranking take(std::size_t most, RandomSource& random);

 private:
  void count_out(const char* requirement);

  const RouteQuery& query_;
  const RouteWeights weights_;
  Ranking ranking_;
  std::vector<std::pair<const char*, std::uint32_t>> out_;  ///< by requirement, how many nodes missed it
};

/// All of them.
Ranking rank_routes(const std::vector<RouteCandidate>& candidates, const RouteQuery& query, const RouteWeights& weights,
                    RandomSource& random);

/// 0: a direct path is likely; 1: hardly possible; 0.5: not known.
double nat_difficulty(api::NatType client, api::NatType node);

}  // namespace higgs::boson

#include "bosonserver/api/route_candidates.h"

#include <utility>

#include "bosonserver/api/services.h"
#include "bosonserver/domain/liveness.h"

namespace higgs::boson {
namespace {

RouteCandidate candidate_of(const Services& services, const NodeRecord& node, std::int64_t seconds) {
  RouteCandidate candidate;
  candidate.id = node.id;
  candidate.relay_link_up = is_linked(services, node);
  candidate.status = current_status(node, candidate.relay_link_up, seconds);
  auto place = services.places.of_node(node);
  candidate.country = std::move(place.country);
  candidate.region = std::move(place.region);
  candidate.city = std::move(place.city);
  candidate.coordinates = place.coordinates;
  candidate.nat_type = node.network_info.nat_type;
  candidate.capabilities = node.capabilities;
  candidate.metrics = node.metrics;
  candidate.sessions = node.metrics.active_connections;
  return candidate;
}

}  // namespace

RouteCandidates::Made RouteCandidates::made() const {
  const std::lock_guard lock(mutex_);
  return made_;
}

Result<RouteCandidates::List> RouteCandidates::get(const Services& services, Now now) {
  const auto is_good = [now](const Made& made) {
    return made.list && made.list->size() >= kManyCandidates && now.monotonic - made.when < kCandidatesAge;
  };
  auto last = made();
  if (is_good(last)) return last.list;
  // Not under the lock: the store may take its time, and who waits for it is the directory's to say.
  const auto nodes = services.directory.nodes(now);
  if (!nodes) return nodes.error();
  std::unique_lock making(making_, std::try_to_lock);
  if (!making) {
    if (last.list && last.list->size() >= kManyCandidates && now.monotonic - last.when < kDirectoryPatience)
      return last.list;
    making.lock();
  }
  last = made();
  if (is_good(last)) return last.list;
  if (last.list && last.from == *nodes && now.monotonic - last.when < kCandidatesAge) return last.list;
  auto list = std::make_shared<std::vector<RouteCandidate>>();
  list->reserve((*nodes)->size());
  for (const auto& node : **nodes) list->push_back(candidate_of(services, *node, unix_seconds(now.wall)));
  const std::lock_guard lock(mutex_);
  made_ = {*nodes, std::move(list), now.monotonic};
  return made_.list;
}

}  // namespace higgs::boson

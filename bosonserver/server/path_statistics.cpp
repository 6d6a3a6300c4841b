#include "bosonserver/server/path_statistics.h"

#include <algorithm>

namespace higgs::boson {

namespace {

constexpr std::array<std::string_view, PathStatistics::kLabels.size()> kPaths = {"relay", "turn", "direct-v4",
                                                                                 "direct-v6"};
constexpr std::size_t kFirstDirect = 2;

}  // namespace

PathStatistics::PathStatistics(ServerMetrics& metrics) : metrics_(metrics) {
  // From the start, so that the first change is a rise as well.
  for (const auto from : kLabels)
    for (const auto to : kLabels)
      if (from != to) metrics_.count_path_changes(from, to, 0);
}

void PathStatistics::opened(SessionId session, Instant now) {
  const std::lock_guard lock(mutex_);
  sessions_.insert_or_assign(session, Session{now});
}

void PathStatistics::changed(SessionId id, std::string_view path, Instant now) {
  const auto at = std::find(kPaths.begin(), kPaths.end(), path);
  if (at == kPaths.end()) return;
  const auto to = static_cast<std::size_t>(at - kPaths.begin());
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(id);
  // A client tells its path again after each reconnect.
  if (found == sessions_.end() || found->second.path == to) return;
  Session& session = found->second;
  metrics_.count_path_changes(kLabels[session.path], kLabels[to], 1);
  session.path = to;
  if (to < kFirstDirect || session.was_direct) return;
  session.was_direct = true;
  metrics_.observe_time_to_direct(now - session.opened);
}

void PathStatistics::ended(SessionId session) {
  const std::lock_guard lock(mutex_);
  sessions_.erase(session);
}

std::array<std::uint64_t, PathStatistics::kLabels.size()> PathStatistics::standing() const {
  std::array<std::uint64_t, kLabels.size()> counts{};
  const std::lock_guard lock(mutex_);
  for (const auto& [id, session] : sessions_) ++counts[session.path];
  return counts;
}

}  // namespace higgs::boson

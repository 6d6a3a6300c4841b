// Which paths the standing sessions take, as their clients tell. Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "base/time.h"
#include "base/uuid.h"
#include "bosonserver/server/server_metrics.h"

namespace higgs::boson {

/// One entry for each session between opened() and ended(), whose number the relay limits. What clients say is not
/// proven: it is counted and decides nothing. As often as one may talk, a change costs a lookup and two counters.
class PathStatistics {
 public:
  /// As they are called in metrics, in the order of RelayEvents' paths: relay, turn, direct_v4, direct_v6.
  static constexpr std::array<std::string_view, 4> kLabels = {"relay", "turn", "direct_v4", "direct_v6"};

  explicit PathStatistics(ServerMetrics& metrics);

  /// It begins on the relay.
  void opened(SessionId session, Instant now);
  /// `path` as in RelayEvents; others, and those of sessions that do not stand, count for nothing.
  void changed(SessionId session, std::string_view path, Instant now);
  void ended(SessionId session);

  /// Standing sessions, by kLabels.
  std::array<std::uint64_t, kLabels.size()> standing() const;

 private:
  struct Session {
    Instant opened;
    std::size_t path = 0;
    bool was_direct = false;
  };

  ServerMetrics& metrics_;
  mutable std::mutex mutex_;
  std::unordered_map<SessionId, Session> sessions_;  // guarded by mutex_
};

}  // namespace higgs::boson

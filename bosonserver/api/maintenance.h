// What the server does without being asked: end what has expired, notice who fell silent, throw away what is old.
// Pool thread; one at a time.
#pragma once

#include "bosonserver/api/services.h"

namespace higgs::boson {

inline constexpr std::chrono::seconds kSweepInterval{5};
inline constexpr std::chrono::minutes kPurgeInterval{10};
/// Of kPurgeBatch rows; what is left waits for the next time.
inline constexpr unsigned kMaxPurgeRounds = 50;

struct MaintenanceStats {
  std::uint64_t expired_sessions = 0, offline_nodes = 0, purged_rows = 0, failures = 0;
};

class Maintenance {
 public:
  explicit Maintenance(Services& services) : services_(services) {}

  /// To be called every kSweepInterval; purges and looks after the signing keys every kPurgeInterval.
  void run();
  const MaintenanceStats& stats() const noexcept { return stats_; }

 private:
  /// False: it was away, so that what it says of who is silent or over is older than what is so.
  bool is_settled(Now now);
  void end_expired(Now now);
  void notice_silence(Now now);
  void purge(Now now);

  Services& services_;
  MaintenanceStats stats_;
  Instant purged_{};
  std::optional<Instant> settled_at_;  ///< set while the store is away, and for kStoreSettling after that
};

}  // namespace higgs::boson

// Does at this server what was decided at another: sessions that ended leave the relay and TURN, banned nodes lose
// their link, and what is kept of nodes and keys is read again. Told by the store itself (store/store_events.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bosonserver/api/services.h"
#include "bosonserver/server/store_worker.h"
#include "bosonserver/store/store_events.h"

namespace higgs::boson {

/// How soon what was missed is asked for again, where the store could not say.
inline constexpr std::chrono::seconds kRepairInterval{1};

class StoreWatch {
 public:
  /// The services must outlive the watch.
  explicit StoreWatch(Services& services);

 private:
  void on_event(const StoreEvent& event);
  void end_sessions(const std::vector<SessionId>& sessions, const std::string& reason);
  void ban_nodes(const std::vector<NodeId>& nodes);

  // On the worker.
  void miss(std::int64_t since);
  void repair();
  /// What became of sessions and nodes since then (Unix seconds). False: the store does not say.
  bool look_again(std::int64_t since);
  bool refresh_keys();
  /// What was renewed without the store is written.
  void settle_renewals();

  Services& services_;
  std::optional<std::int64_t> missed_since_;  // on the worker; from when on events may be lost
  StoreWorker worker_;
  std::unique_ptr<StoreSubscription> subscription_;  // last: it ends before what it calls
};

}  // namespace higgs::boson

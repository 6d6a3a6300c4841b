// What others decided in the store: sessions that another server or the command line ended, nodes that it banned. Their
// links at this server's relay and their TURN allocations end within a moment, whatever becomes of events between
// servers.
//
// One thread at a time; calls the store.
#pragma once

#include <chrono>
#include <cstdint>
#include <set>

#include "bosonserver/api/relay_control.h"
#include "bosonserver/api/turn_control.h"
#include "bosonserver/store/store.h"

namespace higgs::boson {

inline constexpr std::chrono::milliseconds kWatchInterval{500};

class RevocationWatch {
 public:
  RevocationWatch(Store& store, RelayControl& relay, TurnControl& turn) : store_(store), relay_(relay), turn_(turn) {}

  /// To be called every kWatchInterval. `now`: Unix seconds. A store that is away is asked again the next time.
  void run(std::int64_t now);

 private:
  void close_ended(std::int64_t now);
  void close_banned();

  Store& store_;
  RelayControl& relay_;
  TurnControl& turn_;
  std::set<SessionId> closed_;  ///< of those that ended lately
};

}  // namespace higgs::boson

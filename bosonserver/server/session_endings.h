// What sessions leave for the store when they leave the relay: their bytes, and that a node has refused them. While the
// store is away it waits here.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "bosonserver/relay/relay_events.h"
#include "bosonserver/store/store.h"

namespace higgs::boson {

class SessionEndings {
 public:
  /// As many sessions wait; what further ones leave is lost, and counted.
  static constexpr std::size_t kMost = 100'000;

  explicit SessionEndings(Store& store) : store_(store) {}

  /// Any thread. `refused_at`: Unix seconds, where its node has refused it, which ends it for good.
  void add(SessionId session, const SessionBytes& bytes, std::optional<std::int64_t> refused_at);
  /// A thread that may call the store, one at a time. False: the store is away, and something still waits.
  bool write();
  std::size_t waiting() const;
  std::uint64_t lost() const;

 private:
  struct Ending {
    std::uint64_t up_bytes = 0, down_bytes = 0;
    std::optional<std::int64_t> refused_at;
  };

  void put(SessionId session, const Ending& ending);  // mutex_ held
  bool write(SessionId session, Ending& ending);

  Store& store_;
  mutable std::mutex mutex_;
  std::unordered_map<SessionId, Ending> waiting_;  // guarded by mutex_
  std::uint64_t lost_ = 0;                         // guarded by mutex_
};

}  // namespace higgs::boson

// Cache, presence and events of a server, as its settings want them: in process, or in a Redis that the servers of a
// cluster share. What is in Redis works without it, worse: see each of the three.
//
// Any thread, once made.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/random.h"
#include "base/time.h"
#include "bosonserver/cache/cache.h"
#include "bosonserver/cache/cache_settings.h"
#include "bosonserver/cache/event_bus.h"
#include "bosonserver/cache/presence.h"
#include "bosonserver/cache/redis_connection.h"

namespace higgs::boson {

class SharedState {
 public:
  /// Waits for Redis a moment, and goes on without it. Throws std::runtime_error if the password's file or the trust
  /// cannot be loaded. `random` is thread-safe and outlives it.
  SharedState(const CacheSettings& settings, RandomSource& random, const std::function<Instant()>& clock);
  ~SharedState();

  Cache& cache() noexcept { return *cache_; }
  Presence& presence() noexcept { return *presence_; }
  EventBus& events() noexcept { return *events_; }

  /// Nullopt: there is no Redis.
  std::optional<RedisStats> redis() const;
  EventStats event_stats() const { return events_->stats(); }
  /// Whether other servers can be reached and heard; true where there are none.
  bool connected() const;

 private:
  std::unique_ptr<RedisConnection> redis_;
  std::unique_ptr<Cache> cache_;
  std::unique_ptr<Presence> presence_;
  std::unique_ptr<EventBus> events_;
};

}  // namespace higgs::boson

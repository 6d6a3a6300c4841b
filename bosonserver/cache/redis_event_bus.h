// The bus of a cluster, over one channel of Redis ("PREFIXevents"): published with the commands of others, heard on a
// connection of its own, since a connection of Redis that listens can do nothing else (RESP2).
//
// Resyncs: whenever the bus begins to hear (again), and when another server says that events of its own were lost.
#pragma once

#include <memory>
#include <string>

#include "bosonserver/cache/event_bus.h"
#include "bosonserver/cache/redis_connection.h"

namespace higgs::boson {

class RedisEventBus final : public EventBus {
 public:
  /// The connection outlives the bus. `options`: of that connection. `random` is thread-safe. Throws std::runtime_error
  /// if the trust of rediss:// cannot be loaded.
  RedisEventBus(RedisConnection& redis, RedisOptions options, const std::string& prefix, RandomSource& random);
  ~RedisEventBus() override;

  Result<void> publish(const std::string& topic, const std::string& payload) override;
  std::unique_ptr<EventSubscription> subscribe(EventHandlers handlers) override;
  EventStats stats() const override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::boson

#include "bosonserver/cache/shared_state.h"

#include "bosonserver/cache/local_event_bus.h"
#include "bosonserver/cache/memory_cache.h"
#include "bosonserver/cache/memory_presence.h"
#include "bosonserver/cache/redis_cache.h"
#include "bosonserver/cache/redis_event_bus.h"
#include "bosonserver/cache/redis_presence.h"

namespace higgs::boson {
namespace {

/// A server that starts serves from its first request with the Redis that is there, and without it a moment later.
constexpr std::chrono::milliseconds kFirstConnection{1'000};

}  // namespace

SharedState::SharedState(const CacheSettings& settings, RandomSource& random, const std::function<Instant()>& clock) {
  if (!settings.location.redis) {
    cache_ = std::make_unique<MemoryCache>(clock);
    presence_ = std::make_unique<MemoryPresence>(clock);
    events_ = std::make_unique<LocalEventBus>();
    return;
  }
  const auto options = settings.redis_options();
  redis_ = std::make_unique<RedisConnection>(options, random);
  cache_ = std::make_unique<RedisCache>(*redis_, settings.prefix, random, clock);
  presence_ = std::make_unique<RedisPresence>(*redis_, settings.prefix);
  events_ = std::make_unique<RedisEventBus>(*redis_, options, settings.prefix, random);
  redis_->wait_connected(kFirstConnection);
}
SharedState::~SharedState() = default;

std::optional<RedisStats> SharedState::redis() const { return redis_ ? std::optional(redis_->stats()) : std::nullopt; }

bool SharedState::connected() const { return (!redis_ || redis_->connected()) && events_->stats().connected; }

}  // namespace higgs::boson

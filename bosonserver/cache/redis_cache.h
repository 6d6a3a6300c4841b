// The cache in Redis, which servers of a cluster share. Redis may go away at any time: then nothing is found and
// nothing is kept, and events are counted here alone, so that limits hold for each server by itself instead of not at
// all.
//
// Keys of Redis, all under the prefix: "c:KEY" a hash of the entry's value and its tags with the marks they had when it
// was set; "t:TAG" the tag's mark, new with each drop_tagged(); "n:KEY" a counter. An entry whose tags' marks have
// changed is gone. So a drop costs one write however many entries hang on the tag, and nothing has to be kept per tag
// but for as long as an entry can live.
#pragma once

#include <string>

#include "bosonserver/cache/cache.h"
#include "bosonserver/cache/memory_cache.h"
#include "bosonserver/cache/redis_connection.h"

namespace higgs::boson {

/// Entries live no longer than this, whatever they are set with.
inline constexpr std::chrono::hours kLongestCacheEntry{1};

class RedisCache final : public Cache {
 public:
  /// Connection and randomness outlive the cache; `random` is thread-safe. `clock`: for counting while Redis is away.
  RedisCache(RedisConnection& redis, std::string prefix, RandomSource& random, std::function<Instant()> clock);

  std::optional<std::string> get(const std::string& key) override;
  void set(const std::string& key, std::string value, std::chrono::milliseconds ttl,
           const std::vector<std::string>& tags) override;
  void erase(const std::string& key) override;
  void drop_tagged(const std::string& tag) override;
  Count count(const std::string& key, std::chrono::milliseconds window) override;

 private:
  std::string entry(const std::string& key) const { return prefix_ + "c:" + key; }
  std::string mark(const std::string& tag) const { return prefix_ + "t:" + tag; }

  RedisConnection& redis_;
  const std::string prefix_;
  RandomSource& random_;
  MemoryCache alone_;
};

}  // namespace higgs::boson

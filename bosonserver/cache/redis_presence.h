// Presence in Redis, which servers of a cluster share.
//
// Keys of Redis, all under the prefix: "p:DIRECTORY/NAME" an entry, which ends by itself; "i:DIRECTORY" the names of
// the directory by the time when they end, so that a list need not look through every key there is.
#pragma once

#include <string>

#include "bosonserver/cache/presence.h"
#include "bosonserver/cache/redis_connection.h"

namespace higgs::boson {

class RedisPresence final : public Presence {
 public:
  /// The connection outlives it.
  RedisPresence(RedisConnection& redis, std::string prefix, PresenceLimits limits = {});

  Result<void> set(const std::string& key, const std::string& value, std::chrono::milliseconds ttl) override;
  Result<void> renew(const std::string& directory, const std::vector<std::string>& names, const std::string& value,
                     std::chrono::milliseconds ttl) override;
  Result<std::optional<std::string>> get(const std::string& key) override;
  Result<bool> erase(const std::string& key, const std::string& only_if_value) override;
  Result<std::vector<Entry>> all(const std::string& directory) override;

 private:
  std::string entry(const std::string& key) const { return prefix_ + "p:" + key; }
  std::string index(const std::string& directory) const { return prefix_ + "i:" + directory; }

  RedisConnection& redis_;
  const std::string prefix_;
  const PresenceLimits limits_;
};

}  // namespace higgs::boson

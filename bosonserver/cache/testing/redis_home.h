// For tests: a corner of the shared Redis whose time can be moved.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>

#include "base/bytes.h"
#include "base/random.h"
#include "bosonserver/cache/redis_connection.h"
#include "bosonserver/cache/testing/redis_server.h"
#include "runtime/log.h"

namespace higgs::boson::testing {

struct RedisHome {
  RedisHome() : prefix("test-" + to_hex(random.array<8>()) + ":"), redis(shared_redis().options(), random) {
    runtime::log::set_level(runtime::log::Level::kOff);
    if (!redis.wait_connected(std::chrono::seconds(20))) throw std::runtime_error("Redis does not start");
  }

  /// Every key under the prefix gets as much nearer to its end, or ends.
  void advance(std::chrono::milliseconds by) {
    static constexpr const char* kScript = R"lua(
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 then redis.call('PEXPIRE', key, left - ARGV[2]) end
end
return 0)lua";
    const auto moved = redis.call({{"EVAL", kScript, "0", prefix, std::to_string(by.count())}, is_integer});
    if (!moved) throw std::runtime_error("cannot move the time of Redis: " + moved.error().message());
  }
  std::size_t keys() {
    const auto found = redis.call({{"KEYS", prefix + "*"}, is_list});
    if (!found) throw std::runtime_error("cannot list keys: " + found.error().message());
    return found->elements.size();
  }

  SystemRandom random;
  const std::string prefix;
  RedisConnection redis;
};

}  // namespace higgs::boson::testing

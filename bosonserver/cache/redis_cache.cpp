#include "bosonserver/cache/redis_cache.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"

namespace higgs::boson {
namespace {

using std::chrono::milliseconds;

// Scripts run as one: nothing comes between their commands.

/// KEYS: the entry. Nil if one of its tags has another mark by now.
constexpr const char* kGet = R"lua(
local fields, value = redis.call('HGETALL', KEYS[1]), false
for i = 1, #fields, 2 do
  if fields[i] == 'v' then
    value = fields[i + 1]
  elseif (redis.call('GET', fields[i]:sub(2)) or '') ~= fields[i + 1] then
    return false
  end
end
return value)lua";

/// KEYS: the entry, its tags' marks. ARGV: the value, milliseconds to live.
constexpr const char* kSetScript = R"lua(
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'v', ARGV[1])
for i = 2, #KEYS do
  redis.call('HSET', KEYS[1], 't' .. KEYS[i], redis.call('GET', KEYS[i]) or '')
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2]))lua";

/// KEYS: the counter. ARGV: milliseconds of the window, which begins with the first event.
constexpr const char* kCount = R"lua(
local count, left = redis.call('INCR', KEYS[1]), redis.call('PTTL', KEYS[1])
if left < 0 then
  left = tonumber(ARGV[1])
  redis.call('PEXPIRE', KEYS[1], left)
end
return {count, left})lua";

}  // namespace

RedisCache::RedisCache(RedisConnection& redis, std::string prefix, RandomSource& random, std::function<Instant()> clock)
    : redis_(redis), prefix_(std::move(prefix)), random_(random), alone_(std::move(clock)) {}

std::optional<std::string> RedisCache::get(const std::string& key) {
  auto reply = redis_.call({{"EVAL", kGet, "1", entry(key)}, is_text_or_nil});
  if (!reply || reply->kind == RedisReply::Kind::kNil) return std::nullopt;
  return std::move(reply->text);
}

void RedisCache::set(const std::string& key, std::string value, milliseconds ttl,
                     const std::vector<std::string>& tags) {
  ttl = std::min<milliseconds>(ttl, kLongestCacheEntry);
  if (ttl <= milliseconds(0)) return erase(key);
  RedisCommand command{{"EVAL", kSetScript, std::to_string(1 + tags.size()), entry(key)}, is_integer};
  for (const auto& tag : tags) command.words.push_back(mark(tag));
  command.words.push_back(std::move(value));
  command.words.push_back(std::to_string(ttl.count()));
  redis_.call(command);
}

void RedisCache::erase(const std::string& key) { redis_.call({{"DEL", entry(key)}, is_integer}); }

void RedisCache::drop_tagged(const std::string& tag) {
  const auto longest = std::to_string(milliseconds(kLongestCacheEntry).count());
  redis_.call({{"SET", mark(tag), to_hex(random_.array<8>()), "PX", longest}, is_status});
}

Cache::Count RedisCache::count(const std::string& key, milliseconds window) {
  const auto reply =
      redis_.call({{"EVAL", kCount, "1", prefix_ + "n:" + key, std::to_string(window.count())}, is_pair_of_integers});
  if (!reply) return alone_.count(key, window);
  const auto counted = std::max<std::int64_t>(1, reply->elements[0].integer);
  const milliseconds left(std::clamp<std::int64_t>(reply->elements[1].integer, 1, window.count()));
  return {static_cast<std::uint64_t>(counted), left};
}

}  // namespace higgs::boson

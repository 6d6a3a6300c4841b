#include "bosonserver/cache/redis_presence.h"

#include <algorithm>
#include <span>
#include <utility>

namespace higgs::boson {
namespace {

/// KEYS: the entry, the index. ARGV: name, value, milliseconds, most entries. 0: the directory is full.
constexpr const char* kSetPresence = R"lua(
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[4]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[3]) then
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
return 1)lua";

/// KEYS: the index, the entries. ARGV: value, milliseconds, most entries, the entries' names. How many did not fit.
constexpr const char* kRenew = R"lua(
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local unfit = 0
for i = 2, #KEYS do
  local said, name = redis.call('GET', KEYS[i]), ARGV[i + 2]
  if not said or said == ARGV[1] then
    if not redis.call('ZSCORE', KEYS[1], name) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then
      unfit = unfit + 1
    else
      redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2])
      redis.call('ZADD', KEYS[1], now + ARGV[2], name)
    end
  end
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return unfit)lua";
/// Names of one run of it: a script holds up whoever else asks Redis.
constexpr std::size_t kRenewedTogether = 100;

/// KEYS: the entry, the index. ARGV: name, value.
constexpr const char* kErase = R"lua(
if redis.call('GET', KEYS[1]) ~= ARGV[2] then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1)lua";

/// KEYS: the index. ARGV: what stands before the names, most entries. Names and values by turns; one pair more than
/// there may be says that there are too many.
constexpr const char* kAll = R"lua(
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time[1] * 1000 + math.floor(time[2] / 1000))
local list = {}
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[2])) do
  local value = redis.call('GET', ARGV[1] .. name)
  if value then
    list[#list + 1] = name
    list[#list + 1] = value
  end
end
return list)lua";

bool is_list_of_pairs(const RedisReply& reply) noexcept { return is_list(reply) && reply.elements.size() % 2 == 0; }

}  // namespace

RedisPresence::RedisPresence(RedisConnection& redis, std::string prefix, PresenceLimits limits)
    : redis_(redis), prefix_(std::move(prefix)), limits_(limits) {}

Result<void> RedisPresence::set(const std::string& key, const std::string& value, std::chrono::milliseconds ttl) {
  if (!presence_fits(key, value)) return PresenceError::kTooLarge;
  const PresenceKey at(key);
  const auto reply = redis_.call({{"EVAL", kSetPresence, "2", entry(key), index(at.directory), at.name, value,
                                   std::to_string(ttl.count()), std::to_string(limits_.entries)},
                                  is_integer});
  if (!reply) return PresenceError::kUnavailable;
  if (reply->integer == 0) return PresenceError::kFull;
  return {};
}

Result<void> RedisPresence::renew(const std::string& directory, const std::vector<std::string>& names,
                                  const std::string& value, std::chrono::milliseconds ttl) {
  const auto path_of = [place = directory + "/"](const std::string& name) { return std::string(place).append(name); };
  for (const auto& name : names)
    if (!presence_fits(path_of(name), value)) return PresenceError::kTooLarge;
  std::vector<RedisCommand> commands;
  for (std::size_t i = 0; i < names.size(); i += kRenewedTogether) {
    const std::span some(names.begin() + static_cast<std::ptrdiff_t>(i), std::min(kRenewedTogether, names.size() - i));
    RedisCommand command{{"EVAL", kRenew, std::to_string(1 + some.size()), index(directory)}, is_integer};
    for (const auto& name : some) command.words.push_back(entry(path_of(name)));
    for (auto& word : {value, std::to_string(ttl.count()), std::to_string(limits_.entries)})
      command.words.push_back(word);
    command.words.insert(command.words.end(), some.begin(), some.end());
    commands.push_back(std::move(command));
  }
  bool full = false;
  for (const auto& reply : redis_.call_all(commands)) {
    if (!reply) return PresenceError::kUnavailable;
    full = full || reply->integer != 0;
  }
  if (full) return PresenceError::kFull;
  return {};
}

Result<std::optional<std::string>> RedisPresence::get(const std::string& key) {
  auto reply = redis_.call({{"GET", entry(key)}, is_text_or_nil});
  if (!reply) return PresenceError::kUnavailable;
  if (reply->kind == RedisReply::Kind::kNil) return std::optional<std::string>();
  return std::optional(std::move(reply->text));
}

Result<bool> RedisPresence::erase(const std::string& key, const std::string& only_if_value) {
  const PresenceKey at(key);
  const auto reply =
      redis_.call({{"EVAL", kErase, "2", entry(key), index(at.directory), at.name, only_if_value}, is_integer});
  if (!reply) return PresenceError::kUnavailable;
  return reply->integer == 1;
}

Result<std::vector<Presence::Entry>> RedisPresence::all(const std::string& directory) {
  auto reply =
      redis_.call({{"EVAL", kAll, "1", index(directory), entry(directory + "/"), std::to_string(limits_.listed)},
                   is_list_of_pairs});
  if (!reply) return PresenceError::kUnavailable;
  auto& texts = reply->elements;
  if (texts.size() > 2 * limits_.listed) return PresenceError::kTooMany;
  std::vector<Entry> list;
  for (std::size_t i = 0; i + 1 < texts.size(); i += 2)
    list.push_back({std::move(texts[i].text), std::move(texts[i + 1].text)});
  return list;
}

}  // namespace higgs::boson

#include "bosonserver/cache/memory_cache.h"

namespace higgs::boson {

MemoryCache::MemoryCache(std::function<Instant()> clock, MemoryCacheLimits limits)
    : clock_(std::move(clock)), limits_(limits) {}

std::optional<std::string> MemoryCache::get(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key);
  if (found == entries_.end()) return std::nullopt;
  if (found->second.expires <= clock_()) {
    erase_locked(key);
    return std::nullopt;
  }
  return found->second.value;
}

void MemoryCache::set(const std::string& key, std::string value, std::chrono::milliseconds ttl,
                      const std::vector<std::string>& tags) {
  const std::lock_guard lock(mutex_);
  erase_locked(key);
  if (entries_.size() >= limits_.entries) {
    erase_locked(std::string(entry_ages_.front()));
    ++evicted_;
  }
  const auto age = entry_ages_.insert(entry_ages_.end(), key);
  entries_.emplace(key, Entry{std::move(value), clock_() + ttl, tags, age});
  for (const auto& tag : tags) tagged_[tag].insert(key);
}

void MemoryCache::erase(const std::string& key) {
  const std::lock_guard lock(mutex_);
  erase_locked(key);
}

void MemoryCache::drop_tagged(const std::string& tag) {
  const std::lock_guard lock(mutex_);
  const auto found = tagged_.find(tag);
  if (found == tagged_.end()) return;
  const auto keys = std::move(found->second);
  tagged_.erase(found);
  for (const auto& key : keys) erase_locked(key);
}

Cache::Count MemoryCache::count(const std::string& key, std::chrono::milliseconds window) {
  const std::lock_guard lock(mutex_);
  const auto now = clock_();
  // Windows are short and alike, so the oldest counters are the ones that have ended.
  while (!counter_ages_.empty()) {
    const auto oldest = counters_.find(counter_ages_.front());
    const bool ended = oldest->second.ends <= now;
    const bool full = counters_.size() >= limits_.counters && !counters_.contains(key);
    if (!ended && !full) break;
    if (!ended) ++evicted_;
    counters_.erase(oldest);
    counter_ages_.pop_front();
  }
  auto found = counters_.find(key);
  if (found != counters_.end() && found->second.ends <= now) {
    counter_ages_.erase(found->second.age);
    counters_.erase(found);
    found = counters_.end();
  }
  if (found == counters_.end()) {
    const auto age = counter_ages_.insert(counter_ages_.end(), key);
    found = counters_.emplace(key, Counter{0, now + window, age}).first;
  }
  ++found->second.count;
  return {found->second.count, std::chrono::ceil<std::chrono::milliseconds>(found->second.ends - now)};
}

std::size_t MemoryCache::entries() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

std::size_t MemoryCache::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_.size();
}

std::uint64_t MemoryCache::evicted() const {
  const std::lock_guard lock(mutex_);
  return evicted_;
}

void MemoryCache::erase_locked(const std::string& key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  for (const auto& tag : found->second.tags) {
    const auto keys = tagged_.find(tag);
    if (keys == tagged_.end()) continue;
    keys->second.erase(key);
    if (keys->second.empty()) tagged_.erase(keys);
  }
  entry_ages_.erase(found->second.age);
  entries_.erase(found);
}

}  // namespace higgs::boson

// The cache in process. Bounded: at its limit the entry that was set longest ago goes.
#pragma once

#include <functional>
#include <list>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "base/time.h"
#include "bosonserver/cache/cache.h"

namespace higgs::boson {

struct MemoryCacheLimits {
  std::size_t entries = 20'000;
  std::size_t counters = 200'000;
};

class MemoryCache final : public Cache {
 public:
  explicit MemoryCache(std::function<Instant()> clock, MemoryCacheLimits limits = {});

  std::optional<std::string> get(const std::string& key) override;
  void set(const std::string& key, std::string value, std::chrono::milliseconds ttl,
           const std::vector<std::string>& tags) override;
  void erase(const std::string& key) override;
  void drop_tagged(const std::string& tag) override;
  Count count(const std::string& key, std::chrono::milliseconds window) override;

  std::size_t entries() const;
  std::size_t counters() const;
  std::uint64_t evicted() const;  ///< entries and counters dropped at the limit

 private:
  struct Entry {
    std::string value;
    Instant expires;
    std::vector<std::string> tags;
    std::list<std::string>::iterator age;
  };
  struct Counter {
    std::uint64_t count = 0;
    Instant ends;
    std::list<std::string>::iterator age;
  };
  void erase_locked(const std::string& key);

  const std::function<Instant()> clock_;
  const MemoryCacheLimits limits_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
  std::list<std::string> entry_ages_;  ///< oldest first
  std::unordered_map<std::string, std::unordered_set<std::string>> tagged_;
  std::unordered_map<std::string, Counter> counters_;
  std::list<std::string> counter_ages_;
  std::uint64_t evicted_ = 0;
};

}  // namespace higgs::boson

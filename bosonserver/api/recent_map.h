// A map of bounded size: what was used longest ago goes first. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>
#include <utility>

namespace higgs::boson {

template <class Key, class Value>
class RecentMap {
 public:
  explicit RecentMap(std::size_t limit) : limit_(limit) {}

  /// Null: it is not there. Counts as a use; good until the next call.
  Value* find(const Key& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return &found->second->second;
  }
  void put(const Key& key, Value value) {
    if (Value* standing = find(key)) {
      *standing = std::move(value);
      return;
    }
    if (entries_.size() >= limit_) {
      index_.erase(entries_.back().first);
      entries_.pop_back();
      ++evicted_;
    }
    entries_.emplace_front(key, std::move(value));
    index_[key] = entries_.begin();
  }
  void erase(const Key& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return;
    entries_.erase(found->second);
    index_.erase(found);
  }
  /// Looks at each.
  template <class Condition>
  void erase_if(Condition condition) {
    for (auto entry = entries_.begin(); entry != entries_.end();) {
      if (condition(entry->second)) {
        index_.erase(entry->first);
        entry = entries_.erase(entry);
      } else {
        ++entry;
      }
    }
  }
  void clear() {
    index_.clear();
    entries_.clear();
  }
  std::size_t size() const noexcept { return entries_.size(); }
  /// Entries that had to go for others.
  std::uint64_t evicted() const noexcept { return evicted_; }

 private:
  using Entries = std::list<std::pair<Key, Value>>;

  const std::size_t limit_;
  Entries entries_;  ///< the latest used first
  std::unordered_map<Key, typename Entries::iterator> index_;
  std::uint64_t evicted_ = 0;
};

}  // namespace higgs::boson

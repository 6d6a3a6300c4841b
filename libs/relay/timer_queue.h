// Deadlines by key, earliest first. The owner of a key keeps its slot, so that one comparison tells whether a deadline
// has to move at all.
#pragma once

#include <optional>
#include <set>
#include <utility>

#include "base/time.h"

namespace higgs::relay {

template <class Key>
class TimerQueue {
 public:
  using Slot = std::optional<Instant>;

  void set(const Key& key, Slot& slot, Instant when) {
    if (slot == when) return;
    cancel(key, slot);
    slot = when;
    entries_.emplace(when, key);
  }
  /// Moves the deadline only if it would be earlier: one that fires too soon is looked at again then.
  void set_no_later_than(const Key& key, Slot& slot, Instant when) {
    if (!slot || when < *slot) set(key, slot, when);
  }
  void cancel(const Key& key, Slot& slot) {
    if (slot) entries_.erase({*slot, key});
    slot.reset();
  }
  std::optional<Instant> next() const {
    return entries_.empty() ? std::nullopt : std::optional(entries_.begin()->first);
  }
  /// A key that is due; its owner's slot must be reset.
  std::optional<Key> pop_due(Instant now) {
    if (entries_.empty() || entries_.begin()->first > now) return std::nullopt;
    const Key key = entries_.begin()->second;
    entries_.erase(entries_.begin());
    return key;
  }

 private:
  std::set<std::pair<Instant, Key>> entries_;
};

}  // namespace higgs::relay

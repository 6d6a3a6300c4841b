// Who sent the STUN request that a response answers: transaction id to owner, in memory of a fixed size. When a set is
// full its oldest entry goes, which is a request that was answered or given up long ago: at 3,000 requests a second an
// entry stays for two seconds.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "stun/message.h"

namespace higgs::tunnel {

class TransactionTable {
 public:
  using Owner = std::uint32_t;
  static constexpr std::size_t kSets = 2048, kWays = 4;

  TransactionTable() : entries_(kSets * kWays) {}

  void add(const stun::TransactionId& id, Owner owner) noexcept {
    Entry* oldest = set_of(id);
    for (Entry* entry = oldest; entry != set_of(id) + kWays; ++entry) {
      if (entry->stamp < oldest->stamp) oldest = entry;
    }
    *oldest = {id, owner, ++stamp_};
  }
  std::optional<Owner> find(const stun::TransactionId& id) const noexcept {
    const Entry* first = set_of(id);
    for (const Entry* entry = first; entry != first + kWays; ++entry) {
      if (entry->stamp != 0 && entry->id == id) return entry->owner;
    }
    return std::nullopt;
  }

 private:
  struct Entry {
    stun::TransactionId id{};
    Owner owner = 0;
    std::uint64_t stamp = 0;  ///< 0: free
  };
  // The ids are our own random ones: nobody else chooses what falls into one set.
  std::size_t offset_of(const stun::TransactionId& id) const noexcept {
    std::uint32_t hash = 0;
    std::memcpy(&hash, id.data(), sizeof(hash));
    return hash % kSets * kWays;
  }
  Entry* set_of(const stun::TransactionId& id) noexcept { return entries_.data() + offset_of(id); }
  const Entry* set_of(const stun::TransactionId& id) const noexcept { return entries_.data() + offset_of(id); }

  std::vector<Entry> entries_;
  std::uint64_t stamp_ = 0;
};

}  // namespace higgs::tunnel

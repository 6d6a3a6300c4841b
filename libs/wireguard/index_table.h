// Receiver indices: random 32-bit numbers that name a handshake or a session of ours in messages of the peer.
//
// An index is drawn until its low bits name a free slot, so that looking one up is one load and one comparison.
// Doubling the table keeps that: indices that differ in some low bits still differ in one more.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/random.h"

namespace higgs::wireguard {

struct Peer;
class Session;

class IndexTable {
 public:
  struct Owner {
    Peer* peer = nullptr;
    Session* session = nullptr;  ///< null while the handshake runs
  };

  /// Holds an index until it is destroyed. Must not outlive the table.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept : table_(std::exchange(other.table_, nullptr)), index_(other.index_) {}
    Lease& operator=(Lease&& other) noexcept {
      if (this != &other) {
        release();
        table_ = std::exchange(other.table_, nullptr);
        index_ = other.index_;
      }
      return *this;
    }
    ~Lease() { release(); }
    std::uint32_t index() const noexcept { return index_; }

   private:
    friend class IndexTable;
    Lease(IndexTable* table, std::uint32_t index) noexcept : table_(table), index_(index) {}
    void release() noexcept {
      if (table_ != nullptr) table_->erase(index_);
      table_ = nullptr;
    }
    IndexTable* table_ = nullptr;
    std::uint32_t index_ = 0;
  };

  IndexTable() : slots_(kMinSlots) {}

  Lease add(RandomSource& random, Owner owner);
  void assign(const Lease& lease, Owner owner) noexcept { slots_[slot_of(lease.index_)].owner = owner; }
  /// nullptr if nobody has that index.
  const Owner* find(std::uint32_t index) const noexcept {
    const Slot& slot = slots_[slot_of(index)];
    return slot.owner.peer != nullptr && slot.index == index ? &slot.owner : nullptr;
  }
  std::size_t size() const noexcept { return size_; }

 private:
  struct Slot {
    std::uint32_t index = 0;
    Owner owner;
  };
  static constexpr std::size_t kMinSlots = 64;

  std::size_t slot_of(std::uint32_t index) const noexcept { return index & (slots_.size() - 1); }
  void erase(std::uint32_t index) noexcept;
  void grow();

  std::vector<Slot> slots_;
  std::size_t size_ = 0;
};

}  // namespace higgs::wireguard

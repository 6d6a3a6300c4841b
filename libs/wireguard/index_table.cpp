#include "wireguard/index_table.h"

#include "base/assert.h"

namespace higgs::wireguard {

IndexTable::Lease IndexTable::add(RandomSource& random, Owner owner) {
  HIGGS_ASSERT(owner.peer != nullptr);
  if (size_ * 2 >= slots_.size()) grow();
  // At most half of the slots are taken, so this ends after two draws on average.
  for (;;) {
    const std::uint32_t index = random.u32();
    Slot& slot = slots_[slot_of(index)];
    if (slot.owner.peer != nullptr) continue;
    slot = {index, owner};
    ++size_;
    return {this, index};
  }
}

void IndexTable::erase(std::uint32_t index) noexcept {
  slots_[slot_of(index)] = {};
  --size_;
}

void IndexTable::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.owner.peer != nullptr) slots_[slot_of(slot.index)] = slot;
  }
}

}  // namespace higgs::wireguard

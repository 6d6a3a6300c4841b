#include "bosonserver/server/overload_gate.h"

namespace higgs::boson {

bool OverloadGate::take(Work work) noexcept {
  if (!refused_at(level(), work)) return true;
  ++refused_[static_cast<std::size_t>(work)];
  return false;
}

void OverloadGate::set(std::size_t level, const Load& load) noexcept {
  level_.store(level, std::memory_order_relaxed);
  lag_.store(load.loop_lag, std::memory_order_relaxed);
  memory_.store(load.memory, std::memory_order_relaxed);
}

std::uint64_t OverloadGate::refused(Work work) const noexcept {
  const auto index = static_cast<std::size_t>(work);
  return index < kRefusableWork ? refused_[index].load() : 0;
}

}  // namespace higgs::boson

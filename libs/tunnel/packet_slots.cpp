#include "tunnel/packet_slots.h"

#include <new>

#include "base/assert.h"

namespace higgs::tunnel {

namespace {
constexpr std::size_t kCacheLine = 64;
}

void PacketSlots::Free::operator()(std::byte* p) const noexcept { ::operator delete (p, std::align_val_t{kCacheLine}); }

void PacketSlots::resize(std::size_t slots, std::size_t packet_bytes) {
  HIGGS_ASSERT(used_ == 0 && slots > 0);
  const std::size_t needed = kHeadroomBytes + packet_bytes + wireguard::kTransportTailBytes;
  packet_bytes_ = packet_bytes;
  stride_ = (needed + kCacheLine - 1) / kCacheLine * kCacheLine;
  memory_.reset(static_cast<std::byte*>(::operator new (slots* stride_, std::align_val_t{kCacheLine})));
  batch_.assign(slots, {});
}

void PacketSlots::commit(std::size_t length) noexcept {
  HIGGS_ASSERT(!full() && length <= packet_bytes_);
  batch_[used_] = {memory_at(used_), static_cast<std::uint32_t>(stride_), kHeadroomBytes,
                   static_cast<std::uint32_t>(length)};
  ++used_;
}

}  // namespace higgs::tunnel

// The slots that packets are sealed in: one block of memory, each slot with room before and behind the packet,
//
//    [headroom … WireGuard header 16][packet, padded to 16][tag 16]
//
// aligned so that the packet starts on a cache line.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "wireguard/packet.h"

namespace higgs::tunnel {

class PacketSlots {
 public:
  static constexpr std::size_t kHeadroomBytes = 64;
  static_assert(kHeadroomBytes >= wireguard::kTransportHeaderBytes);

  PacketSlots(std::size_t slots, std::size_t packet_bytes) { resize(slots, packet_bytes); }

  /// Only while empty.
  void resize(std::size_t slots, std::size_t packet_bytes);
  std::size_t packet_bytes() const noexcept { return packet_bytes_; }
  std::size_t count() const noexcept { return used_; }
  bool full() const noexcept { return used_ == batch_.size(); }
  bool empty() const noexcept { return used_ == 0; }

  /// Where the next packet goes; it counts once it is committed.
  std::byte* next() noexcept { return memory_at(used_) + kHeadroomBytes; }
  void commit(std::size_t length) noexcept;
  std::span<wireguard::PacketBuffer> batch() noexcept { return std::span(batch_).first(used_); }
  void clear() noexcept { used_ = 0; }

 private:
  struct Free {
    void operator()(std::byte* p) const noexcept;
  };
  std::byte* memory_at(std::size_t slot) const noexcept { return memory_.get() + slot * stride_; }

  std::unique_ptr<std::byte, Free> memory_;
  std::size_t packet_bytes_ = 0;
  std::size_t stride_ = 0;
  std::size_t used_ = 0;
  std::vector<wireguard::PacketBuffer> batch_;
};

}  // namespace higgs::tunnel

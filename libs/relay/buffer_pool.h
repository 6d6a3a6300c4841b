// Buffers of full messages, used again: given back to the allocator each time, they would be returned to the kernel and
// faulted in anew for every message.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "relay/frame.h"

namespace higgs::relay {

class BufferPool {
 public:
  /// Smaller ones are left to the allocator, so that no short message holds a long buffer.
  static constexpr std::size_t kPooledBytes = 48 * 1024;
  static constexpr std::size_t kIdleBuffers = 32;

  Bytes copy(ByteView bytes) {
    if (bytes.size() < kPooledBytes) return to_bytes(bytes);
    Bytes buffer;
    if (idle_.empty()) {
      buffer.reserve(kMaxMessageBytes);
    } else {
      buffer = std::move(idle_.back());
      idle_.pop_back();
    }
    buffer.assign(bytes.begin(), bytes.end());
    return buffer;
  }
  void give_back(Bytes&& buffer) {
    if (buffer.capacity() >= kMaxMessageBytes && idle_.size() < kIdleBuffers) idle_.push_back(std::move(buffer));
  }

 private:
  std::vector<Bytes> idle_;
};

}  // namespace higgs::relay

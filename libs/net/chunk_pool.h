// Buffers of one size, recycled within a thread: connections hold one only while bytes are on their way.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "base/bytes.h"

namespace higgs::net {

/// A piece of memory with a filled part [head, tail).
class Chunk {
 public:
  /// One largest relay message with its header, and room for one more TLS record.
  static constexpr std::size_t kBytes = 64 * 1024 + 16 * 1024 + 64;

  Chunk() = default;
  explicit operator bool() const noexcept { return memory_ != nullptr; }
  MutableBytes filled() noexcept { return {memory_.get() + head, tail - head}; }
  MutableBytes room() noexcept { return {memory_.get() + tail, capacity_ - tail}; }
  std::size_t size() const noexcept { return tail - head; }
  /// Moves what is filled to the front.
  void compact() noexcept;

  std::size_t head = 0;
  std::size_t tail = 0;

 private:
  friend class ChunkPool;
  std::unique_ptr<std::byte[]> memory_;
  std::size_t capacity_ = 0;
};

class ChunkPool {
 public:
  static constexpr std::size_t kKept = 32;

  static ChunkPool& of_this_thread();
  /// Empty, with room for at least `bytes`; not cleared.
  Chunk take(std::size_t bytes = Chunk::kBytes);
  void give_back(Chunk chunk) noexcept;

 private:
  std::vector<std::unique_ptr<std::byte[]>> free_;
};

}  // namespace higgs::net

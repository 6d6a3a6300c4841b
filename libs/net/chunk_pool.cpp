#include "net/chunk_pool.h"

#include <cstring>
#include <utility>

namespace higgs::net {

void Chunk::compact() noexcept {
  if (head == 0) return;
  if (tail > head) std::memmove(memory_.get(), memory_.get() + head, tail - head);
  tail -= head;
  head = 0;
}

ChunkPool& ChunkPool::of_this_thread() {
  thread_local ChunkPool pool;
  return pool;
}

Chunk ChunkPool::take(std::size_t bytes) {
  Chunk chunk;
  if (bytes > Chunk::kBytes) {
    chunk.memory_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
    chunk.capacity_ = bytes;
    return chunk;
  }
  chunk.capacity_ = Chunk::kBytes;
  if (free_.empty()) {
    chunk.memory_ = std::make_unique_for_overwrite<std::byte[]>(Chunk::kBytes);
  } else {
    chunk.memory_ = std::move(free_.back());
    free_.pop_back();
  }
  return chunk;
}

void ChunkPool::give_back(Chunk chunk) noexcept {
  if (chunk.capacity_ != Chunk::kBytes || free_.size() >= kKept) return;
  if (free_.capacity() < kKept) free_.reserve(kKept);
  free_.push_back(std::move(chunk.memory_));
}

}  // namespace higgs::net

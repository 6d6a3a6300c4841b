#include "net/send_queue.h"

#include <utility>

namespace higgs::net {

std::byte* SendQueue::reserve(std::size_t bytes) {
  if (chunks_.empty() || chunks_.back().room().size() < bytes)
    chunks_.push_back(ChunkPool::of_this_thread().take(bytes));
  return chunks_.back().room().data();
}

void SendQueue::commit(std::size_t bytes) noexcept {
  chunks_.back().tail += bytes;
  size_ += bytes;
}

Result<void> SendQueue::write_to(TlsSocket& socket) {
  while (!chunks_.empty()) {
    Chunk& chunk = chunks_.front();
    if (chunk.size() > 0) {
      const auto count = socket.write(chunk.filled(), chunks_.size() > 1);
      if (!count) return count.error();
      chunk.head += *count;
      size_ -= *count;
    }
    if (chunk.size() > 0) continue;
    ChunkPool::of_this_thread().give_back(std::move(chunk));
    chunks_.pop_front();
  }
  return {};
}

void SendQueue::clear() noexcept {
  for (auto& chunk : chunks_) ChunkPool::of_this_thread().give_back(std::move(chunk));
  chunks_.clear();
  size_ = 0;
}

}  // namespace higgs::net

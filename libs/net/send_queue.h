// Bytes of a stream on their way to a socket: written once into pooled chunks, taken from the front as the socket
// allows. Holds no memory while it is empty.
#pragma once

#include <cstddef>
#include <deque>

#include "net/chunk_pool.h"
#include "net/tls_stream.h"

namespace higgs::net {

class SendQueue {
 public:
  SendQueue() = default;
  ~SendQueue() { clear(); }
  SendQueue(const SendQueue&) = delete;
  SendQueue& operator=(const SendQueue&) = delete;

  /// Room for `bytes` in one piece behind what is queued; they count once commit() has said how many were used.
  std::byte* reserve(std::size_t bytes);
  void commit(std::size_t bytes) noexcept;
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  /// Writes until all is gone or the socket has an error (kWantWrite: go on from there later).
  Result<void> write_to(TlsSocket& socket);
  void clear() noexcept;

 private:
  std::deque<Chunk> chunks_;
  std::size_t size_ = 0;
};

}  // namespace higgs::net

// What waits to be sent on one relay link: a queue for each session, served in turn by deficit round robin with sparse
// sessions first (RFC 8290, 4.1), each under a byte limit, an age limit and CoDel. Batches are forwarded whole where
// the quantum allows it, and cut at packet boundaries where it does not.
//
// Sans-IO; one thread. Used by the server towards clients and nodes, and by the tunnel device towards the server.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "relay/frame.h"
#include "relay/queue_context.h"

namespace higgs::relay {

struct FairQueueLimits {
  /// Of one session; at least one whole message and its overhead. The oldest packets go first.
  std::size_t session_bytes = 1024 * 1024;
  std::chrono::milliseconds age{1000};
};

// The quantum: what one session may send in its turn, and the largest message made of queued packets.
// clamp(rate × 1 ms, 4 KiB, 128 KiB): see docs/architecture.md, "Relay".
inline constexpr std::size_t kMinQuantumBytes = 4 * 1024;
inline constexpr std::size_t kMaxQuantumBytes = 128 * 1024;
std::size_t quantum_for_rate(std::uint64_t bytes_per_second) noexcept;

class FairQueue {
 public:
  /// `context` must outlive the queue.
  FairQueue(FairQueueLimits limits, QueueContext& context);
  ~FairQueue();
  FairQueue(FairQueue&&) noexcept;
  FairQueue& operator=(FairQueue&&) noexcept;

  /// Copies a message whose header was parsed to the queue of `channel` (whatever channel its header says).
  void push(Instant now, Channel channel, ByteView message);
  bool empty() const noexcept;
  /// Of all sessions, with overhead.
  std::size_t bytes() const noexcept;

  /// One message to send: hand `parts` to send_binary as they are. Valid until the next call of this queue.
  struct Outgoing {
    Channel channel = 0;
    std::size_t packets = 0;
    std::size_t bytes = 0;            ///< of the whole message; 0: nothing to send
    std::span<const ByteView> parts;  ///< the header first
    explicit operator bool() const noexcept { return bytes > 0; }
  };
  Outgoing pop(Instant now, std::size_t quantum_bytes);

  /// Forgets a session; what it still had queued is dropped as kClosed.
  void remove(Channel channel);

  /// What was dropped of a session since the last report.
  struct Report {
    Channel channel = 0;
    std::uint64_t dropped_packets = 0;
    std::chrono::milliseconds delay{0};  ///< the longest wait since
  };
  bool has_reports() const noexcept;
  /// One for each session that lost something; starts counting afresh.
  std::vector<Report> take_reports();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::relay

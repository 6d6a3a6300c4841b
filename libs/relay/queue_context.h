// What the queues of one thread share: a memory budget, and the counters of what was dropped and how long it waited.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

#include "base/latency_buckets.h"
#include "relay/buffer_pool.h"

namespace higgs::relay {

enum class DropReason {
  kQueueFull,       ///< the session's byte limit
  kAge,             ///< waited longer than the age limit
  kCoDel,           ///< by queue management
  kMemory,          ///< the memory budget of all queues
  kRate,            ///< the session is over its rate limit
  kHold,            ///< held for a node that was not ready: over its byte or age limit
  kUnknownChannel,  ///< the channel is not open
  kNoReceiver,      ///< the session's other end is not there
  kClosed,          ///< was queued when the channel or link closed
  kMalformed,       ///< a length inside the batch is wrong, seen while dropping or splitting
};
inline constexpr std::size_t kDropReasons = 10;
std::string_view to_string(DropReason reason) noexcept;

struct DropCounters {
  std::array<std::uint64_t, kDropReasons> packets{};

  void add(DropReason reason, std::uint64_t count) noexcept { packets[static_cast<std::size_t>(reason)] += count; }
  std::uint64_t operator[](DropReason reason) const noexcept { return packets[static_cast<std::size_t>(reason)]; }
  std::uint64_t total() const noexcept {
    std::uint64_t sum = 0;
    for (const auto count : packets) sum += count;
    return sum;
  }
};

/// How long what left a queue had waited there; messages that were never queued do not count.
struct DelayStats {
  std::uint64_t messages = 0;
  std::chrono::nanoseconds maximum{0};
  LatencyBuckets waits;

  void add(std::chrono::nanoseconds delay) noexcept {
    ++messages;
    waits.add(delay);
    if (delay > maximum) maximum = delay;
  }
};

class MemoryBudget {
 public:
  explicit MemoryBudget(std::size_t limit_bytes = std::numeric_limits<std::size_t>::max()) : limit_(limit_bytes) {}
  bool fits(std::size_t bytes) const noexcept { return bytes <= limit_ - used_; }
  void take(std::size_t bytes) noexcept { used_ += bytes; }
  void give_back(std::size_t bytes) noexcept { used_ -= bytes; }
  std::size_t used() const noexcept { return used_; }
  std::size_t limit() const noexcept { return limit_; }

 private:
  std::size_t limit_;
  std::size_t used_ = 0;  // never above limit_
};

struct QueueContext {
  MemoryBudget memory;
  DropCounters drops;
  DelayStats delay;
  BufferPool buffers;
};

}  // namespace higgs::relay

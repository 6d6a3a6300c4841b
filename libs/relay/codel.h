// Controlled delay (RFC 8289) on a BatchQueue: drops single packets from the head while the wait stays above the
// target for an interval, ever faster until it is below.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "base/time.h"
#include "relay/batch_queue.h"

namespace higgs::relay {

class CoDel {
 public:
  // RFC 8289, 4.2 and 4.3: an interval of 100 ms, and a target of 5 % of it.
  static constexpr std::chrono::milliseconds kInterval{100};
  static constexpr std::chrono::milliseconds kTarget{5};
  /// RFC 8289, 5.3: never drop when less than one packet of the link's MTU is left.
  static constexpr std::size_t kFloorBytes = 1514;

  /// To be called before each take; returns the number of packets dropped.
  std::size_t control(Instant now, BatchQueue& queue);

 private:
  bool ok_to_drop(Instant now, const BatchQueue& queue) noexcept;
  Instant next_drop(Instant from) const noexcept;

  std::optional<Instant> first_above_;
  Instant drop_next_{};
  std::uint32_t count_ = 0, last_count_ = 0;
  bool dropping_ = false;
};

}  // namespace higgs::relay

// Whether there is room for a request, as the last measurement says; counts what was refused. See domain/overload.h.
//
// Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "bosonserver/domain/overload.h"

namespace higgs::boson {

class OverloadGate {
 public:
  /// False, and counted: this class is refused at present.
  bool take(Work work) noexcept;
  /// Up to which share of the limit there is memory for the rest of requests that come in parts, and for connections.
  /// What strangers send slowly must end before work that stands is refused; without connections there is no answer.
  static constexpr double kForRequests = OverloadPolicy{}.memory[1], kForConnections = 0.95;
  bool has_memory(double share) const noexcept { return memory_.load(std::memory_order_relaxed) < share; }

  /// `load`: what the level was made of, for whoever asks.
  void set(std::size_t level, const Load& load) noexcept;
  std::size_t level() const noexcept { return level_.load(std::memory_order_relaxed); }
  std::chrono::nanoseconds loop_lag() const noexcept { return lag_.load(std::memory_order_relaxed); }
  std::uint64_t refused(Work work) const noexcept;

 private:
  std::atomic<std::size_t> level_{0};
  std::atomic<double> memory_{0};
  std::atomic<std::chrono::nanoseconds> lag_{std::chrono::nanoseconds(0)};
  std::array<std::atomic<std::uint64_t>, kRefusableWork> refused_{};
};

}  // namespace higgs::boson

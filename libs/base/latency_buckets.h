// How long something took, counted in steps, for a histogram: from a memory's time to what a user waits for.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace higgs {

struct LatencyBuckets {
  /// Upper bounds, inclusive.
  static constexpr std::array<std::chrono::microseconds, 12> kBounds = {
      std::chrono::microseconds(100),     std::chrono::microseconds(500),       std::chrono::microseconds(1'000),
      std::chrono::microseconds(5'000),   std::chrono::microseconds(10'000),    std::chrono::microseconds(25'000),
      std::chrono::microseconds(50'000),  std::chrono::microseconds(100'000),   std::chrono::microseconds(250'000),
      std::chrono::microseconds(500'000), std::chrono::microseconds(1'000'000), std::chrono::microseconds(2'500'000)};

  /// Of each step alone; the last one: above every bound.
  std::array<std::uint64_t, kBounds.size() + 1> counts{};
  std::chrono::nanoseconds sum{0};

  void add(std::chrono::nanoseconds taken) noexcept {
    std::size_t step = 0;
    while (step < kBounds.size() && taken > kBounds[step]) ++step;
    ++counts[step];
    sum += taken;
  }
  void add(const LatencyBuckets& other) noexcept {
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
    sum += other.sum;
  }
};

}  // namespace higgs

// Randomness as an argument, so that a simulation can replay it.
#pragma once

#include <cstdint>
#include <random>

#include "base/bytes.h"

namespace higgs {

class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual void fill(MutableBytes out) noexcept = 0;

  std::uint32_t u32() noexcept;
  std::uint64_t u64() noexcept;
  /// Uniform in [0, bound), without modulo bias; bound must be positive.
  std::uint64_t below(std::uint64_t bound) noexcept;
  template <std::size_t N>
  ByteArray<N> array() noexcept {
    ByteArray<N> out;
    fill(out);
    return out;
  }
};

/// The kernel's generator (getrandom(2)). Thread-safe.
class SystemRandom final : public RandomSource {
 public:
  void fill(MutableBytes out) noexcept override;
};

/// For tests and simulation only: the same seed gives the same bytes everywhere.
class SeededRandom final : public RandomSource {
 public:
  explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}
  void fill(MutableBytes out) noexcept override;

 private:
  std::mt19937_64 engine_;
};

}  // namespace higgs

#include "base/random.h"

#include <cerrno>

#include <sys/random.h>

#include "base/assert.h"

namespace higgs {

std::uint32_t RandomSource::u32() noexcept { return load_le<std::uint32_t>(array<4>().data()); }
std::uint64_t RandomSource::u64() noexcept { return load_le<std::uint64_t>(array<8>().data()); }

std::uint64_t RandomSource::below(std::uint64_t bound) noexcept {
  HIGGS_ASSERT(bound > 0);
  const std::uint64_t threshold = (0 - bound) % bound;
  for (;;) {
    const std::uint64_t value = u64();
    if (value >= threshold) return value % bound;
  }
}

void SystemRandom::fill(MutableBytes out) noexcept {
  while (!out.empty()) {
    const ssize_t got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0) {
      HIGGS_ASSERT(errno == EINTR);
      continue;
    }
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

void SeededRandom::fill(MutableBytes out) noexcept {
  for (std::size_t i = 0; i < out.size();) {
    std::uint64_t value = engine_();
    for (int k = 0; k < 8 && i < out.size(); ++k, ++i, value >>= 8) out[i] = static_cast<std::byte>(value & 0xff);
  }
}

}  // namespace higgs

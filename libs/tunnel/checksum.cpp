#include "tunnel/checksum.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace higgs::tunnel {

namespace {

template <class T>
T load(const std::byte* p) noexcept {
  T value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

template <bool kCopy>
ChecksumSum portable(ChecksumSum sum, std::byte* to, const std::byte* from, std::size_t length) noexcept {
  while (length >= 8) {
    const auto word = load<std::uint64_t>(from);
    if constexpr (kCopy) {
      std::memcpy(to, &word, sizeof(word));
      to += 8;
    }
    sum += (word & 0xffffffff) + (word >> 32);
    from += 8;
    length -= 8;
  }
  std::uint64_t tail = 0;  // an odd last byte counts as the first of a word whose second is zero
  std::memcpy(&tail, from, length);
  if constexpr (kCopy) std::memcpy(to, from, length);
  return sum + (tail & 0xffffffff) + (tail >> 32);
}

#if defined(__x86_64__)
template <bool kCopy>
[[gnu::target("avx2")]] ChecksumSum avx2(ChecksumSum sum, std::byte* to, const std::byte* from,
                                         std::size_t length) noexcept {
  const __m256i low = _mm256_set1_epi64x(0xffffffff);
  __m256i a = _mm256_setzero_si256(), b = a;
  for (; length >= 32; from += 32, length -= 32) {
    const __m256i v = _mm256_loadu_si256(static_cast<const __m256i*>(static_cast<const void*>(from)));
    if constexpr (kCopy) {
      _mm256_storeu_si256(static_cast<__m256i*>(static_cast<void*>(to)), v);
      to += 32;
    }
    a = _mm256_add_epi64(a, _mm256_and_si256(v, low));
    b = _mm256_add_epi64(b, _mm256_srli_epi64(v, 32));
  }
  alignas(32) std::uint64_t lanes[4];
  _mm256_store_si256(static_cast<__m256i*>(static_cast<void*>(lanes)), _mm256_add_epi64(a, b));
  return portable<kCopy>(sum + lanes[0] + lanes[1] + lanes[2] + lanes[3], to, from, length);
}

const bool kHaveAvx2 = __builtin_cpu_supports("avx2") != 0;
#endif

}  // namespace

ChecksumSum checksum_portable(ChecksumSum sum, std::byte* to, ByteView from) noexcept {
  return to != nullptr ? portable<true>(sum, to, from.data(), from.size())
                       : portable<false>(sum, nullptr, from.data(), from.size());
}

ChecksumSum checksum_add(ChecksumSum sum, ByteView bytes) noexcept {
#if defined(__x86_64__)
  if (kHaveAvx2) return avx2<false>(sum, nullptr, bytes.data(), bytes.size());
#endif
  return portable<false>(sum, nullptr, bytes.data(), bytes.size());
}

ChecksumSum checksum_copy(ChecksumSum sum, std::byte* to, ByteView from) noexcept {
#if defined(__x86_64__)
  if (kHaveAvx2) return avx2<true>(sum, to, from.data(), from.size());
#endif
  return portable<true>(sum, to, from.data(), from.size());
}

}  // namespace higgs::tunnel

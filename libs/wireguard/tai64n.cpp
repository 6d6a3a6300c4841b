#include "wireguard/tai64n.h"

#include "wireguard/constants.h"

namespace higgs::wireguard {
namespace {

// "TAI64 labels … 2^62 + s"; TAI was ten seconds ahead of UTC in 1970. Leap seconds since do not matter: WireGuard
// only compares timestamps of one sender.
constexpr std::uint64_t kTaiOfUnixEpoch = (std::uint64_t{1} << 62) + 10;
constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

Tai64n encode(std::uint64_t whole_seconds, std::uint32_t rest) noexcept {
  Tai64n stamp;
  store_be(stamp.bytes.data(), whole_seconds);
  store_be(stamp.bytes.data() + 8, rest);
  return stamp;
}

}  // namespace

Tai64n Tai64n::from(WallTime time) noexcept {
  const auto since_epoch = time.time_since_epoch().count();
  const std::uint64_t total = since_epoch < 0 ? 0 : static_cast<std::uint64_t>(since_epoch);
  const auto nanoseconds = static_cast<std::uint32_t>(total % kNanosecondsPerSecond);
  return encode(kTaiOfUnixEpoch + total / kNanosecondsPerSecond,
                nanoseconds - nanoseconds % kTimestampGranularityNanoseconds);
}

Tai64n Tai64n::next() const noexcept {
  const auto whole_seconds = load_be<std::uint64_t>(bytes.data());
  const std::uint64_t nanoseconds =
      std::uint64_t{load_be<std::uint32_t>(bytes.data() + 8)} + kTimestampGranularityNanoseconds;
  return nanoseconds < kNanosecondsPerSecond ? encode(whole_seconds, static_cast<std::uint32_t>(nanoseconds))
                                             : encode(whole_seconds + 1, 0);
}

}  // namespace higgs::wireguard

#include "ice/consent.h"

namespace higgs::ice {

void Consent::asked(Instant now, std::chrono::seconds interval, RandomSource& random) noexcept {
  const auto nanoseconds = std::chrono::nanoseconds(interval).count();
  const auto spread = static_cast<std::uint64_t>(nanoseconds / 5 * 2);
  next_ = now + std::chrono::nanoseconds(nanoseconds / 5 * 4 + static_cast<std::int64_t>(random.below(spread + 1)));
}

}  // namespace higgs::ice

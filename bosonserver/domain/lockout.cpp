#include "bosonserver/domain/lockout.h"

#include <algorithm>

namespace higgs::boson {

Lockout after_failure(const Lockout& before, const LockoutPolicy& policy, std::int64_t now) {
  const bool forgotten = now - before.last_failure > policy.forget_after.count();
  Lockout after{(forgotten ? 0 : before.failures) + 1, now, 0};
  if (after.failures > policy.free_failures) {
    const auto doublings = std::min<std::uint32_t>(after.failures - policy.free_failures - 1, 20);
    after.locked_until =
        now + std::min<std::int64_t>(policy.first_lock.count() << doublings, policy.longest_lock.count());
  }
  return after;
}

std::int64_t locked_for(const Lockout& lockout, std::int64_t now) {
  return std::max<std::int64_t>(0, lockout.locked_until - now);
}

}  // namespace higgs::boson

// How long failed logins lock an account or an address: not at all for the first few, then twice as long each time.
#pragma once

#include <chrono>
#include <cstdint>

#include "bosonserver/store/records.h"

namespace higgs::boson {

struct LockoutPolicy {
  std::uint32_t free_failures = 5;
  std::chrono::seconds first_lock{2};
  std::chrono::seconds longest_lock{900};
  std::chrono::seconds forget_after{3600};  ///< without a failure
};

/// `now`: Unix seconds.
Lockout after_failure(const Lockout& before, const LockoutPolicy& policy, std::int64_t now);
/// Seconds until the next try is let through; 0: now.
std::int64_t locked_for(const Lockout& lockout, std::int64_t now);

}  // namespace higgs::boson

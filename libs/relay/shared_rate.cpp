#include "relay/shared_rate.h"

#include <algorithm>
#include <limits>

#include "relay/frame.h"

namespace higgs::relay {
namespace {

constexpr double kBytesPerMegabit = 1e6 / 8;
constexpr double kShareBurstSeconds = 0.1;

}  // namespace

void SharedBucket::limit_to(Instant now, std::optional<double> mbps) {
  const std::lock_guard lock(mutex_);
  limited_ = mbps.has_value();
  if (!mbps) {
    bucket_.reset();
    return;
  }
  const double per_second = *mbps * kBytesPerMegabit;
  if (bucket_ && bucket_->per_second() == per_second) return;
  // The largest message must get through at any rate.
  bucket_.emplace(now, per_second, std::max(per_second * kShareBurstSeconds, 2.0 * kMaxMessageBytes));
}

std::optional<double> SharedBucket::mbps() const {
  const std::lock_guard lock(mutex_);
  return bucket_ ? std::optional(bucket_->per_second() / kBytesPerMegabit) : std::nullopt;
}

double SharedBucket::available(Instant now) {
  if (!limited_) return std::numeric_limits<double>::infinity();
  const std::lock_guard lock(mutex_);
  return bucket_ ? bucket_->available(now) : std::numeric_limits<double>::infinity();
}

void SharedBucket::spend(Instant now, double bytes) {
  if (!limited_) return;
  const std::lock_guard lock(mutex_);
  if (!bucket_) return;
  bucket_->available(now);
  bucket_->add(-bytes);
}

}  // namespace higgs::relay

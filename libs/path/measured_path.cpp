#include "path/measured_path.h"

#include <algorithm>

namespace higgs::path {
namespace {

using namespace std::chrono_literals;

// Of our choosing.
constexpr std::chrono::nanoseconds kFirstTimeout = 500ms;  // while no round trip is known
constexpr std::chrono::nanoseconds kMaxTimeout = 3s;
constexpr std::chrono::nanoseconds kTimeoutMargin = 50ms;  // above a round trip that never varies
constexpr unsigned kMaxGoodNeeded = 8;

}  // namespace

MeasuredPath::MeasuredPath(PathId id, Kind kind, std::optional<std::chrono::microseconds> round_trip,
                           const Limits& limits)
    : limits_(&limits), id_(id), kind_(kind), round_trip_(round_trip) {
  if (!round_trip) return;
  variation_ = *round_trip / 2;
  good_ = 1;  // whoever measured it got an answer
}

std::chrono::nanoseconds MeasuredPath::answer_timeout() const noexcept {
  if (!round_trip_) return std::max<std::chrono::nanoseconds>(kFirstTimeout, limits_->probe_timeout_floor);
  const std::chrono::nanoseconds wanted =
      *round_trip_ + std::max<std::chrono::nanoseconds>(4 * variation_, kTimeoutMargin);
  return std::clamp<std::chrono::nanoseconds>(
      wanted, limits_->probe_timeout_floor,
      std::max<std::chrono::nanoseconds>(kMaxTimeout, limits_->probe_timeout_floor));
}

double MeasuredPath::loss() const noexcept {
  unsigned lost = 0, judged = 0;
  for (const Probe& probe : probes_) {
    if (probe.state == State::kLost) ++lost;
    if (probe.state == State::kLost || probe.state == State::kAnswered) ++judged;
  }
  return judged == 0 ? 0 : static_cast<double>(lost) / judged;
}

unsigned MeasuredPath::good_needed() const noexcept {
  return std::min(limits_->good_probes << std::min(failures_, 8u), std::max(kMaxGoodNeeded, limits_->good_probes));
}

void MeasuredPath::sent(Instant now, std::uint32_t probe) noexcept {
  probes_[next_] = {probe, State::kWaiting, now + answer_timeout()};
  next_ = (next_ + 1) % kRemembered;
  last_probe = now;
}

bool MeasuredPath::answered(std::uint32_t number, std::chrono::microseconds sample) noexcept {
  const auto probe = std::find_if(probes_.begin(), probes_.end(), [&](const Probe& one) {
    return one.number == number && (one.state == State::kWaiting || one.state == State::kLost);
  });
  if (probe == probes_.end()) return false;
  probe->state = State::kAnswered;
  if (!last_answered_ || static_cast<std::int32_t>(number - *last_answered_) > 0) last_answered_ = number;
  // RFC 6298, section 2, for the smoothing.
  if (!round_trip_) {
    round_trip_ = sample;
    variation_ = sample / 2;
  } else {
    const auto off = sample > *round_trip_ ? sample - *round_trip_ : *round_trip_ - sample;
    variation_ = (3 * variation_ + off) / 4;
    round_trip_ = (7 * *round_trip_ + sample) / 8;
  }
  unanswered_ = 0;
  good_ = std::min(good_ + 1, 1000u);
  suspect_ = false;
  return true;
}

void MeasuredPath::not_sent(std::uint32_t number) noexcept {
  for (Probe& probe : probes_) {
    if (probe.number == number && probe.state == State::kWaiting) probe.state = State::kNone;
  }
}

void MeasuredPath::expire(Instant now) noexcept {
  for (Probe& probe : probes_) {
    if (probe.state != State::kWaiting || probe.due > now) continue;
    probe.state = State::kLost;
    if (last_answered_ && static_cast<std::int32_t>(*last_answered_ - probe.number) > 0) {
      good_ = std::min(good_, 1u);  // a later one was answered: a gap, and no sign of what is now
      continue;
    }
    unanswered_ = std::min(unanswered_ + 1, 1000u);
    good_ = 0;
    faster_since.reset();
  }
}

std::optional<Instant> MeasuredPath::deadline() const noexcept {
  std::optional<Instant> first;
  for (const Probe& probe : probes_) {
    if (probe.state == State::kWaiting && (!first || probe.due < *first)) first = probe.due;
  }
  return first;
}

void MeasuredPath::postpone(std::chrono::nanoseconds by) noexcept {
  for (Probe& probe : probes_) {
    if (probe.state == State::kWaiting) probe.due += by;
  }
}

void MeasuredPath::forget_outstanding() noexcept {
  for (Probe& probe : probes_) {
    if (probe.state == State::kWaiting) probe.state = State::kNone;
  }
}

void MeasuredPath::give_a_chance() noexcept {
  if (!doubtful()) return;
  unanswered_ = 0;
  suspect_ = true;
}

void MeasuredPath::failed_in_use() noexcept { failures_ = std::min(failures_ + 1, 8u); }

}  // namespace higgs::path

#include <algorithm>
#include <tuple>

#include "path/path_manager_impl.h"

namespace higgs::path {
namespace {

using namespace std::chrono_literals;

// Of our choosing.
constexpr std::chrono::nanoseconds kSpareSpacing = 75ms;  // between probes of paths that carry nothing: 13 a second
constexpr std::chrono::nanoseconds kLate = 100ms;         // called later than asked for by this: do not judge
constexpr std::chrono::nanoseconds kStall = 3s;           // by this: the machine slept, so nothing is known any more
constexpr std::chrono::nanoseconds kLongSleep = 30s;      // by this: consent has expired (RFC 7675), at either end
constexpr std::size_t kMaxActions = 256;                  // more probes than that nobody is going to send

std::chrono::nanoseconds jittered(std::chrono::milliseconds interval, const MeasuredPath& path) noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(interval * path.jitter);
}

}  // namespace

void PathManager::Impl::wake(Instant& now) {
  now = std::max(now, last_call_);
  last_call_ = now;
  const Instant expected = deadline_.value_or(now);
  if (now - expected <= kLate) return;
  const bool slept = now - expected > kStall;
  for (MeasuredPath& path : paths_) {
    if (slept) {
      path.forget_outstanding();
      path.suspect();
      path.last_probe.reset();
    } else {
      path.postpone(now - expected);
    }
  }
  if (slept) ++counters_.stalls;
  if (now - expected > kLongSleep && policy_ != Policy::kRelayOnly) retry_.network_changed(now);
  deadline_ = now;
}

void PathManager::Impl::settle(Instant now) {
  for (MeasuredPath& path : paths_) path.expire(now);
  choose(now);
  choose_second();
  send_probes(now);
  watch_for_direct(now);
  schedule(now);
}

// Not in use: probed as fast as one in use while an answer or two would settle something.
bool PathManager::Impl::pressing(const MeasuredPath& path) const noexcept {
  if (path.id() == second_) return true;
  if (path.dead()) return false;
  return path.doubtful() || path.good_in_a_row() < path.good_needed();
}

Instant PathManager::Impl::probe_due(const MeasuredPath& path) const noexcept {
  if (!path.last_probe) return Instant::min();
  const Instant soon = *path.last_probe + limits_.busy_interval;
  if (path.id() != active_) {
    return pressing(path) ? soon : *path.last_probe + jittered(limits_.spare_interval, path);
  }
  if (previous_is_kept_ || path.doubtful()) return soon;
  const Instant idle = *path.last_probe + jittered(limits_.idle_interval, path);
  if (!last_traffic_ || *last_traffic_ + limits_.busy_for < soon) return idle;
  return std::min(idle, soon);
}

void PathManager::Impl::send_probes(Instant now) {
  for (MeasuredPath& path : paths_) {
    if ((path.id() == active_ || path.id() == second_) && probe_due(path) <= now) send_probe(now, path);
  }
  // The others one after another: sixteen paths at once would take the whole budget. First what might be moved up to,
  // then the longest waiting.
  if (now < spare_slot_) return;
  const auto urgency = [this](const MeasuredPath& path) {
    return std::tuple(!pressing(path), pressing(path) ? path.kind() : Kind::kCascade, probe_due(path));
  };
  MeasuredPath* next = nullptr;
  for (MeasuredPath& path : paths_) {
    if (path.id() == active_ || path.id() == second_ || probe_due(path) > now) continue;
    if (next == nullptr || urgency(path) < urgency(*next)) next = &path;
  }
  if (next == nullptr) return;
  send_probe(now, *next);
  spare_slot_ = now + kSpareSpacing;
}

void PathManager::Impl::send_probe(Instant now, MeasuredPath& path) {
  if (actions_.size() >= kMaxActions) {
    path.last_probe = now;
    return;
  }
  const std::uint32_t probe = next_probe_++;
  path.sent(now, probe);
  path.jitter = 0.9 + 0.2 * static_cast<double>(random_.below(1024)) / 1024;
  ++counters_.probes_sent;
  // The follower repeats the leader's epoch only where it obeys it.
  const bool says = path.id() == active_ && (leads_ || leaders_path_ == active_);
  actions_.push_back(SendProbe{path.id(), probe, says ? epoch_ : 0});
}

void PathManager::Impl::watch_for_direct(Instant now) {
  const bool direct = uses_direct();
  if (direct && !was_direct_) retry_.direct(now);
  if (leads_ && policy_ != Policy::kRelayOnly && !direct) {
    if (was_direct_) retry_.lost(now);
    if (!paths_.empty()) retry_.first_attempt(now);
  }
  was_direct_ = direct;
  if (!retry_.fire(now, leads_ && !direct)) return;
  ++counters_.retries;
  actions_.push_back(RetryDirect{});
}

void PathManager::Impl::schedule(Instant now) {
  deadline_ = retry_.due();
  const auto at = [this](Instant when) {
    if (!deadline_ || when < *deadline_) deadline_ = when;
  };
  for (const MeasuredPath& path : paths_) {
    if (const auto overdue = path.deadline()) at(*overdue);
    const bool carries = path.id() == active_ || path.id() == second_;
    at(std::max({now, probe_due(path), carries ? now : spare_slot_}));
  }
  traffic_is_known_ = last_traffic_ && *last_traffic_ + limits_.busy_for > now;
}

}  // namespace higgs::path

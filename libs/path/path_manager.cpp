#include "path/path_manager.h"

#include <algorithm>
#include <utility>

#include "path/path_manager_impl.h"

namespace higgs::path {
namespace {

using namespace std::chrono_literals;

// Of our choosing.
constexpr std::chrono::nanoseconds kHeldInUse = 30s;  // a path that carried so long has no failures against it

bool allowed(Policy policy, Kind kind) noexcept {
  if (policy == Policy::kDirectOnly) return is_direct(kind);
  if (policy == Policy::kRelayOnly) return !is_direct(kind);
  return true;
}

}  // namespace

std::string_view to_string(Kind kind) noexcept {
  switch (kind) {
    case Kind::kDirectV6:
      return "direct-v6";
    case Kind::kDirectV4:
      return "direct-v4";
    case Kind::kTurn:
      return "turn";
    case Kind::kRelay:
      return "relay";
    case Kind::kCascade:
      break;
  }
  return "cascade";
}

std::string_view to_string(Reason reason) noexcept {
  switch (reason) {
    case Reason::kOnlyOne:
      return "only-one";
    case Reason::kBetterKind:
      return "better-kind";
    case Reason::kFaster:
      return "faster";
    case Reason::kLostProbes:
      return "lost-probes";
    case Reason::kRemoved:
      return "removed";
    case Reason::kFollowedPeer:
      return "followed-peer";
    case Reason::kPolicy:
      break;
  }
  return "policy";
}

PathManager::Impl::Impl(Instant now, bool leads, Policy policy, Limits limits, RandomSource& random)
    : leads_(leads), policy_(policy), limits_(limits), random_(random), retry_(limits_), last_call_(now) {}

void PathManager::Impl::add(Instant now, PathId id, Kind kind, std::optional<std::chrono::microseconds> round_trip) {
  if (!allowed(policy_, kind) || find(id) != nullptr) return;
  if (paths_.size() >= limits_.paths && !make_room(kind)) {
    ++counters_.paths_refused;
    return;
  }
  paths_.emplace_back(id, kind, round_trip, limits_);
  // A relay link that comes back: the far end may have slept, or moved, and can be asked again now.
  const bool returned = std::exchange(relay_went_, relay_went_ && kind < Kind::kRelay) && kind >= Kind::kRelay;
  if (returned && leads_ && policy_ != Policy::kRelayOnly && !uses_direct()) retry_.network_changed(now);
  if (!active_) {
    set_active(now, id, policy_ == Policy::kAuto ? Reason::kOnlyOne : Reason::kPolicy);
  } else if (!leads_ && leaders_path_ == id) {
    set_active(now, id, Reason::kFollowedPeer);
  }
}

void PathManager::Impl::remove(PathId id) {
  if (const MeasuredPath* path = find(id)) relay_went_ |= path->kind() >= Kind::kRelay;
  std::erase_if(paths_, [id](const MeasuredPath& path) { return path.id() == id; });
  if (previous_ == id) previous_.reset();
}

void PathManager::Impl::probe_answered(Instant now, PathId id, std::uint32_t probe,
                                       std::chrono::microseconds round_trip) {
  MeasuredPath* path = find(id);
  if (path == nullptr || !path->answered(probe, round_trip)) return;
  ++counters_.probes_answered;
  if (active_ != id) {
    watch_speed(now, *path);
    return;
  }
  // Make before break: the overlap ends with the answer to a probe sent since the change.
  if (previous_is_kept_ && static_cast<std::int32_t>(probe - first_probe_since_change_) >= 0) end_overlap();
  if (now - active_since_ >= kHeldInUse) path->held_in_use();
}

void PathManager::Impl::probe_not_sent(PathId id, std::uint32_t probe) {
  if (MeasuredPath* path = find(id)) path->not_sent(probe);
}

void PathManager::Impl::peer_sends_on(Instant now, PathId id, std::uint32_t epoch) {
  if (leads_ || epoch < epoch_) return;
  if (epoch == epoch_) {
    // The leader did not move, but its address did below it: from here that is another path, found later than the one
    // before (ids grow), so that a late probe of the old address pulls nobody back. Unless that one is dead by now.
    const MeasuredPath* before = find(leaders_path_);
    const bool moved = leaders_path_ && (id > *leaders_path_ || (id != *leaders_path_ && (!before || before->dead())));
    if (!moved) return;
  }
  epoch_ = epoch;
  leaders_path_ = id;
  MeasuredPath* path = find(id);
  if (path == nullptr) return;  // followed when it is added
  path->give_a_chance();
  set_active(now, id, Reason::kFollowedPeer);
}

void PathManager::Impl::note_sent(Instant now, std::size_t packets) noexcept {
  if (second_) counters_.duplicated_packets += packets;
  note_traffic(now);
}

void PathManager::Impl::note_traffic(Instant now) noexcept {
  last_traffic_ = now;
  if (traffic_is_known_) return;
  traffic_is_known_ = true;
  const MeasuredPath* path = active();
  if (path == nullptr || !path->last_probe) return;
  const Instant due = std::max(now, *path->last_probe + limits_.busy_interval);
  if (!deadline_ || due < *deadline_) deadline_ = due;
}

void PathManager::Impl::network_changed(Instant now) {
  for (MeasuredPath& path : paths_) {
    // The relay link finds out by itself, and is what the others are doubted in favour of.
    if (path.kind() > Kind::kTurn) continue;
    path.forget_outstanding();
    path.suspect();
    path.last_probe.reset();
  }
  if (policy_ != Policy::kRelayOnly) retry_.network_changed(now);
}

void PathManager::Impl::retry_failed(Instant now) {
  if (leads_ && policy_ != Policy::kRelayOnly && !uses_direct()) retry_.failed(now);
}

std::vector<PathStatus> PathManager::Impl::status() const {
  std::vector<PathStatus> all;
  for (const MeasuredPath& path : paths_) {
    all.push_back({path.id(), path.kind(), active_ == path.id(), path.round_trip(), path.loss(), path.unanswered()});
  }
  return all;
}

std::optional<Action> PathManager::Impl::poll_action() {
  if (actions_.empty()) return std::nullopt;
  Action action = actions_.front();
  actions_.pop_front();
  return action;
}

MeasuredPath* PathManager::Impl::find(std::optional<PathId> id) noexcept {
  const auto path = std::find_if(paths_.begin(), paths_.end(), [&](const auto& one) { return one.id() == id; });
  return path == paths_.end() ? nullptr : &*path;
}

bool PathManager::Impl::uses_direct() noexcept {
  const MeasuredPath* path = active();
  return path != nullptr && is_direct(path->kind());
}

PathManager::PathManager(Instant now, bool leads, Policy policy, Limits limits, RandomSource& random)
    : impl_(std::make_unique<Impl>(now, leads, policy, limits, random)) {}
PathManager::~PathManager() = default;

void PathManager::add(Instant now, PathId path, Kind kind, std::optional<std::chrono::microseconds> round_trip) {
  impl_->wake(now);
  impl_->add(now, path, kind, round_trip);
  impl_->settle(now);
}

void PathManager::remove(Instant now, PathId path) {
  impl_->wake(now);
  impl_->remove(path);
  impl_->settle(now);
}

void PathManager::probe_answered(Instant now, PathId path, std::uint32_t probe, std::chrono::microseconds round_trip) {
  impl_->wake(now);
  impl_->probe_answered(now, path, probe, round_trip);
  impl_->settle(now);
}

void PathManager::probe_not_sent(Instant, PathId path, std::uint32_t probe) { impl_->probe_not_sent(path, probe); }

void PathManager::peer_sends_on(Instant now, PathId path, std::uint32_t epoch) {
  impl_->wake(now);
  impl_->peer_sends_on(now, path, epoch);
  impl_->settle(now);
}

void PathManager::note_sent(Instant now, std::size_t packets) noexcept { impl_->note_sent(now, packets); }

void PathManager::note_received(Instant now, PathId, std::size_t) noexcept { impl_->note_traffic(now); }

void PathManager::network_changed(Instant now) {
  impl_->wake(now);
  impl_->network_changed(now);
  impl_->settle(now);
}

void PathManager::retry_failed(Instant now) {
  impl_->wake(now);
  impl_->retry_failed(now);
  impl_->settle(now);
}

std::optional<PathId> PathManager::active() const noexcept { return impl_->active_id(); }
std::optional<PathId> PathManager::second() const noexcept { return impl_->second(); }
std::uint32_t PathManager::epoch() const noexcept { return impl_->epoch(); }
std::vector<PathStatus> PathManager::status() const { return impl_->status(); }
const Counters& PathManager::counters() const noexcept { return impl_->counters(); }

void PathManager::handle_timeout(Instant now) {
  if (!impl_->due(now)) return;
  impl_->wake(now);
  impl_->settle(now);
}

std::optional<Instant> PathManager::poll_timeout() const { return impl_->deadline(); }
std::optional<Action> PathManager::poll_action() { return impl_->poll_action(); }

}  // namespace higgs::path

#include <algorithm>
#include <tuple>

#include "path/path_manager_impl.h"

namespace higgs::path {
namespace {

using namespace std::chrono_literals;

// Of our choosing.
constexpr std::chrono::microseconds kMinGain = 2ms;  // below this nobody notices a faster path

std::chrono::microseconds round_trip_or_max(const MeasuredPath& path) noexcept {
  return path.round_trip().value_or(std::chrono::microseconds::max());
}

/// The order of paths: what works, then the kind, then the speed.
bool better(const MeasuredPath& a, const MeasuredPath& b) noexcept {
  return std::tuple(a.dead(), a.doubtful(), a.kind(), round_trip_or_max(a), a.id()) <
         std::tuple(b.dead(), b.doubtful(), b.kind(), round_trip_or_max(b), b.id());
}

bool proven(const MeasuredPath& path) noexcept {
  return !path.doubtful() && path.good_in_a_row() >= path.good_needed();
}

}  // namespace

// The best of the others.
MeasuredPath* PathManager::Impl::best_but(std::optional<PathId> id) noexcept {
  MeasuredPath* best = nullptr;
  for (MeasuredPath& path : paths_) {
    if (path.id() != id && (best == nullptr || better(path, *best))) best = &path;
  }
  return best;
}

// A new path is known to work: it takes the place of a dead one, or of one of a worse kind that is not the last of it.
bool PathManager::Impl::make_room(Kind kind) {
  const MeasuredPath* worst = nullptr;
  for (const MeasuredPath& path : paths_) {
    if (path.id() == active_ || path.id() == second_) continue;
    const auto same_kind = [&](const MeasuredPath& other) { return other.kind() == path.kind(); };
    const bool expendable = path.kind() > kind && std::count_if(paths_.begin(), paths_.end(), same_kind) > 1;
    if (!path.dead() && !expendable) continue;
    if (worst == nullptr || better(*worst, path)) worst = &path;
  }
  if (worst == nullptr) return false;
  remove(worst->id());
  return true;
}

void PathManager::Impl::set_active(Instant now, PathId id, Reason reason) {
  if (active_ == id) return;
  MeasuredPath& path = *find(id);
  const MeasuredPath* old = active();
  if (old != nullptr) {
    if (reason == Reason::kFollowedPeer) {
      ++counters_.follows;
    } else if (path.kind() < old->kind()) {
      ++counters_.upgrades;
    } else if (path.kind() > old->kind()) {
      ++counters_.downgrades;
    }
  }
  previous_ = active_;
  previous_is_kept_ = active_.has_value();
  first_probe_since_change_ = next_probe_;
  active_ = id;
  active_since_ = now;
  path.last_probe.reset();  // probed at once: that carries the epoch
  for (MeasuredPath& each : paths_) each.faster_since.reset();
  if (leads_) ++epoch_;
  actions_.push_back(PathChanged{id, path.kind(), reason, epoch_});
}

void PathManager::Impl::end_overlap() noexcept {
  previous_is_kept_ = false;
  previous_.reset();
}

void PathManager::Impl::choose(Instant now) {
  MeasuredPath* current = active();
  if (current == nullptr && active_) return replace_removed(now);
  if (current == nullptr) return;
  if (current->dead()) {
    MeasuredPath* best = best_but(active_);
    if (best == nullptr || best->dead()) return;
    current->failed_in_use();
    set_active(now, best->id(), Reason::kLostProbes);
  } else if (leads_) {
    move_up(now, *current);
  } else if (MeasuredPath* path = find(leaders_path_); path != nullptr && path != current && proven(*path)) {
    set_active(now, path->id(), Reason::kFollowedPeer);
  }
}

void PathManager::Impl::replace_removed(Instant now) {
  const MeasuredPath* best = best_but(std::nullopt);
  if (best == nullptr) {
    active_.reset();
    end_overlap();
    actions_.push_back(PathsGone{});
    return;
  }
  if (best->kind() > active_kind_) ++counters_.downgrades;
  set_active(now, best->id(), Reason::kRemoved);
}

void PathManager::Impl::move_up(Instant now, const MeasuredPath& current) {
  MeasuredPath* best = nullptr;
  Reason reason = Reason::kBetterKind;
  for (MeasuredPath& path : paths_) {
    if (path.kind() > current.kind() || path.id() == active_ || !proven(path)) continue;
    const bool better_kind = path.kind() < current.kind();
    const bool faster =
        path.faster_since && now - *path.faster_since >= limits_.faster_for && faster_than(path, current);
    if (!better_kind && !faster) continue;
    if (best != nullptr && !better(path, *best)) continue;
    best = &path;
    reason = better_kind ? Reason::kBetterKind : Reason::kFaster;
  }
  if (best != nullptr) set_active(now, best->id(), reason);
}

bool PathManager::Impl::faster_than(const MeasuredPath& path, const MeasuredPath& current) const noexcept {
  if (path.kind() != current.kind() || !path.round_trip() || !current.round_trip()) return false;
  const auto gain = *current.round_trip() - *path.round_trip();
  const auto wanted = limits_.faster_by * static_cast<double>(current.round_trip()->count());
  return gain >= kMinGain && static_cast<double>(gain.count()) >= wanted;
}

// Stamps since when a path has been clearly faster than the one in use.
void PathManager::Impl::watch_speed(Instant now, MeasuredPath& path) {
  const MeasuredPath* current = active();
  if (current == nullptr || !faster_than(path, *current)) {
    path.faster_since.reset();
  } else if (!path.faster_since) {
    path.faster_since = now;
  }
}

void PathManager::Impl::choose_second() {
  second_.reset();
  const MeasuredPath* current = active();
  if (current == nullptr) return;
  active_kind_ = current->kind();
  if (previous_is_kept_) {
    const MeasuredPath* previous = find(previous_);
    if (previous != nullptr && !previous->dead()) {
      second_ = previous_;
      return;
    }
  }
  if (!previous_is_kept_ && !current->doubtful()) return;
  if (const MeasuredPath* best = best_but(active_)) second_ = best->id();
}

}  // namespace higgs::path

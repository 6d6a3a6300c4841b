// The inside of the path manager, in three parts: what it is told (path_manager.cpp), which path it chooses
// (path_choice.cpp), and when it probes (path_schedule.cpp).
#pragma once

#include <deque>

#include "path/measured_path.h"
#include "path/path_manager.h"
#include "path/retry_schedule.h"

namespace higgs::path {

class PathManager::Impl {
 public:
  Impl(Instant now, bool leads, Policy policy, Limits limits, RandomSource& random);

  void add(Instant now, PathId id, Kind kind, std::optional<std::chrono::microseconds> round_trip);
  void remove(PathId id);
  void probe_answered(Instant now, PathId id, std::uint32_t probe, std::chrono::microseconds round_trip);
  void probe_not_sent(PathId id, std::uint32_t probe);
  void peer_sends_on(Instant now, PathId id, std::uint32_t epoch);
  void note_sent(Instant now, std::size_t packets) noexcept;
  void note_traffic(Instant now) noexcept;
  void network_changed(Instant now);
  void retry_failed(Instant now);

  /// Notices a clock that stood still. To be called before anything is judged.
  void wake(Instant& now);
  /// Chooses the path, sends what probes are due, and finds out when to be called again.
  void settle(Instant now);

  bool due(Instant now) const noexcept { return deadline_ && *deadline_ <= now; }
  std::optional<PathId> active_id() const noexcept { return active_; }
  std::optional<PathId> second() const noexcept { return second_; }
  std::uint32_t epoch() const noexcept { return epoch_; }
  std::optional<Instant> deadline() const noexcept { return deadline_; }
  const Counters& counters() const noexcept { return counters_; }
  std::vector<PathStatus> status() const;
  std::optional<Action> poll_action();

 private:
  MeasuredPath* find(std::optional<PathId> id) noexcept;
  MeasuredPath* active() noexcept { return find(active_); }
  bool uses_direct() noexcept;

  // path_choice.cpp
  MeasuredPath* best_but(std::optional<PathId> id) noexcept;
  bool make_room(Kind kind);
  void set_active(Instant now, PathId id, Reason reason);
  void end_overlap() noexcept;
  void choose(Instant now);
  void replace_removed(Instant now);
  void move_up(Instant now, const MeasuredPath& current);
  bool faster_than(const MeasuredPath& path, const MeasuredPath& current) const noexcept;
  void watch_speed(Instant now, MeasuredPath& path);
  void choose_second();

  // path_schedule.cpp
  bool pressing(const MeasuredPath& path) const noexcept;
  Instant probe_due(const MeasuredPath& path) const noexcept;
  void send_probes(Instant now);
  void send_probe(Instant now, MeasuredPath& path);
  void watch_for_direct(Instant now);
  void schedule(Instant now);

  const bool leads_;
  const Policy policy_;
  const Limits limits_;
  RandomSource& random_;
  std::vector<MeasuredPath> paths_;
  RetrySchedule retry_;
  std::deque<Action> actions_;
  Counters counters_;

  std::optional<PathId> active_, previous_, second_, leaders_path_;
  Kind active_kind_ = Kind::kRelay;
  bool previous_is_kept_ = false;  // the overlap: copies until the new path has answered once more
  std::uint32_t first_probe_since_change_ = 0, next_probe_ = 1, epoch_ = 0;
  Instant active_since_{}, last_call_, spare_slot_ = Instant::min();
  std::optional<Instant> last_traffic_, deadline_;
  bool traffic_is_known_ = false, was_direct_ = false, relay_went_ = false;
};

}  // namespace higgs::path

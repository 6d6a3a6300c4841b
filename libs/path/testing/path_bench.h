// A path manager on a virtual clock, and a far end that answers its probes: what its tests share.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "path/path_manager.h"

namespace higgs::path::testing {

using namespace std::chrono_literals;

inline constexpr PathId kRelay = 0, kTurn = 1, kV4 = 2, kV6 = 3, kOtherV4 = 4;

/// A manager on a virtual clock, and a far end that answers its probes.
class Bench {
 public:
  struct Link {
    std::chrono::microseconds round_trip{20000};
    bool cut = false;
    std::uint64_t probes = 0;
    std::uint32_t last_epoch = 0;
  };

  explicit Bench(bool leads = true, Policy policy = Policy::kAuto, Limits limits = {})
      : manager(now, leads, policy, limits, random_) {}

  void add(PathId path, Kind kind, std::chrono::microseconds round_trip = 20ms) {
    links[path].round_trip = round_trip;
    manager.add(now, path, kind, round_trip);
    drain();
  }
  void run(std::chrono::nanoseconds time) {
    const Instant end = now + time;
    for (;;) {
      Instant next = end;
      if (const auto due = manager.poll_timeout()) next = std::min(next, std::max(now, *due));
      if (!answers_.empty()) next = std::min(next, answers_.begin()->first);
      if (busy) next = std::min(next, next_packet_);
      now = std::max(now, next);
      if (now >= end) break;
      step();
    }
    now = end;
  }
  /// The machine sleeps: nothing happens, and no answer that came meanwhile is kept.
  void sleep(std::chrono::nanoseconds time) {
    now += time;
    answers_.clear();
    next_packet_ = now;
  }
  template <class T>
  std::vector<T> of() const {
    std::vector<T> found;
    for (const Action& action : log) {
      if (const T* one = std::get_if<T>(&action)) found.push_back(*one);
    }
    return found;
  }
  std::vector<PathId> changes() const {
    std::vector<PathId> found;
    for (const auto& change : of<PathChanged>()) found.push_back(change.path);
    return found;
  }
  void drain() {
    while (auto action = manager.poll_action()) {
      if (const auto* probe = std::get_if<SendProbe>(&*action)) {
        Link& link = links[probe->path];
        ++link.probes;
        link.last_epoch = probe->epoch;
        if (!link.cut) answers_.emplace(now + link.round_trip, std::tuple(probe->path, probe->probe, link.round_trip));
      }
      log.push_back(*action);
      when.push_back(now);
    }
  }
  /// How long until `done`, within `limit`.
  std::chrono::nanoseconds time_until(std::chrono::nanoseconds limit, const std::function<bool()>& done) {
    const Instant begin = now;
    while (!done() && now - begin < limit) run(1ms);
    return now - begin;
  }

  Instant now{std::chrono::hours(1)};
  std::map<PathId, Link> links;
  bool busy = true;
  std::vector<Action> log;
  std::vector<Instant> when;  ///< of log
  std::uint64_t sent = 0, copied = 0, lost = 0;

 private:
  void step() {
    while (!answers_.empty() && answers_.begin()->first <= now) {
      const auto [path, probe, round_trip] = answers_.begin()->second;
      answers_.erase(answers_.begin());
      if (!links[path].cut) manager.probe_answered(now, path, probe, round_trip);
    }
    if (busy && now >= next_packet_) {
      ++sent;
      if (manager.second()) ++copied;
      const bool first = manager.active() && !links[*manager.active()].cut;
      const bool second = manager.second() && !links[*manager.second()].cut;
      if (!first && !second) ++lost;
      manager.note_sent(now, 1);
      next_packet_ = now + 10ms;
    }
    manager.handle_timeout(now);
    drain();
  }

  SeededRandom random_{7};
  std::multimap<Instant, std::tuple<PathId, std::uint32_t, std::chrono::microseconds>> answers_;
  Instant next_packet_ = now;

 public:
  PathManager manager;
};

}  // namespace higgs::path::testing

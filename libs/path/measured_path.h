// One path as its probes show it: round trip, loss, and whether it still answers. Pure bookkeeping.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

#include "base/time.h"
#include "path/path_manager.h"

namespace higgs::path {

class MeasuredPath {
 public:
  MeasuredPath(PathId id, Kind kind, std::optional<std::chrono::microseconds> round_trip, const Limits& limits);

  PathId id() const noexcept { return id_; }
  Kind kind() const noexcept { return kind_; }
  std::optional<std::chrono::microseconds> round_trip() const noexcept { return round_trip_; }
  /// How long an answer is waited for: the smoothed round trip and four times its variation, within bounds.
  std::chrono::nanoseconds answer_timeout() const noexcept;
  double loss() const noexcept;
  unsigned unanswered() const noexcept { return unanswered_; }
  unsigned good_in_a_row() const noexcept { return good_; }
  /// Answers in a row that it takes to move up to this path: more after each failure in use.
  unsigned good_needed() const noexcept;
  bool dead() const noexcept { return unanswered_ >= limits_->lost_probes; }
  /// Unanswered lately, or nothing known of it since something changed.
  bool doubtful() const noexcept { return unanswered_ > 0 || suspect_; }

  void sent(Instant now, std::uint32_t probe) noexcept;
  /// False: no such probe, or answered before. An answer after its time-out counts too.
  bool answered(std::uint32_t probe, std::chrono::microseconds round_trip) noexcept;
  void not_sent(std::uint32_t probe) noexcept;
  /// Judges what is overdue.
  void expire(Instant now) noexcept;
  /// When the next probe is overdue.
  std::optional<Instant> deadline() const noexcept;
  /// Our clock stood still for that long: nothing that was waited for is late by it.
  void postpone(std::chrono::nanoseconds by) noexcept;
  /// Forgets what is outstanding: an answer is no longer to be expected, and that is not the path's fault.
  void forget_outstanding() noexcept;
  void suspect() noexcept { suspect_ = true; }
  /// The far end uses it: whatever was lost before is no longer held against it.
  void give_a_chance() noexcept;
  void failed_in_use() noexcept;
  void held_in_use() noexcept { failures_ = 0; }

  std::optional<Instant> last_probe;  ///< when the last one was sent
  double jitter = 1;                  ///< of the interval until the next one
  std::optional<Instant> faster_since;

 private:
  enum class State : std::uint8_t { kNone, kWaiting, kLost, kAnswered };
  struct Probe {
    std::uint32_t number = 0;
    State state = State::kNone;
    Instant due{};
  };
  static constexpr std::size_t kRemembered = 32;

  const Limits* limits_;
  PathId id_;
  Kind kind_;
  std::optional<std::chrono::microseconds> round_trip_;
  std::chrono::microseconds variation_{0};
  std::array<Probe, kRemembered> probes_{};
  std::size_t next_ = 0;
  std::optional<std::uint32_t> last_answered_;
  unsigned unanswered_ = 0, good_ = 0, failures_ = 0;
  bool suspect_ = false;
};

}  // namespace higgs::path

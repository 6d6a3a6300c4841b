// Whether the other end of a relay link still answers (proto/relay.md, "Liveness"), sans-IO.
//
// Idle: a ping when nothing was received for 15 s, given up after three that nothing answered. With data or a
// session-open sent and nothing at all received since: a ping every 500 ms, given up after 2 s. Each wait follows a
// ping that was really sent, so a machine that slept asks again before it gives up.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/time.h"

namespace higgs::relay {

// Of proto/relay.md.
inline constexpr std::chrono::milliseconds kIdlePingInterval{15000};
inline constexpr std::chrono::milliseconds kProbeInterval{500};
inline constexpr unsigned kUnansweredPings = 3;  ///< 3 × 15 s and one more wait; 500 ms + 3 × 500 ms = 2 s

/// Of our choosing. TCP repeats what was lost 200 ms, 600 ms, 1.4 s and 3 s after the first time (RFC 6298, 5, with the
/// usual minimum): who has moved to another server by 1.4 s resumes then, who waits for the end of this link after 3.
inline constexpr unsigned kDoubtfulPings = 2;

class Liveness {
 public:
  enum class Action { kNone, kPing, kDead };

  explicit Liveness(Instant now) noexcept : deadline_(now + kIdlePingInterval) {}

  /// Anything came in: data, control, ping or pong.
  void on_received(Instant now) noexcept {
    outstanding_ = false;
    unanswered_ = 0;
    deadline_ = now + kIdlePingInterval;
  }
  /// Data, or control that is answered at once, went out (pings and other control do not count). Cheap: once a batch.
  void on_sent(Instant now) noexcept {
    if (outstanding_) return;
    outstanding_ = true;
    unanswered_ = 0;
    deadline_ = now + kProbeInterval;
  }
  /// Traffic has gone unanswered for two probes: time to look for another way, while this one may still be good.
  bool in_doubt() const noexcept { return outstanding_ && unanswered_ >= kDoubtfulPings; }
  /// When handle_timeout() has something to do, as things stand. It moves later with each on_received().
  Instant deadline() const noexcept { return deadline_; }
  /// kPing: send one now. kDead: give the link up. kNone before the deadline.
  Action handle_timeout(Instant now) noexcept;

 private:
  bool outstanding_ = false;
  unsigned unanswered_ = 0;
  Instant deadline_;
};

}  // namespace higgs::relay

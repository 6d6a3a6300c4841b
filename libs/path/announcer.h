// What the far end is to know of this end, and the messages that still have to say so: the description first, then
// candidates as they are found (RFC 8838), then their end. What was said while no relay link stood is said again when
// one does. Pure bookkeeping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "ice/candidate.h"
#include "path/signal.h"
#include "relay/control.h"

namespace higgs::path {

/// Foundation of candidates that are guesses at the next ports of a symmetric NAT: to be tried last.
inline constexpr std::string_view kPredictedFoundation = "predicted";

class Announcer {
 public:
  // Of our choosing.
  static constexpr std::size_t kMaxCandidates = 16;
  static constexpr std::size_t kMaxPredicted = 8;
  static constexpr std::size_t kMaxQueued = 64;

  /// A new generation: nothing of the one before is said any more. Guesses are kept.
  void begin(ice::Description description);
  void add(const ice::Candidate& candidate);
  void remove(const Endpoint& endpoint);
  /// Said with the next generation, or now if this one has none yet.
  void set_predicted(const std::vector<Endpoint>& endpoints);
  /// Whether the guesses have changed since they were said.
  bool predictions_are_stale() const noexcept { return predicted_ != told_predicted_; }
  void end();
  void path_changed(const PathSignal& path);

  /// Whether a relay link stands. Opening says everything again.
  void set_open(bool open);
  void tell_all();
  std::optional<relay::PeerMessage> poll();
  std::uint64_t dropped() const noexcept { return dropped_; }

 private:
  void tell(Signal signal);
  void tell_predicted();

  bool open_ = false, ended_ = false;
  ice::Description description_;
  std::vector<ice::Candidate> candidates_;
  std::vector<Endpoint> predicted_, told_predicted_;
  std::optional<PathSignal> path_;
  std::deque<Signal> queue_;
  std::uint64_t dropped_ = 0;
};

}  // namespace higgs::path

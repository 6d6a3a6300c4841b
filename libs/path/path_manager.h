// Which path carries a tunnel: measured all the time, moved up with hysteresis, moved down at once. Sans-IO.
//
//   order: direct IPv6, direct IPv4, TURN, relay
//   up:    the candidate has answered `good_probes` in a row and is of a better kind, or of the same kind and clearly
//          faster; both paths carry every packet until the new one has answered once more
//   down:  `lost_probes` unanswered in a row under traffic (probes every `busy_interval`); from the first unanswered
//          one on packets go over the next best path too
//   again: a lost direct path is asked for after `retry_first`, doubling to `retry_cap`, and at once when the network
//   changes
//
// One end leads (the client): it chooses and says so by a growing epoch; the other follows it, and moves down on its
// own when the path it sends on is dead. Data that arrives moves nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/random.h"
#include "base/time.h"

namespace higgs::path {

enum class Kind { kDirectV6, kDirectV4, kTurn, kRelay, kCascade };
std::string_view to_string(Kind kind) noexcept;
inline bool is_direct(Kind kind) noexcept { return kind == Kind::kDirectV6 || kind == Kind::kDirectV4; }

/// kRelayOnly: whatever a server carries, TURN included.
enum class Policy { kAuto, kDirectOnly, kRelayOnly };

/// Why the path in use is in use.
enum class Reason { kOnlyOne, kBetterKind, kFaster, kLostProbes, kRemoved, kFollowedPeer, kPolicy };
std::string_view to_string(Reason reason) noexcept;

using PathId = std::uint32_t;  ///< ice::PairId

struct Limits {
  std::chrono::milliseconds busy_interval{150};    ///< between probes of the path in use, under traffic
  std::chrono::milliseconds idle_interval{5000};   ///< of the path in use, idle
  std::chrono::milliseconds spare_interval{5000};  ///< of other paths
  std::chrono::milliseconds busy_for{1000};        ///< traffic this recent counts as traffic
  std::chrono::milliseconds probe_timeout_floor{150};
  unsigned good_probes = 2;
  unsigned lost_probes = 3;
  double faster_by = 0.25;  ///< share of the round trip to gain within a kind
  std::chrono::milliseconds faster_for{5000};
  std::chrono::milliseconds retry_first{2000};
  std::chrono::milliseconds retry_cap{300000};
  std::size_t paths = 16;  ///< the worst gives way to a better one
};

/// Send probe `probe` on `path`; `epoch` is not 0 where it is the path we send on.
struct SendProbe {
  PathId path = 0;
  std::uint32_t probe = 0;
  std::uint32_t epoch = 0;
};
struct PathChanged {  ///< active() is another now
  PathId path = 0;
  Kind kind = Kind::kRelay;
  Reason reason = Reason::kOnlyOne;
  std::uint32_t epoch = 0;
};
/// No path that may be used is left.
struct PathsGone {};
/// Try to find a direct path again (an ICE restart); at most as often as the back-off allows.
struct RetryDirect {};
using Action = std::variant<SendProbe, PathChanged, PathsGone, RetryDirect>;

struct PathStatus {
  PathId id = 0;
  Kind kind = Kind::kRelay;
  bool active = false;
  std::optional<std::chrono::microseconds> round_trip;  ///< smoothed
  double loss = 0;                                      ///< of the last probes, 0 to 1
  unsigned unanswered = 0;                              ///< in a row
};

struct Counters {
  std::uint64_t probes_sent = 0, probes_answered = 0, upgrades = 0, downgrades = 0, retries = 0, follows = 0;
  std::uint64_t duplicated_packets = 0, paths_refused = 0, stalls = 0;
};

/// Whoever owns it drains poll_action() after each call and looks at poll_timeout() after each batch of traffic. A
/// clock that stood still (suspend, an overloaded machine) is noticed, and everything is probed anew before it is
/// judged.
class PathManager {
 public:
  PathManager(Instant now, bool leads, Policy policy, Limits limits, RandomSource& random);
  ~PathManager();

  void add(Instant now, PathId path, Kind kind, std::optional<std::chrono::microseconds> round_trip);
  void remove(Instant now, PathId path);
  void probe_answered(Instant now, PathId path, std::uint32_t probe, std::chrono::microseconds round_trip);
  /// The probe of a SendProbe could not go out (budget, base gone): that is not held against the path.
  void probe_not_sent(Instant now, PathId path, std::uint32_t probe);
  /// The leader's word (a probe or path-changed): it sends on `path` since `epoch`. Older epochs move nothing.
  void peer_sends_on(Instant now, PathId path, std::uint32_t epoch);
  /// Traffic stamps, once a batch: cheap.
  void note_sent(Instant now, std::size_t packets) noexcept;
  void note_received(Instant now, PathId path, std::size_t packets) noexcept;
  /// An address, a route or a mapping changed: doubts every direct path, resets the back-off, asks for a retry.
  void network_changed(Instant now);
  /// A retry has begun or ended without a direct path.
  void retry_failed(Instant now);

  std::optional<PathId> active() const noexcept;
  /// While the active path is in doubt or new: where copies go too.
  std::optional<PathId> second() const noexcept;
  std::uint32_t epoch() const noexcept;
  std::vector<PathStatus> status() const;
  const Counters& counters() const noexcept;

  void handle_timeout(Instant now);
  std::optional<Instant> poll_timeout() const;
  std::optional<Action> poll_action();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::path

// The candidate pairs of one attempt and the order in which they are checked (RFC 8445, sections 6.1.2 to 6.1.4).
// Sans-IO.
//
//   Waiting ──▶ In-Progress ──▶ Succeeded      a pair that is valid already is checked again after a restart, and stays
//                     └───────▶ Failed         valid meanwhile
//
// A pair is a base and a remote endpoint: all candidates of the shared socket have that one base, so that pruning
// (6.1.2.4) is built in. Frozen is not used: with one component no two pairs would wait for each other with a gain.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "ice/agent.h"
#include "ice/consent.h"

namespace higgs::ice {

enum class CheckState { kWaiting, kInProgress, kSucceeded, kFailed };

struct CheckedPair {
  Pair pair;
  std::uint64_t priority = 0;
  bool predicted = false;  ///< its remote port is a guess: checked last
  bool proven = false;     ///< an authenticated request came from there
  CheckState state = CheckState::kWaiting;
  bool triggered = false;
  unsigned triggers = 0;  ///< since it was last checked from the start, or answered
  bool refused = false;   ///< kFailed, since the attempt had no destination left
  unsigned sent = 0;      ///< requests of this check
  Instant last_sent{}, next{};
  bool valid = false;
  Consent consent;                             ///< of a valid pair
  std::optional<Endpoint> mapped;              ///< our end, as the far end saw it
  std::optional<std::uint32_t> peer_sends_on;  ///< the epoch said on it before it was valid
};

class CheckList {
 public:
  explicit CheckList(const Limits& limits) : limits_(limits) {}

  CheckedPair* find(PairId id) noexcept;
  const CheckedPair* find(PairId id) const noexcept;
  CheckedPair* find(Base base, const Endpoint& remote) noexcept;
  std::vector<CheckedPair>& all() noexcept { return pairs_; }
  const std::vector<CheckedPair>& all() const noexcept { return pairs_; }

  /// A new pair, waiting. Over the limit the pair of the lowest priority goes, perhaps this one (6.1.2.5): nullptr.
  /// Invalidates pointers.
  CheckedPair* add(Instant now, const Pair& pair, std::uint64_t priority, bool predicted);
  /// Before all others, at once or half an RTO after its last request (7.3.1.4). Where many such checks came to nothing
  /// it goes on in its turn: between symmetric NATs both ends hear requests and never an answer, and would trigger one
  /// another for ever.
  void trigger(Instant now, CheckedPair& pair);
  /// Checks it from the start, in its turn.
  void reset(Instant now, CheckedPair& pair) noexcept;
  void succeed(CheckedPair& pair) noexcept;
  /// Gives up the check; the pair stays valid if it was.
  void give_up(CheckedPair& pair) noexcept;

  /// Which pair to send a request on now. New pairs and repeated checks take turns.
  CheckedPair* next(Instant now) noexcept;
  void sent(Instant now, CheckedPair& pair) noexcept;
  /// Fails the checks whose last request was not answered in time.
  void expire(Instant now) noexcept;
  /// When next() and expire() will next have something to do.
  std::optional<Instant> next_request() const noexcept;
  std::optional<Instant> next_expiry() const noexcept;

  bool any_active() const noexcept;
  bool any_valid() const noexcept;

 private:
  bool may_send(const CheckedPair& pair) const noexcept;

  const Limits limits_;
  std::vector<CheckedPair> pairs_;
  std::deque<PairId> triggered_;
  PairId last_id_ = kRelayPair;
  bool new_first_ = true;
};

}  // namespace higgs::ice

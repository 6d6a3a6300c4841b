// What requests may be sent when, and to whom: at most so many in any second, checks evenly spaced, and no more than so
// many destinations in one attempt.
//
//   probes and consent checks    as soon as the second has room
//   connectivity checks          besides, 1/rate after the last request (RFC 8445, 14.2: Ta)
#pragma once

#include <chrono>
#include <deque>
#include <optional>
#include <set>
#include <span>

#include "base/ip.h"
#include "base/time.h"

namespace higgs::ice {

class Budget {
 public:
  Budget(Instant now, unsigned packets_per_second, unsigned destinations);

  /// Earliest time for a probe or a consent check, and for a connectivity check.
  Instant next_probe() const noexcept;
  Instant next_check() const noexcept;
  void spend(Instant now);

  /// Whether a request may go there; takes one of the attempt's destinations if it is a new one. The last few are kept
  /// for those who have proved to be the peer, so that unproven candidates cannot shut them out. `learned`: it is peer-
  /// reflexive. Two symmetric NATs that filter little show a new address with each check, and none of them leads
  /// anywhere: the very last is kept for the way through a server.
  bool admit(const Endpoint& destination, bool proven, bool learned = false);

  /// A new attempt: destinations are free again but for those in use. Attempts are limited too, since the far end can
  /// start them: one that comes too soon goes on with the destinations of the one before until renewal().
  void begin_attempt(Instant now, std::span<const Endpoint> in_use);
  /// When a postponed renewal is due: begin_attempt() is to be called again then.
  std::optional<Instant> renewal() const noexcept;

 private:
  const unsigned packets_per_second_, destinations_;
  std::deque<Instant> sent_;  ///< the last packets_per_second_
  std::set<Endpoint> taken_;
  Instant attempts_full_;  ///< when all attempts saved up would be there again
  bool postponed_ = false;
};

}  // namespace higgs::ice

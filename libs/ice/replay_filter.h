// Remembers the transaction ids of authenticated requests and where they came from. A request that comes again from
// elsewhere is a replay: honest ends make a new transaction id for each request. Bounded: the oldest are forgotten.
#pragma once

#include <vector>

#include "base/ip.h"
#include "stun/message.h"

namespace higgs::ice {

class ReplayFilter {
 public:
  static constexpr std::size_t kRemembered = 2048;

  enum class Seen {
    kNever,
    kFromHere,       ///< doubled by the network, or sent again
    kFromElsewhere,  ///< replayed
  };
  /// `way` tells the bases apart.
  Seen note(const stun::TransactionId& transaction, unsigned way, const Endpoint& from);

 private:
  struct Entry {
    std::uint64_t transaction;  ///< its first eight bytes
    std::uint64_t source;       ///< a digest
  };
  std::vector<Entry> entries_;
  std::size_t next_ = 0;
};

}  // namespace higgs::ice

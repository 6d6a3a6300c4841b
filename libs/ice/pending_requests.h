// Requests of ours that may still be answered. Each has a transaction id of its own, those that repeat a check too, so
// that every answer gives an exact round trip. Bounded by number and age.
#pragma once

#include <deque>
#include <optional>

#include "base/time.h"
#include "ice/agent.h"
#include "stun/message.h"

namespace higgs::ice {

struct PendingRequest {
  stun::TransactionId transaction{};
  Base base = Base::kSocket;
  Endpoint to;
  PairId pair = kRelayPair;
  Instant sent{};
  Role role = Role::kControlling;  ///< as it says
  unsigned remote_key = 0;         ///< of the password that keys the answer
  std::optional<std::uint32_t> probe;
};

class PendingRequests {
 public:
  void add(const PendingRequest& request);
  const PendingRequest* find(Instant now, const stun::TransactionId& transaction) noexcept;
  void erase(const stun::TransactionId& transaction) noexcept;

 private:
  std::deque<PendingRequest> requests_;  ///< oldest first
};

}  // namespace higgs::ice

#include "relay/liveness.h"

namespace higgs::relay {

Liveness::Action Liveness::handle_timeout(Instant now) noexcept {
  if (now < deadline_) return Action::kNone;
  if (unanswered_ == kUnansweredPings) return Action::kDead;
  ++unanswered_;
  deadline_ = now + (outstanding_ ? kProbeInterval : kIdlePingInterval);
  return Action::kPing;
}

}  // namespace higgs::relay

// One client transaction over UDP (RFC 8489, section 6.2.1): the request is repeated after RTO, 2·RTO, 4·RTO, … at most
// Rc times, and given up Rm·RTO after the last. Sans-IO; the bytes and the match of the answer are the owner's.
#pragma once

#include <chrono>
#include <optional>

#include "base/time.h"

namespace higgs::stun {

// RFC 8489, section 6.2.1.
struct RetransmissionPolicy {
  std::chrono::milliseconds rto{500};
  unsigned rc = 7;
  unsigned rm = 16;
};

class TransactionTimer {
 public:
  enum class Step { kWait, kSend, kGiveUp };

  /// The first step is kSend at once.
  explicit TransactionTimer(Instant now, RetransmissionPolicy policy = {}) noexcept : policy_(policy), next_(now) {}

  /// To be called at next() or later; kSend means: send it (again) now.
  Step step(Instant now) noexcept;
  Instant next() const noexcept { return next_; }
  unsigned sent() const noexcept { return sent_; }
  /// When the last copy was sent: a round trip is measured from it only if sent() is 1 (Karn's algorithm).
  Instant last_sent() const noexcept { return last_sent_; }

 private:
  RetransmissionPolicy policy_;
  unsigned sent_ = 0;
  Instant next_, last_sent_{};
};

}  // namespace higgs::stun

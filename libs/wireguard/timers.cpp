#include "wireguard/timers.h"

#include <utility>

namespace higgs::wireguard {

void PeerTimers::stop() noexcept {
  retransmit_at_ = keepalive_at_ = persistent_at_ = new_handshake_at_ = erase_keys_at_ = expiry_at_ = kNever;
  attempts_ = 0;
  keepalive_again_ = false;
}

bool PeerTimers::take(Instant& at, Instant now) noexcept {
  if (at > now) return false;
  at = kNever;
  return true;
}

PeerTimers::Due PeerTimers::take_due(Instant now) noexcept {
  Due due;
  if (take(retransmit_at_, now)) {
    if (attempts_ >= kMaxHandshakeAttempts) {
      due.give_up_handshake = true;
      attempts_ = 0;
      keepalive_at_ = kNever;
      // Keys that are left will not be replaced soon.
      if (erase_keys_at_ == kNever) erase_keys_at_ = now + kEraseKeysAfterTime;
    } else {
      ++attempts_;
      due.retransmit_handshake = true;
    }
  }
  if (take(keepalive_at_, now)) {
    due.keepalive = true;
    due.keepalive_again = std::exchange(keepalive_again_, false);
  }
  due.persistent_keepalive = take(persistent_at_, now);
  due.new_handshake = take(new_handshake_at_, now);
  due.erase_keys = take(erase_keys_at_, now);
  take(expiry_at_, now);
  return due;
}

}  // namespace higgs::wireguard

// The timers of one peer (paper, section 6). Traffic only leaves stamps here; what is due is worked out when the
// engine's clock passes next().
#pragma once

#include <algorithm>
#include <chrono>

#include "base/time.h"
#include "wireguard/constants.h"

namespace higgs::wireguard {

class PeerTimers {
 public:
  struct Due {
    bool retransmit_handshake = false;
    bool give_up_handshake = false;
    bool keepalive = false;
    bool keepalive_again = false;  ///< data came since the keepalive was planned: another follows in its time
    bool persistent_keepalive = false;
    bool new_handshake = false;
    bool erase_keys = false;
  };
  static constexpr Instant kNever = Instant::max();

  // --- stamps; "data" is a packet that is no keepalive, "authenticated" any message proven to be the peer's ----------
  void on_authenticated_sent(Instant now) noexcept {
    keepalive_at_ = kNever;
    keepalive_again_ = false;
    on_traversal(now);
  }
  void on_authenticated_received(Instant now) noexcept {
    new_handshake_at_ = kNever;
    on_traversal(now);
  }
  /// Section 6.5: nothing heard for Keepalive-Timeout + Rekey-Timeout after sending data means a new handshake.
  void on_data_sent(Instant now) noexcept {
    if (new_handshake_at_ == kNever) new_handshake_at_ = now + kKeepaliveTimeout + kRekeyTimeout + jitter_;
  }
  /// Section 6.5: data received and nothing sent for Keepalive-Timeout means a keepalive.
  void on_data_received(Instant now) noexcept {
    if (keepalive_at_ == kNever) {
      keepalive_at_ = now + kKeepaliveTimeout;
    } else {
      keepalive_again_ = true;
    }
  }

  // --- handshakes ----------------------------------------------------------------------------------------------------
  void on_handshake_wanted() noexcept { attempts_ = 0; }
  void on_initiation_sent(Instant now) noexcept { retransmit_at_ = now + kRekeyTimeout + jitter_; }
  /// A handshake is wanted but may not start before `when`.
  void postpone_handshake(Instant when) noexcept {
    if (retransmit_at_ == kNever) retransmit_at_ = when;
  }
  void try_handshake_at(Instant when) noexcept { retransmit_at_ = when; }
  void on_handshake_complete() noexcept {
    retransmit_at_ = kNever;
    attempts_ = 0;
  }
  void on_session_derived(Instant now) noexcept {
    erase_keys_at_ = now + kEraseKeysAfterTime;
    expiry_at_ = now + kRejectAfterTime;
  }

  void set_persistent_keepalive(Instant now, std::chrono::seconds interval) noexcept {
    persistent_ = interval;
    persistent_at_ = interval.count() > 0 ? now + interval : kNever;
  }
  /// Of the next retransmission; drawn anew by the engine for each handshake.
  void set_jitter(std::chrono::nanoseconds jitter) noexcept { jitter_ = jitter; }
  /// Forgets all but the persistent keepalive, which stops until traffic stamps it again.
  void stop() noexcept;

  // --- when they fire ------------------------------------------------------------------------------------------------
  Instant next() const noexcept {
    return std::min({retransmit_at_, keepalive_at_, persistent_at_, new_handshake_at_, erase_keys_at_, expiry_at_});
  }
  /// What is due, which is then forgotten.
  Due take_due(Instant now) noexcept;

 private:
  void on_traversal(Instant now) noexcept {
    if (persistent_.count() > 0) persistent_at_ = now + persistent_;
  }
  static bool take(Instant& at, Instant now) noexcept;

  Instant retransmit_at_ = kNever;
  Instant keepalive_at_ = kNever;
  Instant persistent_at_ = kNever;
  Instant new_handshake_at_ = kNever;
  Instant erase_keys_at_ = kNever;
  Instant expiry_at_ = kNever;  // nothing is done then, but the engine's clock moves on and has_session with it
  std::chrono::nanoseconds jitter_{0};
  std::chrono::seconds persistent_{0};
  unsigned attempts_ = 0;
  bool keepalive_again_ = false;
};

}  // namespace higgs::wireguard

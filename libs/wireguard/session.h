// One key pair: the keys of both directions, the counter of the next packet and the window of those received
// (paper, sections 5.4.5 and 5.4.6); and those that a peer has at once.
#pragma once

#include <algorithm>
#include <iterator>
#include <memory>

#include "base/time.h"
#include "wireguard/constants.h"
#include "wireguard/handshake.h"
#include "wireguard/index_table.h"
#include "wireguard/replay_window.h"

namespace higgs::wireguard {

class Session {
 public:
  Session(TransportKeys keys, IndexTable::Lease index, std::uint32_t remote_index, bool initiator, Instant now)
      : keys_(std::move(keys)),
        index_(std::move(index)),
        remote_index_(remote_index),
        initiator_(initiator),
        created_(now) {}

  const crypto::AeadKey& send_key() const noexcept { return keys_.send; }
  const crypto::AeadKey& receive_key() const noexcept { return keys_.receive; }
  const IndexTable::Lease& index() const noexcept { return index_; }
  std::uint32_t remote_index() const noexcept { return remote_index_; }
  bool initiator() const noexcept { return initiator_; }
  Instant created() const noexcept { return created_; }
  ReplayWindow& window() noexcept { return window_; }

  bool expired(Instant now) const noexcept { return now - created_ >= kRejectAfterTime; }
  /// How many packets may still be sealed.
  std::uint64_t remaining() const noexcept { return kRejectAfterMessages - next_counter_; }
  bool may_send(Instant now) const noexcept { return !expired(now) && remaining() > 0; }

  /// The first of `count` counters that nobody else gets; count <= remaining().
  std::uint64_t reserve(std::uint64_t count) noexcept { return std::exchange(next_counter_, next_counter_ + count); }
  /// For tests of the message limits, which nobody lives to reach.
  void skip_counters_to(std::uint64_t counter) noexcept { next_counter_ = std::max(next_counter_, counter); }

  /// Section 6.2: only the initiator rekeys by age, so that both ends do not at once; both do by messages.
  bool wants_rekey_after_send(Instant now) const noexcept {
    return next_counter_ > kRekeyAfterMessages || (initiator_ && now - created_ >= kRekeyAfterTime);
  }
  /// Section 6.2: an initiator that only receives rekeys just before the keys expire.
  bool wants_rekey_after_receive(Instant now) const noexcept {
    return initiator_ && now - created_ >= kRejectAfterTime - kKeepaliveTimeout - kRekeyTimeout;
  }

 private:
  TransportKeys keys_;
  IndexTable::Lease index_;
  std::uint32_t remote_index_;
  bool initiator_;
  Instant created_;
  std::uint64_t next_counter_ = 0;
  ReplayWindow window_;
};

/// current: sent and received with. next: made as responder, unused until the first packet under it proves that the
/// initiator has it too; the one before it is kept, since the response that made the newer may be lost.
/// previous: still received with, for packets under way; three, since when both ends initiate at once each may send
/// under a key pair that the other has already left behind.
class KeyPairs {
 public:
  Session* current() const noexcept { return current_.get(); }
  /// `current` if it may send now.
  Session* sending(Instant now) const noexcept {
    return current_ && current_->may_send(now) ? current_.get() : nullptr;
  }

  Session& add(std::unique_ptr<Session> session) noexcept {
    Session& added = *session;
    if (added.initiator()) {
      retire(current_);
      retire(next_[1]);
      retire(next_[0]);
      current_ = std::move(session);
    } else {
      next_[1] = std::move(next_[0]);
      next_[0] = std::move(session);
    }
    return added;
  }

  /// A packet was authenticated under `session`; true if that made it the current one.
  bool confirm(const Session& session) noexcept {
    if (next_[0].get() == &session) {
      retire(current_);
      retire(next_[1]);
      current_ = std::move(next_[0]);
      return true;
    }
    if (next_[1].get() == &session) {
      retire(current_);
      current_ = std::move(next_[1]);
      return true;
    }
    return false;
  }

  void clear() noexcept {
    current_.reset();
    for (auto& pair : next_) pair.reset();
    for (auto& pair : previous_) pair.reset();
  }
  std::size_t size() const noexcept {
    const auto held = [](const auto& pair) { return pair != nullptr; };
    return static_cast<std::size_t>(held(current_) + std::count_if(std::begin(next_), std::end(next_), held) +
                                    std::count_if(std::begin(previous_), std::end(previous_), held));
  }

 private:
  using Slot = std::unique_ptr<Session>;

  void retire(Slot& session) noexcept {
    if (!session) return;
    previous_[2] = std::move(previous_[1]);
    previous_[1] = std::move(previous_[0]);
    previous_[0] = std::move(session);
  }

  Slot current_;
  Slot next_[2];
  Slot previous_[3];
};

}  // namespace higgs::wireguard

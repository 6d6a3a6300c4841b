// The peers that have a timer, as a binary heap by deadline. A peer knows its place, so that moving it needs no search.
#pragma once

#include <vector>

#include "wireguard/peer.h"

namespace higgs::wireguard {

class TimerHeap {
 public:
  Peer* first() const noexcept { return peers_.empty() ? nullptr : peers_.front(); }
  /// Queues the peer, moves it, or takes it out for PeerTimers::kNever.
  void update(Peer& peer, Instant deadline);
  void remove(Peer& peer) noexcept;

 private:
  void place(std::size_t position, Peer* peer) noexcept;
  void sift_up(std::size_t position) noexcept;
  void sift_down(std::size_t position) noexcept;

  std::vector<Peer*> peers_;
};

}  // namespace higgs::wireguard

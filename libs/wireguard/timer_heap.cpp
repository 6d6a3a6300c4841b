#include "wireguard/timer_heap.h"

namespace higgs::wireguard {

void TimerHeap::update(Peer& peer, Instant deadline) {
  if (deadline == PeerTimers::kNever) return remove(peer);
  peer.timer_deadline = deadline;
  if (peer.timer_position == Peer::kNotQueued) {
    peers_.push_back(&peer);
    peer.timer_position = peers_.size() - 1;
  }
  sift_up(peer.timer_position);
  sift_down(peer.timer_position);
}

void TimerHeap::remove(Peer& peer) noexcept {
  const std::size_t position = peer.timer_position;
  if (position == Peer::kNotQueued) return;
  Peer* last = peers_.back();
  peers_.pop_back();
  peer.timer_position = Peer::kNotQueued;
  peer.timer_deadline = PeerTimers::kNever;
  if (last == &peer) return;
  place(position, last);
  sift_up(position);
  sift_down(last->timer_position);
}

void TimerHeap::place(std::size_t position, Peer* peer) noexcept {
  peers_[position] = peer;
  peer->timer_position = position;
}

void TimerHeap::sift_up(std::size_t position) noexcept {
  Peer* peer = peers_[position];
  while (position > 0) {
    const std::size_t parent = (position - 1) / 2;
    if (peers_[parent]->timer_deadline <= peer->timer_deadline) break;
    place(position, peers_[parent]);
    position = parent;
  }
  place(position, peer);
}

void TimerHeap::sift_down(std::size_t position) noexcept {
  Peer* peer = peers_[position];
  for (;;) {
    std::size_t child = 2 * position + 1;
    if (child >= peers_.size()) break;
    if (child + 1 < peers_.size() && peers_[child + 1]->timer_deadline < peers_[child]->timer_deadline) ++child;
    if (peers_[child]->timer_deadline >= peer->timer_deadline) break;
    place(position, peers_[child]);
    position = child;
  }
  place(position, peer);
}

}  // namespace higgs::wireguard

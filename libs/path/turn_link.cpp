#include "path/turn_link.h"

#include <algorithm>

namespace higgs::path {

namespace {

// Room that turn::Client::wrap() wants beside the packet.
constexpr std::size_t kWrapBytes = 64;
// Of our choosing.
constexpr std::size_t kMaxTurnOutbound = 64;

}  // namespace

TurnLink::TurnLink(Instant now, TurnAccess access, RandomSource& random) : access_(std::move(access)), random_(random) {
  start(now);
}

void TurnLink::start(Instant now) {
  retry_at_.reset();
  client_ = std::make_unique<turn::Client>(
      now,
      turn::ClientOptions{
          .server = access_.server, .username = access_.username, .password = access_.password, .max_peers = kMaxPeers},
      random_);
  for (const auto& peer : peers_) client_->add_peer(now, peer.endpoint);
}

TurnLink::Peer* TurnLink::add_peer(Instant now, const Endpoint& endpoint) {
  const auto known = std::ranges::find(peers_, endpoint, &Peer::endpoint);
  if (known != peers_.end()) return &*known;
  if (peers_.size() >= kMaxPeers) {
    // The oldest that led to nothing.
    const auto useless = std::ranges::find(peers_, false, &Peer::kept);
    if (useless == peers_.end()) return nullptr;
    client_->drop_peer(useless->endpoint);
    peers_.erase(useless);
  }
  client_->add_peer(now, endpoint);
  return &peers_.emplace_back(Peer{.endpoint = endpoint, .kept = false});
}

void TurnLink::send(Instant now, const Endpoint& peer, Bytes packet) {
  if (client_->ready(peer)) {
    queue(peer, packet);
    return;
  }
  // Until its permission stands, checks to a peer are lost, and the agent repeats them. Kept back and sent later they
  // would come on top of what is paced then.
  add_peer(now, peer);
}

void TurnLink::keep_peer(Instant now, const Endpoint& peer) {
  if (Peer* kept = add_peer(now, peer)) kept->kept = true;
}

void TurnLink::release_peer(const Endpoint& peer) {
  const auto known = std::ranges::find(peers_, peer, &Peer::endpoint);
  if (known != peers_.end()) known->kept = false;
}

void TurnLink::queue(const Endpoint& peer, ByteView packet) {
  Bytes buffer(packet.size() + kWrapBytes);
  buffer.resize(client_->wrap(peer, packet, random_, buffer).size());
  if (!buffer.empty() && outbound_.size() < kMaxTurnOutbound) outbound_.push_back(std::move(buffer));
}

std::optional<turn::PeerData> TurnLink::handle_packet(Instant now, MutableBytes datagram) {
  const auto data = client_->handle_packet(now, datagram);
  if (!data) settle(now);
  return data;
}

void TurnLink::network_changed(Instant now) {
  wait_ = kRetryFirst;
  if (retry_at_)
    start(now);
  else
    client_->verify(now);
}

void TurnLink::handle_timeout(Instant now) {
  if (retry_at_ && now >= *retry_at_) start(now);
  client_->handle_timeout(now);
  settle(now);
}

void TurnLink::close(Instant now) {
  retry_at_.reset();
  client_->close(now);
}

void TurnLink::settle(Instant now) {
  if (client_->state() == turn::ClientState::kAllocated) {
    settled_ = true;
    wait_ = kRetryFirst;
  } else if (client_->state() == turn::ClientState::kFailed && !retry_at_) {
    settled_ = true;
    retry_at_ = now + wait_;
    wait_ = std::min(wait_ * 2, kRetryCap);
  }
}

std::optional<Instant> TurnLink::poll_timeout() const {
  const auto next = client_->poll_timeout();
  if (retry_at_ && (!next || *retry_at_ < *next)) return retry_at_;
  return next;
}

std::optional<Bytes> TurnLink::poll_transmit() {
  if (auto request = client_->poll_transmit()) return request;
  if (outbound_.empty()) return std::nullopt;
  Bytes bytes = std::move(outbound_.front());
  outbound_.erase(outbound_.begin());
  return bytes;
}

}  // namespace higgs::path

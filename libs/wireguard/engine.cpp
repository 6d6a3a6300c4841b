#include "wireguard/engine.h"

#include "wireguard/engine_impl.h"

namespace higgs::wireguard {

Engine::Impl::Impl(RandomSource& random, EngineLimits limits, std::unique_ptr<crypto::AeadBatch> cipher)
    : random_(random),
      limits_(limits),
      cipher_(cipher ? std::move(cipher) : crypto::make_best_aead_batch()),
      limiter_(limits.rate_limited_sources) {}

void Engine::Impl::begin_call(Now now) {
  now_ = now;
  scratch_used_ = 0;
  flushed_.clear();
}

Peer* Engine::Impl::find_peer(const PublicKey& key) const noexcept {
  const auto found = peers_.find(key);
  return found == peers_.end() ? nullptr : found->second.get();
}

void Engine::Impl::set_private_key(Now now, const PrivateKey& key) {
  begin_call(now);
  if (key == identity_.private_key) return;
  identity_.private_key = key;
  has_identity_ = !key.is_zero();
  identity_.public_key = has_identity_ ? crypto::public_key_of(key) : PublicKey{};
  if (has_identity_) {
    remove_peer(identity_.public_key);
    checker_.set_own_key(identity_.public_key);
  }
  for (const auto& [public_key, peer] : peers_) {
    forget_sessions(*peer);
    peer->remote.static_shared = has_identity_ ? crypto::x25519(key, public_key) : std::nullopt;
  }
}

void Engine::Impl::forget_sessions(Peer& peer) {
  peer.key_pairs.clear();
  peer.initiation.reset();
  peer.last_handshake_sent.reset();
  peer.sent_last_minute_handshake = false;
}

bool Engine::Impl::set_peer(Now now, const PeerConfig& config, bool update_only, TransmitList& out) {
  begin_call(now);
  if (has_identity_ && config.public_key == identity_.public_key) return true;
  Peer* peer = find_peer(config.public_key);
  if (peer == nullptr && update_only) return true;
  if (!allowed_ips_fit(peer, config)) return false;
  if (peer == nullptr) {
    if (peers_.size() >= limits_.peers) return false;
    auto made = std::make_unique<Peer>(config.public_key);
    if (has_identity_) made->remote.static_shared = crypto::x25519(identity_.private_key, config.public_key);
    peer = peers_.emplace(config.public_key, std::move(made)).first->second.get();
  }
  if (config.preshared_key) peer->remote.preshared_key = *config.preshared_key;
  if (config.address) peer->address = *config.address;
  if (config.pinned) peer->pinned = *config.pinned;
  change_allowed_ips(*peer, config);

  bool keepalive_turned_on = false;
  if (config.persistent_keepalive) {
    keepalive_turned_on = peer->persistent_keepalive.count() == 0 && config.persistent_keepalive->count() > 0;
    peer->persistent_keepalive = *config.persistent_keepalive;
    if (up_) peer->timers.set_persistent_keepalive(now.monotonic, peer->persistent_keepalive);
    schedule(*peer);
  }
  if (up_ && keepalive_turned_on) send_keepalive(now, *peer, out);
  if (up_) flush_staged(now, *peer, out);
  return true;
}

bool Engine::Impl::allowed_ips_fit(const Peer* peer, const PeerConfig& config) const {
  std::set<IpPrefix> result;
  if (peer != nullptr && !config.replace_allowed_ips) {
    if (config.allowed_ips.empty()) return true;
    result = peer->allowed_ips;
  }
  for (const auto& prefix : config.remove_allowed_ips) result.erase(prefix);
  result.insert(config.allowed_ips.begin(), config.allowed_ips.end());
  return result.size() <= limits_.allowed_ips_per_peer;
}

void Engine::Impl::change_allowed_ips(Peer& peer, const PeerConfig& config) {
  if (config.replace_allowed_ips) {
    for (const auto& prefix : peer.allowed_ips) allowed_ips_.remove(prefix, peer);
    peer.allowed_ips.clear();
  }
  for (const auto& prefix : config.remove_allowed_ips) {
    if (peer.allowed_ips.erase(prefix) > 0) allowed_ips_.remove(prefix, peer);
  }
  for (const auto& prefix : config.allowed_ips) {
    Peer* before = allowed_ips_.insert(prefix, peer);
    if (before != nullptr && before != &peer) before->allowed_ips.erase(prefix);
    peer.allowed_ips.insert(prefix);
  }
}

void Engine::Impl::remove_peer(const PublicKey& key) {
  const auto found = peers_.find(key);
  if (found == peers_.end()) return;
  Peer& peer = *found->second;
  for (const auto& prefix : peer.allowed_ips) allowed_ips_.remove(prefix, peer);
  timers_.remove(peer);
  peers_.erase(found);
}

void Engine::Impl::remove_all_peers() {
  while (!peers_.empty()) remove_peer(PublicKey(peers_.begin()->first));
}

PeerStatus Engine::Impl::status_of(const Peer& peer) const {
  PeerStatus status;
  status.public_key = peer.remote.public_key;
  status.preshared_key = peer.remote.preshared_key;
  status.address = peer.address;
  status.pinned = peer.pinned;
  status.persistent_keepalive = peer.persistent_keepalive;
  status.last_handshake = peer.last_handshake_completed;
  status.sent_bytes = peer.sent_bytes;
  status.received_bytes = peer.received_bytes;
  status.allowed_ips.assign(peer.allowed_ips.begin(), peer.allowed_ips.end());
  status.has_session = peer.key_pairs.sending(now_.monotonic) != nullptr;
  return status;
}

std::vector<PeerStatus> Engine::Impl::peers() const {
  std::vector<PeerStatus> all;
  all.reserve(peers_.size());
  for (const auto& [key, peer] : peers_) all.push_back(status_of(*peer));
  return all;
}

std::optional<PeerStatus> Engine::Impl::peer(const PublicKey& key) const {
  const Peer* found = find_peer(key);
  return found == nullptr ? std::nullopt : std::optional(status_of(*found));
}

void Engine::Impl::set_peer_address(const PublicKey& key, const PeerAddress& address) {
  Peer* peer = find_peer(key);
  if (peer == nullptr || peer->address == address) return;
  const bool had_none = !peer->address;
  peer->address = address;
  // Packets that waited for an address need not wait for the next attempt too.
  if (had_none && up_ && !peer->staged.empty()) {
    peer->timers.try_handshake_at(now_.monotonic);
    schedule(*peer);
  }
}

void Engine::Impl::restart_handshake(Now now, const PublicKey& key, TransmitList& out) {
  begin_call(now);
  Peer* peer = find_peer(key);
  if (peer == nullptr || !up_) return;
  forget_sessions(*peer);
  start_handshake(now, *peer, Attempt::kNew, out);
}

void Engine::Impl::set_up(Now now, bool up, TransmitList& out) {
  begin_call(now);
  up_ = up;
  for (const auto& [key, peer] : peers_) {
    if (up) {
      peer->timers.set_persistent_keepalive(now.monotonic, peer->persistent_keepalive);
      schedule(*peer);
      if (peer->persistent_keepalive.count() > 0) send_keepalive(now, *peer, out);
    } else {
      forget_sessions(*peer);
      counters_.staged_dropped += peer->staged.size();
      peer->staged.clear();
      peer->timers.stop();
      timers_.remove(*peer);
    }
  }
}

std::size_t Engine::Impl::key_pairs() const noexcept {
  std::size_t count = 0;
  for (const auto& [key, peer] : peers_) count += peer->key_pairs.size();
  return count;
}

std::optional<Instant> Engine::Impl::poll_timeout() const {
  const Peer* first = timers_.first();
  return first == nullptr ? std::nullopt : std::optional(first->timer_deadline);
}

void Engine::Impl::handle_timeout(Now now, TransmitList& out) {
  begin_call(now);
  for (Peer* peer = timers_.first(); peer != nullptr && peer->timer_deadline <= now.monotonic; peer = timers_.first()) {
    if (peer->timers.next() <= now.monotonic) fire_timers(now, *peer, out);
    timers_.update(*peer, peer->timers.next());
  }
}

void Engine::Impl::fire_timers(Now now, Peer& peer, TransmitList& out) {
  const auto due = peer.timers.take_due(now.monotonic);
  if (due.erase_keys) {
    peer.key_pairs.clear();
    peer.initiation.reset();
  }
  if (due.give_up_handshake) {
    ++counters_.handshakes_given_up;
    counters_.staged_dropped += peer.staged.size();
    peer.staged.clear();
    peer.initiation.reset();
  }
  if (due.retransmit_handshake) start_handshake(now, peer, Attempt::kRetry, out);
  if (due.new_handshake) start_handshake(now, peer, Attempt::kNew, out);
  if (due.persistent_keepalive) {
    // Stamped here too, since nothing is sent while the peer has no address.
    peer.timers.set_persistent_keepalive(now.monotonic, peer.persistent_keepalive);
  }
  if (due.keepalive || due.persistent_keepalive) send_keepalive(now, peer, out);
  if (due.keepalive_again) peer.timers.on_data_received(now.monotonic);
}

// --- the public face ---------------------------------------------------------------------------------------------

Engine::Engine(RandomSource& random, EngineLimits limits, std::unique_ptr<crypto::AeadBatch> cipher)
    : impl_(std::make_unique<Impl>(random, limits, std::move(cipher))) {}
Engine::~Engine() = default;

void Engine::set_private_key(Now now, const PrivateKey& key) { impl_->set_private_key(now, key); }
const PrivateKey& Engine::private_key() const noexcept { return impl_->private_key(); }
bool Engine::set_peer(Now now, const PeerConfig& config, bool update_only, TransmitList& out) {
  return impl_->set_peer(now, config, update_only, out);
}
void Engine::remove_peer(const PublicKey& key) { impl_->remove_peer(key); }
void Engine::remove_all_peers() { impl_->remove_all_peers(); }
std::vector<PeerStatus> Engine::peers() const { return impl_->peers(); }
std::optional<PeerStatus> Engine::peer(const PublicKey& key) const { return impl_->peer(key); }
void Engine::set_peer_address(const PublicKey& key, const PeerAddress& address) {
  impl_->set_peer_address(key, address);
}
void Engine::restart_handshake(Now now, const PublicKey& key, TransmitList& out) {
  impl_->restart_handshake(now, key, out);
}
void Engine::set_up(Now now, bool up, TransmitList& out) { impl_->set_up(now, up, out); }
void Engine::encapsulate(Now now, std::span<PacketBuffer> packets, std::uint32_t mtu, TransmitList& out) {
  impl_->encapsulate(now, packets, mtu, out);
}
void Engine::decapsulate(Now now, const PeerAddress& from, std::span<PacketBuffer> datagrams,
                         std::vector<Delivered>& delivered, TransmitList& out) {
  impl_->decapsulate(now, from, datagrams, delivered, out);
}
std::optional<Instant> Engine::poll_timeout() const { return impl_->poll_timeout(); }
void Engine::handle_timeout(Now now, TransmitList& out) { impl_->handle_timeout(now, out); }
const EngineCounters& Engine::counters() const noexcept { return impl_->counters(); }
std::string_view Engine::cipher_name() const noexcept { return impl_->cipher_name(); }
std::size_t Engine::key_pairs() const noexcept { return impl_->key_pairs(); }

}  // namespace higgs::wireguard

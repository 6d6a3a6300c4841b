#include "tunnel/peer_paths.h"

#include <algorithm>

#include "runtime/log.h"
#include "tunnel/demultiplex.h"

namespace higgs::tunnel {

namespace log = runtime::log;

namespace {

// Limits of our choosing.
/// While packets flow, a path manager's deadline is looked at anew this often: traffic moves it, but not every batch.
constexpr std::chrono::milliseconds kRearmInterval{50};
/// A deadline that has passed already comes again after this long, whatever it says.
constexpr std::chrono::milliseconds kLeastWait{1};
/// As path::Traversal::wrap_turn() needs.
constexpr std::size_t kTurnOverheadBytes = 64;
constexpr std::size_t kTurnBufferBytes = 128 * 1024;

// RFC 8489, section 5: class bits 0x0110 of the type; a request has neither.
bool is_request(ByteView message) {
  return message.size() >= stun::kHeaderBytes && (message[0] & std::byte{0x01}) == std::byte{0} &&
         (message[1] & std::byte{0x10}) == std::byte{0};
}
stun::TransactionId transaction_of(ByteView message) {
  stun::TransactionId id;
  std::copy_n(message.begin() + 8, id.size(), id.begin());
  return id;
}

}  // namespace

struct PeerPaths::Peer {
  Peer(Id own_id, const wireguard::PublicKey& own_key, Instant now, path::TraversalOptions options,
       RandomSource& random, TraversalEvents& told)
      : id(own_id), key(own_key), traversal(now, std::move(options), random), events(told) {}

  const Id id;
  const wireguard::PublicKey key;
  path::Traversal traversal;
  TraversalEvents& events;
  std::optional<wireguard::PeerAddress> relay;
  std::unique_ptr<TurnSocket> turn;
  /// Under which it is found. After an ICE restart the one before too: until the peer has heard of the new one, its
  /// consent checks use it.
  std::string ufrag, ufrag_before;
  std::optional<Instant> due;
  Instant looked_at{};
  bool was_direct = false;
};

PeerPaths::PeerPaths(net::EventLoop& loop, RandomSource& random, PeerPathsOwner& owner)
    : loop_(loop),
      random_(random),
      owner_(owner),
      timer_(loop, [this] { on_timer(); }),
      checks_(loop.now().monotonic, kMaxChecksPerSecond, kMaxChecksPerSecond) {}

PeerPaths::~PeerPaths() { stop_all(); }

void PeerPaths::stop_all() {
  while (!by_key_.empty()) stop(wireguard::PublicKey(by_key_.begin()->first));
}

PeerPaths::Peer* PeerPaths::find(const wireguard::PublicKey& key) const {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : found->second;
}

PeerPaths::Peer* PeerPaths::find(Id id) const {
  const auto found = peers_.find(id);
  return found == peers_.end() ? nullptr : found->second.get();
}

// --- configuration -----------------------------------------------------------------------------------------------

wireguard::PeerAddress PeerPaths::start(const wireguard::PublicKey& key,
                                        const std::optional<wireguard::PeerAddress>& relay,
                                        path::TraversalOptions options, const path::LocalAddresses& local,
                                        std::uint32_t mark, TraversalEvents& events) {
  stop(key);
  if (!transactions_) transactions_.emplace();
  const Instant now = loop_.now().monotonic;
  const Id id = ++last_id_;
  std::unique_ptr<TurnSocket> turn;
  if (options.turn) {
    auto opened = TurnSocket::open(loop_, options.turn->server, mark,
                                   [this, id](std::span<const MutableBytes> datagrams) { on_turn(id, datagrams); });
    if (opened) {
      turn = std::move(*opened);
      turn_buffer_.resize(kTurnBufferBytes);
    } else {
      log::warn("there is no socket for TURN", {{"error", opened.error().message()}});
      options.turn.reset();
    }
  }
  auto made = std::make_unique<Peer>(id, key, now, std::move(options), random_, events);
  Peer& peer = *made;
  peer.turn = std::move(turn);
  peers_.emplace(id, std::move(made));
  by_key_.emplace(key, &peer);
  peer.traversal.set_local(now, local);
  if (relay) {
    peer.relay = relay;
    by_relay_[relay->path] = &peer;
    peer.traversal.set_relay(now, true);
  }
  service(peer);
  return {kManaged | id, {}};
}

std::optional<wireguard::PeerAddress> PeerPaths::stop(const wireguard::PublicKey& key) {
  Peer* peer = find(key);
  if (peer == nullptr) return std::nullopt;
  peer->traversal.close(loop_.now().monotonic);
  while (const auto out = peer->traversal.poll_transmit()) transmit(*peer, *out);
  const auto relay = peer->relay;
  if (relay) by_relay_.erase(relay->path);
  by_ufrag_.erase(peer->ufrag);
  by_ufrag_.erase(peer->ufrag_before);
  disarm(*peer);
  by_key_.erase(key);
  peers_.erase(peer->id);
  return relay;
}

bool PeerPaths::set_relay(const wireguard::PublicKey& key, const std::optional<wireguard::PeerAddress>& relay) {
  Peer* peer = find(key);
  if (peer == nullptr) return false;
  if (peer->relay == relay) return true;
  const Instant now = loop_.now().monotonic;
  if (peer->relay) {
    by_relay_.erase(peer->relay->path);
    // Also where another link takes over: what was on its way on the old one has to be told again.
    peer->traversal.set_relay(now, false);
  }
  peer->relay = relay;
  if (relay) {
    by_relay_[relay->path] = peer;
    peer->traversal.set_relay(now, true);
  }
  service(*peer);
  return true;
}

void PeerPaths::on_link_gone(LinkId link) {
  for (const auto& [key, peer] : by_key_) {
    if (!peer->relay || static_cast<LinkId>(peer->relay->path >> 32) != link) continue;
    by_relay_.erase(std::exchange(peer->relay, std::nullopt)->path);
    peer->traversal.set_relay(loop_.now().monotonic, false);
    service(*peer);
  }
}

bool PeerPaths::handle_signal(const wireguard::PublicKey& key, const relay::PeerMessage& message) {
  Peer* peer = find(key);
  if (peer == nullptr) return false;
  if (!peer->traversal.handle_signal(loop_.now().monotonic, message)) ++counters_.malformed_signals;
  service(*peer);
  return true;
}

std::optional<path::TraversalReport> PeerPaths::report(const wireguard::PublicKey& key) const {
  const Peer* peer = find(key);
  if (peer == nullptr) return std::nullopt;
  return peer->traversal.report(loop_.now().monotonic);
}

void PeerPaths::set_local(const path::LocalAddresses& local, bool moved) {
  const Instant now = loop_.now().monotonic;
  for (const auto& [id, peer] : peers_) {
    if (moved && peer->turn) peer->turn->forget_sources();
    peer->traversal.set_local(now, local);
    if (moved) peer->traversal.network_changed(now);
    service(*peer);
  }
}

void PeerPaths::set_mark(std::uint32_t mark) {
  for (const auto& [id, peer] : peers_) {
    if (peer->turn) (void)peer->turn->set_mark(mark);
  }
}

// --- out ---------------------------------------------------------------------------------------------------------

void PeerPaths::send(const wireguard::PeerAddress& to, std::span<const ByteView> packets) {
  Peer* peer = find(static_cast<Id>(to.path));
  if (peer == nullptr || !peer->traversal.route().first) {
    counters_.no_route += packets.size();
    return;
  }
  const path::Route& route = peer->traversal.route();
  send_by(*peer, *route.first, packets);
  if (route.second) {
    send_by(*peer, *route.second, packets);
    counters_.duplicated += packets.size();
  }
  const Instant now = loop_.now().monotonic;
  peer->traversal.note_sent(now, packets.size());
  if (now - peer->looked_at >= kRearmInterval) arm(*peer);
}

void PeerPaths::send_by(Peer& peer, const path::Hop& hop, std::span<const ByteView> packets) {
  switch (hop.base) {
    case ice::Base::kSocket:
      return owner_.send_from_port(hop.to, packets, false);
    case ice::Base::kTurn:
      return send_by_turn(peer, hop.to, packets);
    case ice::Base::kRelay:
      if (peer.relay)
        owner_.send_to_link(*peer.relay, packets);
      else
        counters_.no_route += packets.size();
  }
}

/// Each packet gets its own ChannelData header (RFC 8656, section 12.4) in a buffer of ours; equally long ones still
/// leave as a train.
void PeerPaths::send_by_turn(Peer& peer, const Endpoint& to, std::span<const ByteView> packets) {
  if (!peer.turn) return;
  MutableBytes room = turn_buffer_;
  turn_views_.clear();
  for (const ByteView packet : packets) {
    if (room.size() < packet.size() + kTurnOverheadBytes) {
      peer.turn->send(turn_views_);
      turn_views_.clear();
      room = turn_buffer_;
    }
    const ByteView wrapped = peer.traversal.wrap_turn(to, packet, room);
    if (wrapped.empty()) {
      ++counters_.no_route;
      continue;
    }
    turn_views_.push_back(wrapped);
    room = room.subspan(wrapped.size());
  }
  if (!turn_views_.empty()) peer.turn->send(turn_views_);
}

/// The probes of a path in use are not counted: somebody answers there.
bool PeerPaths::may_ask(const Peer& peer, const Endpoint& to) {
  const path::Hop hop{ice::Base::kSocket, to};
  const auto& route = peer.traversal.route();
  if (route.first == hop || route.second == hop || checks_.take(loop_.now().monotonic, 1)) return true;
  ++counters_.checks_held;
  return false;
}

void PeerPaths::transmit(Peer& peer, const path::Transmit& out) {
  const ByteView bytes = out.bytes;
  const bool request = is_request(bytes);
  switch (out.base) {
    case ice::Base::kSocket:
      if (request && !may_ask(peer, out.to)) return;
      if (request) transactions_->add(transaction_of(bytes), peer.id);
      return owner_.send_from_port(out.to, {&bytes, 1}, request);
    case ice::Base::kTurn:
      if (!peer.turn) return;
      if (request) peer.turn->expect_answer();
      return peer.turn->send({&bytes, 1});
    case ice::Base::kRelay:
      if (peer.relay) owner_.send_to_link(*peer.relay, {&bytes, 1});
  }
}

// --- in ----------------------------------------------------------------------------------------------------------

void PeerPaths::handle_stun(const Endpoint& from, ByteView datagram) {
  Peer* peer = nullptr;
  if (is_request(datagram)) {
    if (const auto ufrag = ice::target_ufrag(datagram); ufrag && !peers_.empty()) {
      const auto found = by_ufrag_.find(*ufrag);
      if (found != by_ufrag_.end()) peer = found->second;
    }
  } else if (transactions_) {
    if (const auto owner = transactions_->find(transaction_of(datagram))) peer = find(*owner);
  }
  if (peer == nullptr || !peer->traversal.handle_stun(loop_.now().monotonic, ice::Base::kSocket, from, datagram)) {
    ++counters_.stun_for_nobody;
    return;
  }
  service(*peer);
}

void PeerPaths::handle_relayed_stun(const wireguard::PeerAddress& relay, ByteView datagram) {
  const auto found = by_relay_.find(relay.path);
  if (found == by_relay_.end() ||
      !found->second->traversal.handle_stun(loop_.now().monotonic, ice::Base::kRelay, {}, datagram)) {
    ++counters_.stun_for_nobody;
    return;
  }
  service(*found->second);
}

void PeerPaths::note_received(const wireguard::PublicKey& key, const path::Hop& from, std::size_t packets) {
  Peer* peer = find(key);
  if (peer == nullptr) return;
  const Instant now = loop_.now().monotonic;
  peer->traversal.note_received(now, from, packets);
  if (now - peer->looked_at >= kRearmInterval) arm(*peer);
}

void PeerPaths::on_turn(Id id, std::span<const MutableBytes> datagrams) {
  Peer* peer = find(id);
  if (peer == nullptr) return;
  const Instant now = loop_.now().monotonic;
  turn_packets_.clear();
  for (const MutableBytes datagram : datagrams) {
    const auto packet = peer->traversal.handle_turn(now, datagram);
    if (!packet) continue;
    if (classify(*packet) == DatagramKind::kWireguard)
      turn_packets_.push_back(*packet);
    else
      ++counters_.stray;
  }
  if (!turn_packets_.empty()) owner_.on_turn_packets({kManaged | id, {}}, turn_packets_);
  service(*peer);
}

// --- time --------------------------------------------------------------------------------------------------------

void PeerPaths::service(Peer& peer) {
  while (const auto out = peer.traversal.poll_transmit()) transmit(peer, *out);
  while (auto signal = peer.traversal.poll_signal()) peer.events.on_signal(peer.key, std::move(*signal));
  if (peer.traversal.poll_path_changed()) {
    auto report = peer.traversal.report(loop_.now().monotonic);
    const bool direct = report.path && path::is_direct(*report.path);
    if (std::exchange(peer.was_direct, direct) && !direct) owner_.on_direct_lost();
    peer.events.on_path_changed(peer.key, std::move(report));
  }
  if (peer.traversal.local_ufrag() != peer.ufrag) follow_ufrag(peer);
  arm(peer);
}

void PeerPaths::follow_ufrag(Peer& peer) {
  by_ufrag_.erase(peer.ufrag_before);
  peer.ufrag_before = std::exchange(peer.ufrag, peer.traversal.local_ufrag());
  by_ufrag_[peer.ufrag] = &peer;
}

void PeerPaths::arm(Peer& peer) {
  const Instant now = loop_.now().monotonic;
  peer.looked_at = now;
  auto due = peer.traversal.poll_timeout();
  if (due) due = std::max(*due, now + kLeastWait);
  if (due == peer.due) return;
  disarm(peer);
  peer.due = due;
  if (!due) return;
  due_.emplace(*due, peer.id);
  timer_.arm(due_.begin()->first);
}

void PeerPaths::disarm(Peer& peer) {
  if (peer.due) due_.erase({*std::exchange(peer.due, std::nullopt), peer.id});
}

void PeerPaths::on_timer() {
  const Instant now = loop_.now().monotonic;
  while (!due_.empty() && due_.begin()->first <= now) {
    Peer* peer = find(due_.begin()->second);
    disarm(*peer);
    peer->traversal.handle_timeout(now);
    service(*peer);
  }
  if (!due_.empty()) timer_.arm(due_.begin()->first);
}

}  // namespace higgs::tunnel

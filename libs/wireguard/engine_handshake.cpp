#include "wireguard/engine_impl.h"

namespace higgs::wireguard {

MutableBytes Engine::Impl::scratch(std::size_t size) {
  // A deque, since what was handed out earlier in this call must stay where it is.
  if (scratch_used_ == scratch_.size()) scratch_.emplace_back();
  return MutableBytes(scratch_[scratch_used_++]).first(size);
}

std::chrono::nanoseconds Engine::Impl::draw_jitter() {
  constexpr std::chrono::nanoseconds kMax = kMaxRetransmitJitter;
  return std::chrono::nanoseconds(random_.below(static_cast<std::uint64_t>(kMax.count()) + 1));
}

void Engine::Impl::start_handshake(Now now, Peer& peer, Attempt attempt, TransmitList& out) {
  if (!has_identity_ || !up_) return;
  if (attempt == Attempt::kNew) peer.timers.on_handshake_wanted();
  if (peer.last_handshake_sent && now.monotonic - *peer.last_handshake_sent < kRekeyTimeout) {
    peer.timers.postpone_handshake(*peer.last_handshake_sent + kRekeyTimeout + draw_jitter());
    return schedule(peer);
  }
  peer.timers.set_jitter(draw_jitter());
  peer.timers.on_initiation_sent(now.monotonic);
  schedule(peer);
  if (!peer.address) return;

  if (attempt == Attempt::kNew) ++counters_.handshakes_started;
  peer.initiation.reset();
  auto lease = indices_.add(random_, {&peer, nullptr});
  // A clock that was set back must not make our own peers take us for a replay.
  const Tai64n timestamp = std::max(Tai64n::from(now.wall), peer.last_timestamp_sent.next());
  const MutableBytes message = scratch(kInitiationBytes);
  auto state = write_initiation(identity_, peer.remote, lease.index(), timestamp, random_,
                                FixedBytes<kInitiationBytes>(message));
  if (!state) return;
  peer.last_timestamp_sent = timestamp;
  peer.initiation.emplace(Peer::Initiation{std::move(*state), std::move(lease)});
  peer.cookies.stamp(now.monotonic, message);
  peer.last_handshake_sent = now.monotonic;
  peer.timers.on_authenticated_sent(now.monotonic);
  peer.sent_bytes += message.size();
  out.push_back({*peer.address, message});
}

void Engine::Impl::handle_initiation(Now now, const PeerAddress& from, ByteView message, TransmitList& out) {
  const auto view = parse_initiation(message);
  if (!view) {
    ++counters_.malformed;
    return;
  }
  if (!admit(now, from, message, view->sender, out)) return;
  auto reader = InitiationReader::begin(identity_, *view);
  if (!reader) {
    ++counters_.bad_tag;
    return;
  }
  Peer* peer = find_peer(reader->initiator());
  if (peer == nullptr) {
    ++counters_.unknown_initiator;
    return;
  }
  const auto timestamp = reader->finish(peer->remote, *view);
  if (!timestamp) {
    ++counters_.bad_tag;
    return;
  }
  // Section 5.1: "the responder keeps track of the greatest timestamp received per peer and discards packets containing
  // timestamps less than or equal to it".
  if (*timestamp <= peer->last_timestamp_received) {
    ++counters_.replayed_handshake;
    return;
  }
  if (peer->last_initiation_consumed && now.monotonic - *peer->last_initiation_consumed < kMinInitiationInterval) {
    ++counters_.rate_limited;
    return;
  }
  peer->last_timestamp_received = *timestamp;
  peer->last_initiation_consumed = now.monotonic;
  peer->seen_at(from);
  peer->received_bytes += message.size();
  peer->timers.on_authenticated_received(now.monotonic);
  respond(now, *peer, *reader, view->sender, out);
  schedule(*peer);
}

void Engine::Impl::respond(Now now, Peer& peer, InitiationReader& reader, std::uint32_t receiver, TransmitList& out) {
  auto lease = indices_.add(random_, {&peer, nullptr});
  const MutableBytes message = scratch(kResponseBytes);
  auto keys = reader.write_response(peer.remote, lease.index(), receiver, random_, FixedBytes<kResponseBytes>(message));
  if (!keys) return;
  peer.cookies.stamp(now.monotonic, message);
  Session& session =
      peer.key_pairs.add(std::make_unique<Session>(std::move(*keys), std::move(lease), receiver, false, now.monotonic));
  indices_.assign(session.index(), {&peer, &session});
  peer.timers.on_session_derived(now.monotonic);
  peer.last_handshake_sent = now.monotonic;
  peer.timers.on_authenticated_sent(now.monotonic);
  peer.sent_bytes += message.size();
  out.push_back({*peer.address, message});
}

void Engine::Impl::handle_response(Now now, const PeerAddress& from, ByteView message, TransmitList& out) {
  const auto view = parse_response(message);
  if (!view) {
    ++counters_.malformed;
    return;
  }
  if (!admit(now, from, message, view->sender, out)) return;
  const auto* owner = indices_.find(view->receiver);
  if (owner == nullptr || owner->session != nullptr || !owner->peer->initiation) {
    ++counters_.unknown_receiver;
    return;
  }
  Peer& peer = *owner->peer;
  auto keys = read_response(identity_, peer.remote, peer.initiation->state, *view);
  if (!keys) {
    ++counters_.bad_tag;
    return;
  }
  Session& session = peer.key_pairs.add(std::make_unique<Session>(std::move(*keys), std::move(peer.initiation->index),
                                                                  view->sender, true, now.monotonic));
  indices_.assign(session.index(), {&peer, &session});
  peer.initiation.reset();
  peer.seen_at(from);
  peer.received_bytes += message.size();
  peer.timers.on_session_derived(now.monotonic);
  peer.timers.on_authenticated_received(now.monotonic);
  complete_handshake(now, peer);
  // Section 5.4.5: the responder may send only after it has received data, so something is sent in any case.
  if (peer.staged.empty()) {
    send_keepalive(now, peer, out);
  } else {
    flush_staged(now, peer, out);
  }
  schedule(peer);
}

void Engine::Impl::complete_handshake(Now now, Peer& peer) {
  ++counters_.handshakes_completed;
  peer.timers.on_handshake_complete();
  peer.sent_last_minute_handshake = false;
  peer.last_handshake_completed = now.wall;
}

void Engine::Impl::handle_cookie_reply(Now now, ByteView message) {
  const auto view = parse_cookie_reply(message);
  if (!view) {
    ++counters_.malformed;
    return;
  }
  const auto* owner = indices_.find(view->receiver);
  if (owner == nullptr) {
    ++counters_.unknown_receiver;
  } else if (!owner->peer->cookies.accept(now.monotonic, *view)) {
    ++counters_.bad_tag;
  }
}

bool Engine::Impl::admit(Now now, const PeerAddress& from, ByteView message, std::uint32_t sender, TransmitList& out) {
  if (!has_identity_) return false;
  if (!checker_.mac1_valid(message)) {
    ++counters_.bad_mac1;
    return false;
  }
  if (!under_load(now.monotonic)) return true;
  if (checker_.mac2_valid(now.monotonic, from, message)) {
    if (limiter_.allow(now.monotonic, from)) return true;
    ++counters_.rate_limited;
    return false;
  }
  const ByteView mac2 = mac2_of(message);
  if (std::any_of(mac2.begin(), mac2.end(), [](std::byte byte) { return byte != std::byte{0}; })) ++counters_.bad_mac2;
  const MutableBytes reply = scratch(kCookieReplyBytes);
  checker_.write_reply(now.monotonic, from, message, sender, random_, FixedBytes<kCookieReplyBytes>(reply));
  ++counters_.cookies_sent;
  out.push_back({from, reply});
  return false;
}

bool Engine::Impl::under_load(Instant now) {
  constexpr std::chrono::seconds kWindow{1};
  if (now - load_window_ >= kWindow) {
    load_window_ = now;
    load_count_ = 0;
  }
  if (++load_count_ > limits_.under_load_handshakes_per_second) under_load_until_ = now + kUnderLoadTime;
  return now < under_load_until_;
}

}  // namespace higgs::wireguard

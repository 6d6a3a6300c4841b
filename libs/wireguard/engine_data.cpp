#include "base/assert.h"
#include "wireguard/engine_impl.h"
#include "wireguard/inner_packet.h"

namespace higgs::wireguard {

// --- out ---------------------------------------------------------------------------------------------------------

void Engine::Impl::encapsulate(Now now, std::span<PacketBuffer> packets, std::uint32_t mtu, TransmitList& out) {
  begin_call(now);
  mtu_ = mtu;
  if (!up_) return;
  RouteCache cache;
  std::size_t first = 0;
  Peer* run_peer = nullptr;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    Peer* peer = route(packets[i], cache);
    if (peer == run_peer) continue;
    if (run_peer != nullptr) send_run(now, *run_peer, packets.subspan(first, i - first), out);
    run_peer = peer;
    first = i;
  }
  if (run_peer != nullptr) send_run(now, *run_peer, packets.subspan(first), out);
}

Peer* Engine::Impl::route(const PacketBuffer& packet, RouteCache& cache) {
  const auto inner = parse_inner_packet(packet.base + packet.offset, packet.length);
  if (!inner) {
    ++counters_.malformed;
    return nullptr;
  }
  const std::size_t address_bytes = inner->v4 ? 4 : 16;
  if (cache.peer == nullptr || cache.v4 != inner->v4 ||
      std::memcmp(cache.address.data(), inner->destination, address_bytes) != 0) {
    cache.peer = inner->v4 ? allowed_ips_.find_v4(inner->destination) : allowed_ips_.find_v6(inner->destination);
    cache.v4 = inner->v4;
    std::memcpy(cache.address.data(), inner->destination, address_bytes);
  }
  if (cache.peer == nullptr) ++counters_.no_peer;
  return cache.peer;
}

void Engine::Impl::send_run(Now now, Peer& peer, std::span<PacketBuffer> run, TransmitList& out) {
  Session* session = peer.key_pairs.sending(now.monotonic);
  std::size_t sealed = 0;
  if (session != nullptr && peer.address) {
    flush_staged(now, peer, out);  // what waited goes first
    sealed = static_cast<std::size_t>(std::min<std::uint64_t>(run.size(), session->remaining()));
    seal_run(now, peer, *session, run.first(sealed), out);
  }
  if (sealed == run.size()) return;
  for (const auto& packet : run.subspan(sealed)) stage(peer, packet);
  start_handshake(now, peer, Attempt::kNew, out);
}

std::uint32_t Engine::Impl::padding_of(std::uint32_t length) const noexcept {
  // A packet above the MTU (one that will be cut into segments later) is padded as its last segment would be.
  const std::uint32_t last = mtu_ != 0 && length > mtu_ ? length % mtu_ : length;
  const std::uint32_t padded = (last + kPaddingMultiple - 1) & ~std::uint32_t{kPaddingMultiple - 1};
  return (mtu_ == 0 ? padded : std::min(padded, mtu_)) - last;
}

void Engine::Impl::seal_run(Now now, Peer& peer, Session& session, std::span<PacketBuffer> run, TransmitList& out) {
  // Reserved before anything is sealed: whatever happens to a packet, its counter is spent.
  std::uint64_t counter = session.reserve(run.size());
  batch_.clear();
  bool any_data = false;
  for (auto& packet : run) {
    const std::uint32_t padding = padding_of(packet.length);
    HIGGS_ASSERT(packet.headroom() >= kTransportHeaderBytes && packet.tailroom() >= padding + crypto::kAeadTagBytes);
    std::byte* text = packet.base + packet.offset;
    std::memset(text + packet.length, 0, padding);
    write_data_header(text - kTransportHeaderBytes, session.remote_index(), counter);
    batch_.push_back({text, packet.length + padding, false, counter});
    any_data |= packet.length != 0;
    counters_.sent_packets += packet.length != 0 ? 1 : 0;
    packet.offset -= kTransportHeaderBytes;
    packet.length += static_cast<std::uint32_t>(kTransportHeaderBytes + padding + crypto::kAeadTagBytes);
    ++counter;
  }
  cipher_->seal(session.send_key(), batch_);
  for (std::size_t i = 0; i < run.size(); ++i) {
    if (!batch_[i].valid) continue;
    peer.sent_bytes += run[i].length;
    out.push_back({*peer.address, run[i].bytes()});
  }
  peer.timers.on_authenticated_sent(now.monotonic);
  if (any_data) peer.timers.on_data_sent(now.monotonic);
  if (session.wants_rekey_after_send(now.monotonic)) start_handshake(now, peer, Attempt::kNew, out);
  schedule(peer);
}

void Engine::Impl::stage(Peer& peer, const PacketBuffer& packet) {
  if (limits_.staged_packets_per_peer == 0) {
    ++counters_.staged_dropped;
    return;
  }
  if (peer.staged.size() >= limits_.staged_packets_per_peer) {
    peer.staged.pop_front();
    ++counters_.staged_dropped;
  }
  Bytes copy(kTransportHeaderBytes + packet.length + kTransportTailBytes);
  std::memcpy(copy.data() + kTransportHeaderBytes, packet.base + packet.offset, packet.length);
  peer.staged.push_back(std::move(copy));
}

void Engine::Impl::flush_staged(Now now, Peer& peer, TransmitList& out) {
  if (peer.staged.empty()) return;
  Session* session = peer.key_pairs.sending(now.monotonic);
  if (session == nullptr || !peer.address) return start_handshake(now, peer, Attempt::kNew, out);
  flush_run_.clear();
  while (!peer.staged.empty() && flush_run_.size() < session->remaining()) {
    // Kept until the next call, since what is transmitted points into it.
    Bytes& bytes = flushed_.emplace_back(std::move(peer.staged.front()));
    peer.staged.pop_front();
    const auto capacity = static_cast<std::uint32_t>(bytes.size());
    flush_run_.push_back({bytes.data(), capacity, kTransportHeaderBytes,
                          static_cast<std::uint32_t>(capacity - kTransportHeaderBytes - kTransportTailBytes)});
  }
  seal_run(now, peer, *session, flush_run_, out);
}

void Engine::Impl::send_keepalive(Now now, Peer& peer, TransmitList& out) {
  Session* session = peer.key_pairs.sending(now.monotonic);
  if (session == nullptr || !peer.address) return start_handshake(now, peer, Attempt::kNew, out);
  const MutableBytes memory = scratch(kMinDataBytes);
  PacketBuffer packet{memory.data(), static_cast<std::uint32_t>(memory.size()), kTransportHeaderBytes, 0};
  seal_run(now, peer, *session, {&packet, 1}, out);
}

// --- in ----------------------------------------------------------------------------------------------------------

void Engine::Impl::decapsulate(Now now, const PeerAddress& from, std::span<PacketBuffer> datagrams,
                               std::vector<Delivered>& delivered, TransmitList& out) {
  begin_call(now);
  if (!up_) return;
  const auto is_data = [](const PacketBuffer& datagram) {
    return datagram.length >= kMinDataBytes && message_type(datagram.bytes()) == MessageType::kData;
  };
  for (std::size_t i = 0; i < datagrams.size();) {
    const ByteView message = datagrams[i].bytes();
    if (is_data(datagrams[i])) {
      const std::uint32_t receiver = data_receiver(message.data());
      std::size_t end = i + 1;
      while (end < datagrams.size() && is_data(datagrams[end]) &&
             data_receiver(datagrams[end].bytes().data()) == receiver) {
        ++end;
      }
      open_run(now, from, datagrams, i, end, delivered, out);
      i = end;
      continue;
    }
    const auto type = message_type(message);
    if (type == MessageType::kInitiation) {
      handle_initiation(now, from, message, out);
    } else if (type == MessageType::kResponse) {
      handle_response(now, from, message, out);
    } else if (type == MessageType::kCookieReply) {
      handle_cookie_reply(now, message);
    } else {
      ++counters_.malformed;
    }
    ++i;
  }
}

void Engine::Impl::open_run(Now now, const PeerAddress& from, std::span<PacketBuffer> datagrams, std::size_t first,
                            std::size_t last, std::vector<Delivered>& delivered, TransmitList& out) {
  const auto* owner = indices_.find(data_receiver(datagrams[first].bytes().data()));
  if (owner == nullptr || owner->session == nullptr) {
    counters_.unknown_receiver += last - first;
    return;
  }
  if (owner->session->expired(now.monotonic)) {
    counters_.expired += last - first;
    return;
  }
  Peer& peer = *owner->peer;
  Session& session = *owner->session;
  batch_.clear();
  batch_index_.clear();
  for (std::size_t i = first; i < last; ++i) {
    std::byte* message = datagrams[i].bytes().data();
    const std::uint64_t counter = data_counter(message);
    if (!session.window().may_accept(counter)) {
      ++counters_.replayed;
      continue;
    }
    batch_.push_back({message + kTransportHeaderBytes, datagrams[i].length - static_cast<std::uint32_t>(kMinDataBytes),
                      false, counter});
    batch_index_.push_back(static_cast<std::uint32_t>(i));
  }
  if (batch_.empty()) return;
  cipher_->open(session.receive_key(), batch_);

  bool any = false;
  bool any_data = false;
  for (std::size_t i = 0; i < batch_.size(); ++i) {
    const crypto::AeadPacket& opened = batch_[i];
    if (!opened.valid) {
      ++counters_.bad_tag;
      continue;
    }
    // Twice in one batch passes the first look at the window; it does not pass this one.
    if (!session.window().accept(opened.counter)) {
      ++counters_.replayed;
      continue;
    }
    any = true;
    any_data |= opened.length != 0;
    if (accept_opened(peer, opened, datagrams[batch_index_[i]])) {
      delivered.push_back({batch_index_[i], peer.remote.public_key});
    }
  }
  if (any) commit_received(now, from, peer, session, any_data, out);
}

bool Engine::Impl::accept_opened(Peer& peer, const crypto::AeadPacket& opened, PacketBuffer& datagram) {
  if (opened.length == 0) {
    peer.received_bytes += datagram.length;
    return false;
  }
  const auto inner = parse_inner_packet(opened.data, opened.length);
  if (!inner) {
    ++counters_.malformed;
    return false;
  }
  const Peer* owner = inner->v4 ? allowed_ips_.find_v4(inner->source) : allowed_ips_.find_v6(inner->source);
  if (owner != &peer) {
    ++counters_.wrong_source;
    return false;
  }
  peer.received_bytes += datagram.length;
  ++counters_.received_packets;
  datagram.offset += kTransportHeaderBytes;
  datagram.length = inner->length;
  return true;
}

void Engine::Impl::commit_received(Now now, const PeerAddress& from, Peer& peer, const Session& session, bool any_data,
                                   TransmitList& out) {
  peer.seen_at(from);
  const bool confirmed = peer.key_pairs.confirm(session);
  if (confirmed) complete_handshake(now, peer);
  peer.timers.on_authenticated_received(now.monotonic);
  if (any_data) peer.timers.on_data_received(now.monotonic);
  if (confirmed) flush_staged(now, peer, out);
  const Session* current = peer.key_pairs.current();
  if (!peer.sent_last_minute_handshake && current != nullptr && current->wants_rekey_after_receive(now.monotonic)) {
    peer.sent_last_minute_handshake = true;
    start_handshake(now, peer, Attempt::kNew, out);
  }
  schedule(peer);
}

}  // namespace higgs::wireguard

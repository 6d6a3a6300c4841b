// The traversals of a device: what they are told of this host, and their way in and out.
#include <algorithm>

#include "tunnel/demultiplex.h"
#include "tunnel/device.h"

namespace higgs::tunnel {

// --- peers -------------------------------------------------------------------------------------------------------

bool Device::set_peer(const wireguard::PeerConfig& peer) {
  wireguard::PeerConfig config = peer;
  if (config.address && paths_.contains(config.public_key)) {
    paths_.set_relay(config.public_key, *config.address);
    config.address.reset();
  }
  return with_engine([&](wireguard::Engine& engine, Now now, wireguard::TransmitList& out) {
    return engine.set_peer(now, config, false, out);
  });
}

bool Device::remove_peer(const wireguard::PublicKey& key) {
  if (!engine_.peer(key)) return false;
  paths_.stop(key);
  engine_.remove_peer(key);
  return true;
}

bool Device::start_traversal(const wireguard::PublicKey& peer, const wireguard::PeerAddress& relay,
                             path::TraversalOptions options, TraversalEvents& events) {
  if (!engine_.peer(peer)) return false;
  wireguard::PeerConfig config;
  config.public_key = peer;
  config.address = paths_.start(peer, relay, std::move(options), local_addresses(), mark_, events);
  config.pinned = true;
  return with_engine([&](wireguard::Engine& engine, Now now, wireguard::TransmitList& out) {
    return engine.set_peer(now, config, true, out);
  });
}

bool Device::stop_traversal(const wireguard::PublicKey& peer) {
  if (!paths_.contains(peer)) return false;
  wireguard::PeerConfig config;
  config.public_key = peer;
  config.address = paths_.stop(peer);
  config.pinned = false;
  return with_engine([&](wireguard::Engine& engine, Now now, wireguard::TransmitList& out) {
    return engine.set_peer(now, config, true, out);
  });
}

// --- this host ---------------------------------------------------------------------------------------------------

path::LocalAddresses Device::local_addresses() const {
  path::LocalAddresses local;
  if (!udp_) return local;
  local.networks = network_.networks;
  for (const IpAddress& address : network_.addresses) {
    if (address.is_v4() || udp_->fd_v6() >= 0) local.host.push_back({address, port_});
  }
  local.reflexive = reflexive_.addresses();
  local.mapped = network_.mapped;
  if (network_.port_step) local.predicted = reflexive_.predicted(*network_.port_step);
  return local;
}

void Device::update_local(bool moved) {
  if (!paths_.empty()) paths_.set_local(local_addresses(), moved);
}

void Device::set_traversal_network(const TraversalNetwork& network, bool moved) {
  if (network == network_ && !moved) return;
  moved |= network.addresses != network_.addresses;
  network_ = network;
  reflexive_.set_servers(loop_.now().monotonic, network_.stun_servers);
  if (moved) {
    if (udp_) udp_->forget_sources();
    reflexive_.refresh(loop_.now().monotonic);
  }
  update_local(moved);
  service_reflexive();
}

void Device::on_direct_lost() {
  reflexive_.doubt(loop_.now().monotonic);
  // It goes out with the next timer: this call comes from among the peers.
  reflexive_timer_.arm(loop_.now().monotonic);
}

void Device::service_reflexive() {
  const Instant now = loop_.now().monotonic;
  reflexive_.handle_timeout(now);
  while (const auto out = reflexive_.poll_transmit()) send_from_port(out->to, {&out->bytes, 1}, true);
  if (reflexive_.poll_changed()) update_local(reflexive_.poll_moved());
  reflexive_timer_.arm(reflexive_.poll_timeout());
}

// --- packets -----------------------------------------------------------------------------------------------------

void Device::send_from_port(const Endpoint& to, std::span<const ByteView> packets, bool request) {
  if (!udp_) return;
  if (request) udp_->expect_answer(to);
  udp_->send(to, packets);
}

void Device::on_turn_packets(const wireguard::PeerAddress& from, std::span<const MutableBytes> packets) {
  datagrams_.clear();
  for (const MutableBytes packet : packets) {
    const auto size = static_cast<std::uint32_t>(packet.size());
    datagrams_.push_back({packet.data(), size, 0, size});
  }
  open_batch(from);
  write_tun();
}

void Device::note_delivered(const wireguard::PeerAddress& from) {
  if (PeerPaths::is_managed(from)) return;  // by TURN: the traversal has counted it
  path::Hop hop{ice::Base::kRelay, {}};
  if (from.path == 0) hop = {ice::Base::kSocket, from.endpoint};
  for (std::size_t first = 0; first < delivered_.size();) {
    std::size_t end = first + 1;
    while (end < delivered_.size() && delivered_[end].peer == delivered_[first].peer) ++end;
    paths_.note_received(delivered_[first].peer, hop, end - first);
    first = end;
  }
}

}  // namespace higgs::tunnel

#include "sim/traversal_host.h"

#include <algorithm>

#include "stun/message.h"

namespace higgs::sim {
namespace {

constexpr std::size_t kDataBytes = 32;

}  // namespace

TraversalHost::TraversalHost(Instant now, Options options, HostOutput& output)
    : options_(std::move(options)),
      output_(output),
      random_(options_.seed),
      traversal_(now, options_.traversal, random_),
      monitor_(random_) {}

void TraversalHost::set_addresses(Instant now, std::vector<Endpoint> host) {
  const bool first = local_.host.empty();
  local_.host = std::move(host);
  if (first) {
    monitor_.set_servers(now, options_.stun_servers);
  } else {
    monitor_.refresh(now);
  }
  traversal_.set_local(now, local_);
  if (!first) traversal_.network_changed(now);
  flush(now);
}

void TraversalHost::set_relay(Instant now, bool up) {
  traversal_.set_relay(now, up);
  flush(now);
}

void TraversalHost::on_udp(Instant now, unsigned socket, const Endpoint& from, Bytes& datagram) {
  if (socket == 1) {
    if (const auto packet = traversal_.handle_turn(now, datagram)) {
      if (const auto id = data_id(*packet)) output_.delivered(options_.number, *id);
    }
  } else if (!stun::looks_like_stun(datagram)) {
    received(now, {ice::Base::kSocket, from}, datagram);
  } else if (!monitor_.handle_packet(now, from, datagram)) {
    traversal_.handle_stun(now, ice::Base::kSocket, from, datagram);
  }
  flush(now);
}

void TraversalHost::on_relayed(Instant now, ByteView packet) {
  if (stun::looks_like_stun(packet)) {
    traversal_.handle_stun(now, ice::Base::kRelay, {}, packet);
  } else {
    received(now, {ice::Base::kRelay, {}}, packet);
  }
  flush(now);
}

void TraversalHost::on_signal(Instant now, const relay::PeerMessage& message) {
  traversal_.handle_signal(now, message);
  flush(now);
}

void TraversalHost::received(Instant now, const path::Hop& hop, ByteView packet) {
  const auto id = data_id(packet);
  if (!id) return;
  traversal_.note_received(now, hop, 1);
  output_.delivered(options_.number, *id);
}

bool TraversalHost::send_data(Instant now, std::uint64_t id) {
  ByteArray<kDataBytes> packet{std::byte{4}};  // type 4: WireGuard's data
  store_be(packet.data() + 8, id);
  const path::Route route = traversal_.route();
  if (!route.first) return false;
  send_on(*route.first, packet);
  if (route.second) send_on(*route.second, packet);
  traversal_.note_sent(now, 1);
  flush(now);
  return true;
}

void TraversalHost::send_on(const path::Hop& hop, ByteView packet) {
  if (hop.base == ice::Base::kRelay) return output_.send_relayed(options_.number, packet);
  if (hop.base == ice::Base::kSocket) return output_.send_udp(options_.number, 0, hop.to, packet);
  ByteArray<kDataBytes + 64> buffer;
  const ByteView wrapped = traversal_.wrap_turn(hop.to, packet, buffer);
  if (!wrapped.empty()) output_.send_udp(options_.number, 1, *traversal_.turn_server(), wrapped);
}

std::optional<std::uint64_t> TraversalHost::data_id(ByteView packet) {
  if (packet.size() != kDataBytes || packet[0] != std::byte{4}) return std::nullopt;
  return load_be<std::uint64_t>(packet.data() + 8);
}

void TraversalHost::handle_timeout(Instant now) {
  monitor_.handle_timeout(now);
  traversal_.handle_timeout(now);
  flush(now);
}

void TraversalHost::flush(Instant now) {
  if (traversal_.poll_path_changed()) {
    const auto path = traversal_.report(now).path;
    const bool direct = path && path::is_direct(*path);
    // A direct path that broke may have done so because the NAT has another mapping for us now.
    if (was_direct_ && !direct) monitor_.doubt(now);
    was_direct_ = direct;
  }
  while (const auto out = monitor_.poll_transmit()) output_.send_udp(options_.number, 0, out->to, out->bytes);
  if (monitor_.poll_changed()) {
    local_.reflexive = monitor_.addresses();
    if (options_.port_step) local_.predicted = monitor_.predicted(*options_.port_step);
    traversal_.set_local(now, local_);
    if (monitor_.poll_moved()) traversal_.network_changed(now);
  }
  while (auto message = traversal_.poll_signal()) output_.send_signal(options_.number, std::move(*message));
  while (const auto out = traversal_.poll_transmit()) {
    if (out->base == ice::Base::kRelay) {
      output_.send_relayed(options_.number, out->bytes);
    } else {
      output_.send_udp(options_.number, out->base == ice::Base::kTurn ? 1 : 0, out->to, out->bytes);
    }
  }
  due_ = Instant::max();
  for (const auto& at : {traversal_.poll_timeout(), monitor_.poll_timeout()}) {
    if (at) due_ = std::min(due_, *at);
  }
}

}  // namespace higgs::sim

#include "path/testing/small_network.h"

#include <algorithm>

#include "stun/message.h"

namespace higgs::path::testing {

namespace {

using namespace std::chrono_literals;

const Endpoint kTurnServer = *Endpoint::parse("192.0.2.1:3478");
constexpr std::uint16_t kInsidePort = 51820, kInsideTurnPort = 51821;

// First byte as WireGuard's data messages have, then a serial number.
Bytes data_packet(std::uint64_t serial) {
  Bytes packet(32);
  packet[0] = std::byte{4};
  store_be(packet.data() + 8, serial);
  return packet;
}

}  // namespace

TurnAccess SmallNetwork::turn_access() { return {kTurnServer, "user", SecretString("secret")}; }

SmallNetwork::SmallNetwork(std::uint64_t seed, Side client_side, Side node_side) : random_(seed) {
  turn_ = std::make_unique<turn::Server>(turn::Server::Options{}, *this, *this, random_);
  std::array sides{std::move(client_side), std::move(node_side)};
  for (unsigned i = 0; i < 2; ++i) {
    Host& host = hosts_[i];
    host.nat = sides[i].nat;
    host.outside = *IpAddress::parse(i == 0 ? "203.0.113.10" : "198.51.100.20");
    host.inside = host.nat == Nat::kNone ? host.outside : *IpAddress::parse(i == 0 ? "10.0.0.2" : "192.168.1.2");
    sides[i].options.leads = i == 0;
    host.traversal = std::make_unique<Traversal>(now_, std::move(sides[i].options), random_);
  }
}

SmallNetwork::~SmallNetwork() = default;

std::chrono::milliseconds SmallNetwork::elapsed() const noexcept {
  return std::chrono::duration_cast<std::chrono::milliseconds>(now_ - begun_);
}

void SmallNetwork::start() {
  begun_ = next_data_ = now_;
  for (auto& host : hosts_) tell_local(host);
  set_relay(true);
}

void SmallNetwork::tell_local(Host& host) {
  LocalAddresses local;
  local.host = {{host.inside, kInsidePort}};
  local.networks = {*IpPrefix::make(host.inside, 24)};
  if (host.nat != Nat::kBlocked) {
    // As a STUN server beside the TURN server would see the shared port.
    if (const auto seen = translate(host, kShared, {kTurnServer.address, 3479})) local.reflexive = {*seen};
  }
  if (host.mapped) local.mapped = local.reflexive;
  if (&host == &hosts_[0]) local.predicted = predicted;
  host.traversal->set_local(now_, local);
  drain(host);
}

void SmallNetwork::set_relay(bool up) {
  relay_up_ = up;
  ++relay_epoch_;
  for (auto& host : hosts_) {
    host.traversal->set_relay(now_, up);
    drain(host);
  }
}

void SmallNetwork::move(Host& host, const IpAddress& inside, const IpAddress& outside) {
  host.inside = inside;
  rebind(host, outside);
  tell_local(host);
  host.traversal->network_changed(now_);
  drain(host);
}

void SmallNetwork::rebind(Host& host, const IpAddress& outside) {
  host.outside = outside;
  host.ports_.clear();
  host.open_.clear();
}

void SmallNetwork::map_port(Host& host, bool mapped) {
  host.mapped = mapped;
  tell_local(host);
}

// --- time ---------------------------------------------------------------------------------------------------------

void SmallNetwork::later(std::chrono::nanoseconds after, std::function<void()> what) {
  events_.push({now_ + after, ++serial_, std::move(what)});
}

std::chrono::nanoseconds SmallNetwork::travel_time() {
  return delay + std::chrono::milliseconds(random_.below(static_cast<std::uint64_t>(jitter.count()) + 1));
}

void SmallNetwork::step(Instant until) {
  Instant next = until;
  if (!events_.empty()) next = std::min(next, events_.top().at);
  for (auto& host : hosts_)
    if (const auto due = host.traversal->poll_timeout()) next = std::min(next, *due);
  if (data_interval_ > 0ms) next = std::min(next, next_data_);
  now_ = std::max(now_, next);
  while (!events_.empty() && events_.top().at <= now_) {
    const auto what = events_.top().what;
    events_.pop();
    what();
  }
  if (data_interval_ > 0ms && next_data_ <= now_) {
    next_data_ = now_ + data_interval_;
    for (auto& host : hosts_) send_packet(host);
  }
  for (auto& host : hosts_) {
    if (const auto due = host.traversal->poll_timeout(); due && *due <= now_) host.traversal->handle_timeout(now_);
    drain(host);
  }
}

void SmallNetwork::run_for(std::chrono::milliseconds duration) {
  const Instant until = now_ + duration;
  while (now_ < until) step(until);
}

bool SmallNetwork::run_until(const std::function<bool()>& reached, std::chrono::milliseconds within) {
  const Instant until = now_ + within;
  while (!reached()) {
    if (now_ >= until) return false;
    step(until);
  }
  return true;
}

std::chrono::milliseconds SmallNetwork::longest_gap(const Host& host, Instant from, Instant to) {
  Instant last = from;
  std::chrono::nanoseconds longest{0};
  const auto count = [&](Instant at) {
    longest = std::max<std::chrono::nanoseconds>(longest, at - last);
    last = at;
  };
  for (const Instant at : host.received_at)
    if (at >= from && at <= to) count(at);
  count(to);
  return std::chrono::duration_cast<std::chrono::milliseconds>(longest);
}

// --- hosts --------------------------------------------------------------------------------------------------------

void SmallNetwork::drain(Host& host) {
  while (auto out = host.traversal->poll_transmit()) {
    switch (out->base) {
      case ice::Base::kSocket:
        send(host, kShared, out->to, std::move(out->bytes));
        break;
      case ice::Base::kTurn:
        send(host, kTurnSocket, out->to, std::move(out->bytes));
        break;
      case ice::Base::kRelay:
        send_relay(host, std::move(out->bytes));
        break;
    }
  }
  while (auto signal = host.traversal->poll_signal()) {
    host.told.push_back(*signal);
    if (signals_cut) continue;
    Host& to = other(host);
    later(delay, [this, &to, epoch = relay_epoch_, message = std::move(*signal)] {
      if (!relay_up_ || epoch != relay_epoch_) return;
      to.traversal->handle_signal(now_, message);
      drain(to);
    });
  }
}

void SmallNetwork::send_packet(Host& host) {
  const Bytes packet = data_packet(++packet_);
  const Route route = host.traversal->route();
  if (route.first) send_hop(host, *route.first, packet);
  if (route.second) send_hop(host, *route.second, packet);
  host.traversal->note_sent(now_, 1);
}

void SmallNetwork::send_hop(Host& host, const Hop& hop, ByteView packet) {
  switch (hop.base) {
    case ice::Base::kSocket:
      ++host.direct_packets;
      send(host, kShared, hop.to, to_bytes(packet));
      break;
    case ice::Base::kTurn: {
      ++host.turn_packets;
      ByteArray<256> buffer;
      const ByteView wrapped = host.traversal->wrap_turn(hop.to, packet, buffer);
      if (!wrapped.empty()) send(host, kTurnSocket, kTurnServer, to_bytes(wrapped));
      break;
    }
    case ice::Base::kRelay:
      ++host.relay_packets;
      send_relay(host, to_bytes(packet));
      break;
  }
}

void SmallNetwork::take_data(Host& host, const Hop& from, ByteView packet) {
  if (packet.size() < 16) return;
  // A copy is no progress.
  if (host.received.insert(load_be<std::uint64_t>(packet.data() + 8)).second) host.received_at.push_back(now_);
  host.traversal->note_received(now_, from, 1);
}

void SmallNetwork::send_relay(Host& host, Bytes bytes) {
  Host& to = other(host);
  later(delay + 5ms, [this, &to, epoch = relay_epoch_, packet = std::move(bytes)] {
    if (!relay_up_ || epoch != relay_epoch_) return;
    if (stun::looks_like_stun(packet)) {
      to.traversal->handle_stun(now_, ice::Base::kRelay, {}, packet);
      drain(to);
    } else {
      take_data(to, {ice::Base::kRelay, {}}, packet);
    }
  });
}

// --- the net ------------------------------------------------------------------------------------------------------

std::optional<Endpoint> SmallNetwork::translate(Host& host, unsigned socket, const Endpoint& to) {
  const std::uint16_t inside = socket == kShared ? kInsidePort : kInsideTurnPort;
  if (host.nat == Nat::kBlocked) return std::nullopt;
  if (host.nat == Nat::kNone) return Endpoint{host.outside, inside};
  const Endpoint key = host.nat == Nat::kSymmetric ? to : Endpoint{};
  const auto [port, fresh] = host.ports_.try_emplace({socket, key}, next_port_);
  if (fresh) ++next_port_;
  host.open_.insert({port->second, to});
  return Endpoint{host.outside, port->second};
}

void SmallNetwork::send(Host& host, unsigned socket, const Endpoint& to, Bytes bytes) {
  if (socket == kShared) {
    host.destinations.insert(to);
    if (stun::looks_like_stun(bytes)) ++host.requests_sent;
  }
  const auto from = translate(host, socket, to);
  if (!from) return;
  if (static_cast<double>(random_.below(1000)) < loss * 1000) return;
  later(travel_time(), [this, from = *from, to, packet = std::move(bytes)] { deliver(from, to, packet); });
}

void SmallNetwork::deliver(const Endpoint& from, const Endpoint& to, Bytes bytes) {
  if (to.address == kTurnServer.address) {
    if (turn_cut) return;
    const auto relay =
        std::find_if(relays_.begin(), relays_.end(), [&](const auto& known) { return known.second == to; });
    if (to == kTurnServer)
      turn_->on_client(both_clocks(), {turn::Transport::kUdp, from, to}, bytes);
    else if (relay != relays_.end())
      turn_->on_peer(both_clocks(), relay->first, from, bytes);
    return;
  }
  if (direct_cut && from.address != kTurnServer.address) return;
  for (auto& host : hosts_) {
    if (host.outside != to.address) continue;
    if (host.nat == Nat::kNone) {
      receive(host, to.port == kInsidePort ? kShared : kTurnSocket, from, std::move(bytes));
      return;
    }
    const bool open = host.open_.contains({to.port, from});
    for (const auto& [key, port] : host.ports_) {
      if (port != to.port || !(open || (host.mapped && key.first == kShared))) continue;
      receive(host, key.first, from, std::move(bytes));
      return;
    }
  }
}

void SmallNetwork::receive(Host& host, unsigned socket, const Endpoint& from, Bytes bytes) {
  if (socket == kTurnSocket) {
    if (const auto packet = host.traversal->handle_turn(now_, bytes))
      take_data(host, {ice::Base::kTurn, from}, *packet);
  } else if (stun::looks_like_stun(bytes)) {
    host.traversal->handle_stun(now_, ice::Base::kSocket, from, bytes);
  } else {
    take_data(host, {ice::Base::kSocket, from}, bytes);
  }
  drain(host);
}

// --- the TURN server ----------------------------------------------------------------------------------------------

std::optional<turn::ServerOutput::Opened> SmallNetwork::open_relay(const turn::FiveTuple&, bool, bool, bool) {
  const Endpoint relayed{kTurnServer.address, next_relay_port_++};
  const auto id = turn::RelayId{relayed.port};
  relays_.emplace(id, relayed);
  return Opened{id, relayed, std::nullopt};
}

void SmallNetwork::close_relay(turn::RelayId id) { relays_.erase(id); }

void SmallNetwork::send_to_client(const turn::FiveTuple& client, ByteView bytes) {
  later(travel_time(), [this, client, packet = to_bytes(bytes)] { deliver(client.server, client.client, packet); });
}

void SmallNetwork::send_to_peer(turn::RelayId id, const Endpoint& peer, ByteView bytes, bool) {
  const Endpoint relayed = relays_.at(id);
  later(travel_time(), [this, relayed, peer, packet = to_bytes(bytes)] { deliver(relayed, peer, packet); });
}

}  // namespace higgs::path::testing

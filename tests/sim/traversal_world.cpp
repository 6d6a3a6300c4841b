#include "sim/traversal_world.h"

#include <algorithm>

#include "stun/binding.h"
#include "stun/message.h"

namespace higgs::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::uint16_t, 2> kSocketPorts = {51820, 51821};
constexpr std::uint16_t kStunPort = 3478, kTurnPort = 3479;
constexpr auto kTrafficEvery = 100ms;
constexpr auto kRelayDelay = 30ms;
constexpr auto kReconnect = 1s;  // of a relay link, after its end's address changed

const IpAddress kServer = IpAddress::v4(0x09090101u), kSecondServer = IpAddress::v4(0x09090102u);
const IpAddress kServerV6 = *IpAddress::parse("2600:9::1");
const Endpoint kStranger{IpAddress::v4(0x42060606u), 666};

}  // namespace

TraversalWorld::TraversalWorld(const Options& options)
    : options_(options),
      random_(options.seed),
      now_{Instant(1h), from_unix_seconds(1'700'000'000)},
      turn_({kServer, kTurnPort}, options.seed * 7 + 1,
            [this](const Endpoint& from, const Endpoint& to, ByteView bytes) { launch(from, to, bytes); }),
      next_traffic_(now_.monotonic) {
  for (unsigned host : {0u, 1u}) {
    const EndType& end = options_.ends[host];
    settle_place(host);
    nats_.emplace_back(end.v4, places_[host].outside, random_());
    const NatType firewall{false, Dependence::kEndpointIndependent, Dependence::kAddressAndPort, Ports::kPreserved};
    firewalls_.emplace_back(firewall, places_[host].v6, random_());
    TraversalHost::Options one;
    one.number = host;
    one.seed = random_();
    one.stun_servers = {{kServer, kStunPort}, {kSecondServer, kStunPort}};
    if (end.v6) one.stun_servers.push_back({kServerV6, kStunPort});
    if (end.v4.translates && end.v4.mapping != Dependence::kEndpointIndependent && end.v4.ports == Ports::kSequential) {
      one.port_step = 1;
    }
    one.traversal.leads = host == 0;
    one.traversal.policy = options_.policy;
    if (host == 0) {
      one.traversal.turn =
          path::TurnAccess{{kServer, kTurnPort}, TurnService::kUser, SecretString(TurnService::kPassword)};
    }
    HostOutput& output = *this;
    hosts_[host] = std::make_unique<TraversalHost>(now(), std::move(one), output);
  }
  for (unsigned host : {0u, 1u}) hosts_[host]->set_addresses(now(), addresses(host));
  set_relay(true);
  reset_gaps();
}

// --- what happens -----------------------------------------------------------------------------------------------

void TraversalWorld::settle_place(unsigned host) {
  Place& place = places_[host];
  place.outside = IpAddress::v4((host == 0 ? 0x0b000001u : 0x0c000001u) + (place.moves << 8));
  const auto private_address = IpAddress::v4((host == 0 ? 0xc0a8010au : 0x0a00010au) + (place.moves << 8));
  place.inside = options_.ends[host].v4.translates ? private_address : place.outside;
  ByteArray<16> bytes{std::byte{0x26}, std::byte{0x00}, std::byte{0x00}, static_cast<std::byte>(0x0a + host)};
  bytes[7] = static_cast<std::byte>(place.moves);
  bytes[15] = std::byte{1};
  place.v6 = IpAddress::v6(bytes);
}

std::vector<Endpoint> TraversalWorld::addresses(unsigned host) const {
  std::vector<Endpoint> all = {{places_[host].inside, kSocketPorts[0]}};
  if (options_.ends[host].v6) all.push_back({places_[host].v6, kSocketPorts[0]});
  return all;
}

void TraversalWorld::change_address(unsigned host) {
  ++places_[host].moves;
  settle_place(host);
  nats_[host].set_outside(places_[host].outside);
  firewalls_[host].set_outside(places_[host].v6);
  break_relay(kReconnect);
  hosts_[host]->set_addresses(now(), addresses(host));
}

void TraversalWorld::break_relay(std::chrono::nanoseconds for_time) {
  set_relay(false);
  relay_back_ = now() + for_time;
}

void TraversalWorld::set_relay(bool up) {
  ++link_;
  relay_up_ = up;
  for (const auto& host : hosts_) host->set_relay(now(), up);
}

void TraversalWorld::restart_server() {
  turn_.restart();
  break_relay(kReconnect);
}

void TraversalWorld::suspend(unsigned host, std::chrono::nanoseconds time) { asleep_until_[host] = now() + time; }

Instant TraversalWorld::next_event() const {
  Instant next = next_traffic_;
  if (!flights_.empty()) next = std::min(next, flights_.top().due);
  for (unsigned host : {0u, 1u}) next = std::min(next, std::max(hosts_[host]->due(), asleep_until_[host]));
  if (relay_back_) next = std::min(next, *relay_back_);
  if (const auto due = turn_.due()) next = std::min(next, *due);
  return std::max(next, now());
}

void TraversalWorld::run(std::chrono::nanoseconds time) {
  const Instant end = now() + time;
  for (Instant next = next_event(); next < end; next = next_event()) {
    now_.wall += next - now();
    now_.monotonic = next;
    step();
  }
  now_.wall += end - now();
  now_.monotonic = end;
}

void TraversalWorld::step() {
  while (!flights_.empty() && flights_.top().due <= now()) {
    Flight flight = flights_.top();
    flights_.pop();
    arrive(flight);
  }
  for (unsigned host : {0u, 1u}) {
    if (asleep_until_[host] <= now() && hosts_[host]->due() <= now()) hosts_[host]->handle_timeout(now());
  }
  if (turn_.due() && *turn_.due() <= now()) turn_.handle_timeout(now_);
  if (relay_back_ && *relay_back_ <= now()) {
    relay_back_.reset();
    set_relay(true);
  }
  if (next_traffic_ <= now()) send_traffic();
}

void TraversalWorld::send_traffic() {
  next_traffic_ = now() + kTrafficEvery;
  for (unsigned host : {0u, 1u}) {
    if (!traffic_ || asleep_until_[host] > now()) continue;
    data_.push_back({now(), host, false, false});
    if (!hosts_[host]->send_data(now(), data_.size() - 1)) data_.back().excused = true;
  }
}

// --- the network ------------------------------------------------------------------------------------------------

void TraversalWorld::send_udp(unsigned host, unsigned socket, const Endpoint& to, ByteView bytes) {
  if (socket == 1) {
    audit_turn(host, bytes);
  } else {
    audits_[host].sent(now(), to, bytes);
  }
  if (!options_.ends[host].udp) return;
  const bool v4 = to.address.is_v4();
  if (!v4 && !options_.ends[host].v6) return;
  const Endpoint inside{v4 ? places_[host].inside : places_[host].v6, kSocketPorts[socket]};
  launch((v4 ? nats_ : firewalls_)[host].outbound(now(), inside, to), to, bytes);
}

void TraversalWorld::audit_turn(unsigned host, ByteView bytes) {
  constexpr std::size_t kChannelHeader = 4;
  if (bytes.size() > kChannelHeader && (bytes[0] & std::byte{0xc0}) == std::byte{0x40}) {
    // Of a channel only the server knows the peer; the indications before it named it.
    audits_[host].sent(now(), {}, bytes.subspan(kChannelHeader));
    return;
  }
  const auto message = stun::parse(bytes);
  if (!message || message->message_class != stun::MessageClass::kIndication) return;
  const auto data = message->find(stun::AttributeType::kData);
  const auto peer = message->xor_address(stun::AttributeType::kXorPeerAddress);
  if (data && peer) audits_[host].sent(now(), *peer, *data);
}

std::optional<unsigned> TraversalWorld::owner(const IpAddress& address) const {
  for (unsigned host : {0u, 1u}) {
    if (address == places_[host].outside || address == places_[host].v6) return host;
  }
  return std::nullopt;
}

void TraversalWorld::launch(const Endpoint& from, const Endpoint& to, ByteView bytes) {
  if (direct_cut_ && owner(from.address) && owner(to.address)) return excuse(bytes);
  if (chance(options_.noise.loss)) return excuse(bytes);
  const int copies = chance(options_.noise.duplicate) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy) {
    Flight flight;
    flight.due = now() + options_.noise.delay;
    if (options_.noise.jitter > 0ms) {
      flight.due += std::chrono::microseconds(random_() % static_cast<std::uint64_t>(options_.noise.jitter / 1us));
    }
    flight.order = next_order_++;
    flight.from = from;
    flight.to = to;
    flight.bytes = to_bytes(bytes);
    flights_.push(std::move(flight));
  }
}

void TraversalWorld::launch_by_relay(unsigned from, Flight flight) {
  if (!relay_up_) return excuse(flight.bytes);
  flight.host = 1 - from;
  flight.link = link_;
  flight.order = next_order_++;
  flight.due = std::max(now() + kRelayDelay, last_by_relay_[from]);
  last_by_relay_[from] = flight.due;
  flights_.push(std::move(flight));
}

void TraversalWorld::send_relayed(unsigned host, ByteView packet) {
  audits_[host].sent(now(), {}, packet);
  Flight flight;
  flight.what = Flight::What::kRelayed;
  flight.bytes = to_bytes(packet);
  launch_by_relay(host, std::move(flight));
}

void TraversalWorld::send_signal(unsigned host, relay::PeerMessage message) {
  Flight flight;
  flight.what = Flight::What::kSignal;
  flight.signal = std::move(message);
  launch_by_relay(host, std::move(flight));
}

void TraversalWorld::arrive(Flight& flight) {
  if (flight.what == Flight::What::kUdp) {
    if (const auto host = owner(flight.to.address)) return arrive_at_host(*host, flight);
    return arrive_at_server(flight);
  }
  if (asleep_until_[flight.host] > now()) return excuse(flight.bytes);
  TraversalHost& host = *hosts_[flight.host];
  if (flight.what == Flight::What::kForged) return host.on_udp(now(), 0, flight.from, flight.bytes);
  if (flight.link != link_) return excuse(flight.bytes);
  if (flight.what == Flight::What::kSignal) return host.on_signal(now(), flight.signal);
  if (TraversalHost::data_id(flight.bytes)) ++relayed_data_;
  host.on_relayed(now(), flight.bytes);
}

void TraversalWorld::arrive_at_server(const Flight& flight) {
  if (flight.to.port != kStunPort) return turn_.on_datagram(now_, flight.from, flight.to, flight.bytes);
  ByteArray<stun::kBindingBufferBytes> buffer;
  const auto answer = stun::answer_binding(flight.bytes, flight.from, {}, buffer);
  if (!answer.bytes.empty()) launch(flight.to, flight.from, answer.bytes);
}

void TraversalWorld::arrive_at_host(unsigned host, Flight& flight) {
  if (asleep_until_[host] > now()) return excuse(flight.bytes);
  if (!options_.ends[host].udp) return;
  auto& box = (flight.to.address.is_v4() ? nats_ : firewalls_)[host];
  const auto inside = box.inbound(now(), flight.to, flight.from);
  if (!inside) return;
  const unsigned socket = inside->port == kSocketPorts[1] ? 1 : 0;
  if (socket == 0 && replayed_[host]) replay(host, flight);
  hosts_[host]->on_udp(now(), socket, flight.from, flight.bytes);
}

void TraversalWorld::replay(unsigned host, const Flight& flight) {
  for (const auto& [from, after] : {std::pair(flight.from, 1500ms), std::pair(kStranger, 2500ms)}) {
    Flight again = flight;
    again.what = Flight::What::kForged;
    again.from = from;
    again.host = host;
    again.due = now() + after;
    again.order = next_order_++;
    flights_.push(std::move(again));
  }
}

// --- the account ------------------------------------------------------------------------------------------------

void TraversalWorld::excuse(ByteView bytes) {
  // What went through TURN is wrapped: the packet is at the end, or inside an indication.
  for (std::size_t at = 0; at + 16 <= bytes.size(); at += 4) {
    const std::size_t size = std::min<std::size_t>(32, bytes.size() - at);
    if (const auto id = TraversalHost::data_id(bytes.subspan(at, size)); id && *id < data_.size()) {
      data_[*id].excused = true;
    }
  }
}

void TraversalWorld::delivered(unsigned host, std::uint64_t id) {
  if (id >= data_.size() || data_[id].by == host) return;
  data_[id].delivered = true;
  longest_gap_[host] = std::max(longest_gap_[host], std::chrono::nanoseconds(now() - last_delivery_[host]));
  last_delivery_[host] = now();
}

void TraversalWorld::reset_gaps() {
  last_delivery_.fill(now());
  longest_gap_.fill(0ns);
}

std::size_t TraversalWorld::vanished(Instant from, Instant to) const {
  return static_cast<std::size_t>(std::count_if(data_.begin(), data_.end(), [&](const Data& data) {
    return data.sent >= from && data.sent < to && !data.delivered && !data.excused;
  }));
}

std::size_t TraversalWorld::delivered(Instant from, Instant to) const {
  return static_cast<std::size_t>(std::count_if(data_.begin(), data_.end(), [&](const Data& data) {
    return data.sent >= from && data.sent < to && data.delivered;
  }));
}

std::size_t TraversalWorld::sent(Instant from, Instant to) const {
  return static_cast<std::size_t>(
      std::count_if(data_.begin(), data_.end(), [&](const Data& data) { return data.sent >= from && data.sent < to; }));
}

}  // namespace higgs::sim

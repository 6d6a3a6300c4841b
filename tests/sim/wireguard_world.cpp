#include "sim/wireguard_world.h"

#include "wireguard/constants.h"
#include "wireguard/messages.h"

namespace higgs::sim {
namespace {

constexpr std::size_t kHistory = 500;
constexpr std::size_t kFirstPort = 1000;
constexpr std::size_t kStrangersPort = 9;

std::uint64_t tag_of(ByteView sealed) { return load_le<std::uint64_t>(sealed.last(8).data()); }

std::byte filler(std::uint64_t id, std::size_t position) {
  return static_cast<std::byte>((id * 0x9e3779b97f4a7c15ULL >> 32) + position * 13);
}

}  // namespace

/// Seals with the best cipher and tells the world what was sealed.
class WireguardWorld::Cipher final : public crypto::AeadBatch {
 public:
  explicit Cipher(WireguardWorld& world) : world_(world), inner_(crypto::make_best_aead_batch()) {}
  std::string_view name() const noexcept override { return "simulation"; }
  void seal(const crypto::AeadKey& key, std::span<crypto::AeadPacket> packets) noexcept override {
    std::vector<std::uint64_t> ids;
    for (const auto& packet : packets) ids.push_back(packet.length == 0 ? 0 : id_of({packet.data, packet.length}));
    inner_->seal(key, packets);
    for (std::size_t i = 0; i < packets.size(); ++i) world_.sealed(key, packets[i], ids[i]);
  }
  void open(const crypto::AeadKey& key, std::span<crypto::AeadPacket> packets) noexcept override {
    inner_->open(key, packets);
  }

 private:
  WireguardWorld& world_;
  std::unique_ptr<crypto::AeadBatch> inner_;
};

WireguardWorld::WireguardWorld(const Options& options) : random_(options.seed), noise_(options.noise) {
  now_ = {Instant(std::chrono::hours(1)), from_unix_seconds(1'700'000'000)};
  packets_.push_back({});  // id 0 is "no packet"
  for (std::size_t i = 0; i < options.engines; ++i) {
    engines_.push_back(std::make_unique<wireguard::testing::TestEngine>(random_(), wireguard::EngineLimits{},
                                                                        std::make_unique<Cipher>(*this)));
    ports_.push_back(kFirstPort + i);
    at_port_[kFirstPort + i] = i;
  }
  for (std::size_t i = 0; i < options.engines; ++i) {
    for (std::size_t j = 0; j < options.engines; ++j) {
      if (i == j) continue;
      engines_[i]->set_peer(now_, engines_[i]->peer_config(engines_[j]->public_key,
                                                           {IpPrefix::make(inner_address(j, true), 32).value(),
                                                            IpPrefix::make(inner_address(j, false), 128).value()},
                                                           outer_address(ports_[j])));
    }
  }
}

IpAddress WireguardWorld::inner_address(std::size_t engine, bool v4) const {
  if (v4) return IpAddress::v4(0x0a000001u + static_cast<std::uint32_t>(engine));
  ByteArray<16> bytes{std::byte{0xfd}};
  bytes[15] = static_cast<std::byte>(engine + 1);
  return IpAddress::v6(bytes);
}

wireguard::PeerAddress WireguardWorld::outer_address(std::size_t port) const {
  return {0, {IpAddress::v4(0xc0000201u), static_cast<std::uint16_t>(port)}};
}

Bytes WireguardWorld::packet_with(std::uint64_t id, const Packet& packet) {
  Bytes payload(8 + random_() % 1300);
  store_le(payload.data(), id);
  for (std::size_t i = 8; i < payload.size(); ++i) payload[i] = filler(id, i);
  const bool v4 = random_() % 2 == 0;
  return wireguard::testing::make_packet(inner_address(packet.as, v4), inner_address(packet.to, v4), payload);
}

std::uint64_t WireguardWorld::id_of(ByteView inner) {
  return load_le<std::uint64_t>(wireguard::testing::payload_of(inner).data());
}

void WireguardWorld::sealed(const crypto::AeadKey& key, const crypto::AeadPacket& packet, std::uint64_t id) {
  const auto [entry, is_new] = keys_.try_emplace(std::string(as_text(key.reveal())), KeyUse{0, now_.monotonic});
  KeyUse& use = entry->second;
  if (packet.counter < use.next_counter) ++verdict_.nonce_reused;
  use.next_counter = std::max(use.next_counter, packet.counter + 1);
  if (now_.monotonic - use.first > wireguard::kRejectAfterTime) ++verdict_.overaged_keys;
  if (id == 0) return;
  ++verdict_.sealed;
  by_tag_[tag_of({packet.data, packet.length + crypto::kAeadTagBytes})] = id;
}

void WireguardWorld::send(std::size_t from, std::size_t to, std::size_t count) {
  std::vector<Bytes> burst;
  for (std::size_t i = 0; i < count; ++i) {
    packets_.push_back({from, to, from});
    burst.push_back(packet_with(packets_.size() - 1, packets_.back()));
  }
  verdict_.sent += count;
  engines_[from]->send(now_, burst);
  put_on_wire(from);
}

void WireguardWorld::send_spoofed(std::size_t from, std::size_t to, std::size_t as) {
  packets_.push_back({from, to, as});
  engines_[from]->send(now_, packet_with(packets_.size() - 1, packets_.back()));
  put_on_wire(from);
}

void WireguardWorld::roam(std::size_t engine) {
  at_port_.erase(ports_[engine]);
  ports_[engine] += engines_.size();
  if (ports_[engine] > 60000) ports_[engine] = kFirstPort + engine;
  at_port_[ports_[engine]] = engine;
}

void WireguardWorld::put_on_wire(std::size_t engine) {
  for (auto& datagram : engines_[engine]->take_outbox()) {
    launch({ports_[engine], datagram.to.endpoint.port, std::move(datagram.bytes)});
  }
}

void WireguardWorld::launch(Flight flight) {
  if (cut_) return;
  const auto delay = [&] {
    const auto spread = static_cast<std::uint64_t>((noise_.max_delay - noise_.min_delay).count()) + 1;
    return now_.monotonic + noise_.min_delay + std::chrono::milliseconds(random_() % spread);
  };
  if (!history_.empty() && chance() < noise_.replay) {
    Flight old = history_[random_() % history_.size()];
    old.from_port = kStrangersPort;
    ++verdict_.replays_made;
    flights_.emplace(delay(), std::move(old));
  }
  if (chance() < noise_.duplicate) flights_.emplace(delay(), flight);
  if (chance() < noise_.loss) return;
  if (chance() < noise_.corrupt) {
    flight.intact = false;
    const std::size_t position = random_() % flight.bytes.size();
    flight.bytes[position] ^= static_cast<std::byte>(1u << random_() % 8);
    if (random_() % 4 == 0) flight.bytes.resize(random_() % (flight.bytes.size() + 1));
  }
  flights_.emplace(delay(), std::move(flight));
}

void WireguardWorld::run(std::chrono::nanoseconds time) {
  const Instant end = now_.monotonic + time;
  for (;;) {
    Instant next = end;
    if (!flights_.empty()) next = std::min(next, flights_.begin()->first);
    for (const auto& one : engines_) next = std::min(next, one->engine.poll_timeout().value_or(end));
    const auto step = std::max(next - now_.monotonic, std::chrono::nanoseconds(0));
    now_.monotonic += step;
    now_.wall += step;
    if (now_.monotonic >= end) return;
    for (std::size_t i = 0; i < engines_.size(); ++i) {
      engines_[i]->tick(now_);
      put_on_wire(i);
    }
    while (!flights_.empty() && flights_.begin()->first <= now_.monotonic) {
      // Neighbours on the same way arrive as one batch.
      std::vector<Flight> batch;
      do {
        batch.push_back(std::move(flights_.begin()->second));
        flights_.erase(flights_.begin());
      } while (!flights_.empty() && flights_.begin()->first <= now_.monotonic &&
               flights_.begin()->second.to_port == batch[0].to_port &&
               flights_.begin()->second.from_port == batch[0].from_port);
      arrive(batch);
    }
  }
}

void WireguardWorld::arrive(const std::vector<Flight>& batch) {
  const auto receiver = at_port_.find(batch[0].to_port);
  if (receiver == at_port_.end()) return;
  std::vector<Bytes> datagrams;
  std::vector<std::uint64_t> expected;
  for (const auto& flight : batch) {
    datagrams.push_back(flight.bytes);
    if (history_.size() < kHistory) history_.emplace_back();
    history_[history_next_++ % kHistory] = flight;
    if (!flight.intact || flight.bytes.size() < wireguard::kMinDataBytes) continue;
    const auto found = by_tag_.find(tag_of(flight.bytes));
    if (found == by_tag_.end()) continue;
    expected.push_back(found->second);
    by_tag_.erase(found);
  }
  auto& engine = *engines_[receiver->second];
  std::uint64_t expired = engine.engine.counters().expired;
  engine.receive(now_, outer_address(batch[0].from_port), std::move(datagrams));
  expired = engine.engine.counters().expired - expired;
  check_delivered(receiver->second);
  for (const auto id : expected) {
    const Packet& packet = packets_[id];
    ++verdict_.arrived;
    if (packet.delivered || packet.as != packet.from) continue;
    ++(expired > 0 ? verdict_.expired_under_way : verdict_.lost_by_engine);
  }
  put_on_wire(receiver->second);
}

void WireguardWorld::check_delivered(std::size_t engine) {
  for (const auto& plain : engines_[engine]->take_plain()) {
    const ByteView payload = wireguard::testing::payload_of(plain.bytes);
    const std::uint64_t id = payload.size() < 8 ? 0 : load_le<std::uint64_t>(payload.data());
    bool true_copy = id != 0 && id < packets_.size() && packets_[id].to == engine;
    for (std::size_t i = 8; true_copy && i < payload.size(); ++i) true_copy = payload[i] == filler(id, i);
    if (!true_copy) {
      ++verdict_.garbled;
      continue;
    }
    Packet& packet = packets_[id];
    if (packet.as != packet.from || plain.peer != engines_[packet.from]->public_key) ++verdict_.wrong_source;
    if (packet.delivered) ++verdict_.delivered_twice;
    packet.delivered = true;
    ++verdict_.delivered;
  }
}

}  // namespace higgs::sim

// One engine with its identity and its randomness, fed and drained packet by packet: for unit tests, the simulation and
// the fuzz targets. Header only, so that nothing of it is part of the library.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "wireguard/engine.h"

namespace higgs::wireguard::testing {

inline IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }
inline IpPrefix prefix(std::string_view text) { return IpPrefix::parse(text).value(); }
inline PeerAddress udp(std::string_view text) { return {0, Endpoint::parse(text).value()}; }

/// An IP packet with a payload of these bytes and no transport header; both addresses of one family.
inline Bytes make_packet(const IpAddress& source, const IpAddress& destination, ByteView payload) {
  const bool v4 = source.is_v4();
  Bytes packet(v4 ? 20 : 40);
  if (v4) {
    packet[0] = std::byte{0x45};
    store_be(packet.data() + 2, static_cast<std::uint16_t>(20 + payload.size()));
  } else {
    packet[0] = std::byte{0x60};
    store_be(packet.data() + 4, static_cast<std::uint16_t>(payload.size()));
  }
  std::copy(source.bytes().begin(), source.bytes().end(), packet.begin() + (v4 ? 12 : 8));
  std::copy(destination.bytes().begin(), destination.bytes().end(), packet.begin() + (v4 ? 16 : 24));
  packet.insert(packet.end(), payload.begin(), payload.end());
  return packet;
}
inline ByteView payload_of(ByteView packet) {
  return packet.subspan(std::to_integer<unsigned>(packet[0]) >> 4 == 4 ? 20 : 40);
}

/// A cipher that notes every (key, counter) it seals with: one pair twice would break ChaCha20-Poly1305.
class RecordingCipher final : public crypto::AeadBatch {
 public:
  struct Record {
    std::set<std::pair<std::string, std::uint64_t>> seen;
    std::set<std::string> keys;
    std::size_t reused = 0;
  };
  explicit RecordingCipher(Record& record) : record_(record), inner_(crypto::make_best_aead_batch()) {}
  std::string_view name() const noexcept override { return "recording"; }
  void seal(const crypto::AeadKey& key, std::span<crypto::AeadPacket> packets) noexcept override {
    const std::string text(as_text(key.reveal()));
    record_.keys.insert(text);
    for (const auto& packet : packets) record_.reused += record_.seen.emplace(text, packet.counter).second ? 0 : 1;
    inner_->seal(key, packets);
  }
  void open(const crypto::AeadKey& key, std::span<crypto::AeadPacket> packets) noexcept override {
    inner_->open(key, packets);
  }

 private:
  Record& record_;
  std::unique_ptr<crypto::AeadBatch> inner_;
};

struct Datagram {
  PeerAddress to;
  Bytes bytes;
};
struct Plain {
  PublicKey peer;
  Bytes bytes;
};

class TestEngine {
 public:
  explicit TestEngine(std::uint64_t seed, EngineLimits limits = {}, std::unique_ptr<crypto::AeadBatch> cipher = nullptr)
      : random(seed), engine(random, limits, std::move(cipher)) {
    private_key = crypto::make_private_key(random);
    public_key = crypto::public_key_of(private_key);
    engine.set_private_key({}, private_key);
  }

  PeerConfig peer_config(const PublicKey& key, std::vector<IpPrefix> allowed_ips,
                         std::optional<PeerAddress> address = std::nullopt) const {
    PeerConfig config;
    config.public_key = key;
    config.address = address;
    config.allowed_ips = std::move(allowed_ips);
    return config;
  }
  bool set_peer(Now now, const PeerConfig& config) {
    TransmitList out;
    const bool done = engine.set_peer(now, config, false, out);
    collect(out);
    return done;
  }

  void send(Now now, ByteView packet) { send(now, std::vector<Bytes>{to_bytes(packet)}); }
  void send(Now now, const std::vector<Bytes>& packets) {
    std::vector<Bytes> memory;
    std::vector<PacketBuffer> buffers;
    for (const auto& packet : packets) {
      Bytes& room = memory.emplace_back(kTransportHeaderBytes + packet.size() + kTransportTailBytes);
      std::copy(packet.begin(), packet.end(), room.begin() + kTransportHeaderBytes);
      buffers.push_back({room.data(), static_cast<std::uint32_t>(room.size()), kTransportHeaderBytes,
                         static_cast<std::uint32_t>(packet.size())});
    }
    TransmitList out;
    engine.encapsulate(now, buffers, mtu, out);
    collect(out);
  }

  void receive(Now now, const PeerAddress& from, ByteView datagram) {
    receive(now, from, std::vector<Bytes>{to_bytes(datagram)});
  }
  void receive(Now now, const PeerAddress& from, std::vector<Bytes> datagrams) {
    std::vector<PacketBuffer> buffers;
    for (auto& datagram : datagrams) {
      const auto size = static_cast<std::uint32_t>(datagram.size());
      buffers.push_back({datagram.data(), size, 0, size});
    }
    TransmitList out;
    std::vector<Delivered> delivered;
    engine.decapsulate(now, from, buffers, delivered, out);
    for (const auto& one : delivered) plain.push_back({one.peer, to_bytes(buffers[one.index].bytes())});
    collect(out);
  }
  void tick(Now now) {
    TransmitList out;
    engine.handle_timeout(now, out);
    collect(out);
  }
  void collect(const TransmitList& out) {
    for (const auto& transmit : out) outbox.push_back({transmit.to, to_bytes(transmit.bytes)});
  }
  std::vector<Datagram> take_outbox() { return std::exchange(outbox, {}); }
  std::vector<Plain> take_plain() { return std::exchange(plain, {}); }

  SeededRandom random;
  Engine engine;
  PrivateKey private_key;
  PublicKey public_key;
  std::uint32_t mtu = 1420;
  std::vector<Datagram> outbox;
  std::vector<Plain> plain;
};

/// Two engines that know each other: a has 10.0.0.1 and fd00::1, b has 10.0.0.2 and fd00::2.
class EnginePair {
 public:
  explicit EnginePair(EngineLimits limits = {}, std::unique_ptr<crypto::AeadBatch> cipher_a = nullptr,
                      std::unique_ptr<crypto::AeadBatch> cipher_b = nullptr)
      : a(101, limits, std::move(cipher_a)), b(202, limits, std::move(cipher_b)) {
    now = {Instant(std::chrono::hours(1)), from_unix_seconds(1'700'000'000)};
    a.set_peer(now, a.peer_config(b.public_key, {prefix("10.0.0.2/32"), prefix("fd00::2/128")}, address_b));
    b.set_peer(now, b.peer_config(a.public_key, {prefix("10.0.0.1/32"), prefix("fd00::1/128")}, address_a));
  }

  /// Carries everything to the other side until both are silent.
  void exchange() {
    while (!a.outbox.empty() || !b.outbox.empty()) {
      for (const auto& datagram : a.take_outbox()) b.receive(now, address_a, datagram.bytes);
      for (const auto& datagram : b.take_outbox()) a.receive(now, address_b, datagram.bytes);
    }
  }
  /// Lets time pass, firing timers when they are due; carries messages if `connected`, else drops them.
  void advance(std::chrono::nanoseconds span, bool connected = true) {
    const Instant end = now.monotonic + span;
    for (;;) {
      const Instant next =
          std::min({end, a.engine.poll_timeout().value_or(end), b.engine.poll_timeout().value_or(end)});
      const auto step = std::max(next - now.monotonic, std::chrono::nanoseconds(0));
      now.monotonic += step;
      now.wall += step;
      a.tick(now);
      b.tick(now);
      if (connected) {
        exchange();
      } else {
        dropped_a += a.take_outbox().size();
        dropped_b += b.take_outbox().size();
      }
      if (now.monotonic >= end) return;
    }
  }
  Bytes packet_from_a(std::string_view text) const {
    return make_packet(ip("10.0.0.1"), ip("10.0.0.2"), as_bytes(text));
  }
  Bytes packet_from_b(std::string_view text) const {
    return make_packet(ip("10.0.0.2"), ip("10.0.0.1"), as_bytes(text));
  }
  /// A session with traffic in both directions.
  void connect() {
    a.send(now, packet_from_a("hello"));
    exchange();
    b.send(now, packet_from_b("hello yourself"));
    exchange();
    a.take_plain();
    b.take_plain();
  }

  Now now;
  PeerAddress address_a = udp("192.0.2.1:1001");
  PeerAddress address_b = udp("192.0.2.2:1002");
  TestEngine a;
  TestEngine b;
  std::size_t dropped_a = 0;
  std::size_t dropped_b = 0;
};

}  // namespace higgs::wireguard::testing

// What one packet of 1,424 bytes costs: in each cipher back end, and through the whole engine with the best of them.
//   build/release/bin/wireguard_bench --benchmark_counters_tabular=true
#include <benchmark/benchmark.h>

#include "wireguard/testing/engine_fixture.h"

namespace higgs::wireguard {
namespace {

constexpr std::uint32_t kPacketBytes = 1424;  // 1,420 of an inner packet, padded
constexpr std::size_t kTrain = 45;            // as many as one GSO send carries
constexpr std::uint32_t kSlotBytes = 2048;

void report(benchmark::State& state) {
  const auto packets = static_cast<double>(state.iterations()) * kTrain;
  state.counters["ns/packet"] =
      benchmark::Counter(packets * 1e-9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["Gbit/s"] = benchmark::Counter(packets * kPacketBytes * 8e-9, benchmark::Counter::kIsRate);
}

struct Train {
  Bytes memory = Bytes(kTrain * kSlotBytes);
  std::vector<crypto::AeadPacket> packets;
  Train() {
    for (std::size_t i = 0; i < kTrain; ++i) {
      packets.push_back({memory.data() + i * kSlotBytes + 16, kPacketBytes, false, i});
    }
  }
};

void seal(benchmark::State& state, crypto::AeadBackend backend) {
  const auto cipher = crypto::make_aead_batch(backend);
  if (!cipher) return state.SkipWithError("not on this machine");
  Train train;
  const crypto::AeadKey key;
  for (auto _ : state) cipher->seal(key, train.packets);
  report(state);
}

/// Opening consumes its input, so each round copies a sealed train first; open() minus copy() is the cipher.
void open(benchmark::State& state, crypto::AeadBackend backend) {
  const auto cipher = crypto::make_aead_batch(backend);
  if (!cipher) return state.SkipWithError("not on this machine");
  Train train;
  const crypto::AeadKey key;
  cipher->seal(key, train.packets);
  const Bytes sealed = train.memory;
  for (auto _ : state) {
    std::memcpy(train.memory.data(), sealed.data(), sealed.size());
    cipher->open(key, train.packets);
    if (!train.packets.back().valid) return state.SkipWithError("bad tag");
  }
  report(state);
}

void copy(benchmark::State& state) {
  Train train;
  const Bytes sealed = train.memory;
  for (auto _ : state) {
    std::memcpy(train.memory.data(), sealed.data(), sealed.size());
    benchmark::DoNotOptimize(train.memory.data());
  }
  report(state);
}

/// Does nothing, so that what is left is the engine's own work.
class NoCipher final : public crypto::AeadBatch {
 public:
  std::string_view name() const noexcept override { return "none"; }
  void seal(const crypto::AeadKey&, std::span<crypto::AeadPacket> packets) noexcept override { pass(packets); }
  void open(const crypto::AeadKey&, std::span<crypto::AeadPacket> packets) noexcept override { pass(packets); }

 private:
  static void pass(std::span<crypto::AeadPacket> packets) noexcept {
    for (auto& packet : packets) packet.valid = true;
  }
};

struct Tunnel {
  testing::EnginePair pair;
  Bytes memory = Bytes(kTrain * kSlotBytes);
  std::vector<PacketBuffer> buffers = std::vector<PacketBuffer>(kTrain);
  TransmitList out;
  std::vector<Delivered> delivered;

  explicit Tunnel(bool with_cipher)
      : pair({}, with_cipher ? nullptr : std::make_unique<NoCipher>(),
             with_cipher ? nullptr : std::make_unique<NoCipher>()) {
    pair.connect();
    const Bytes packet = testing::make_packet(testing::ip("10.0.0.1"), testing::ip("10.0.0.2"), Bytes(1400));
    for (std::size_t i = 0; i < kTrain; ++i) {
      std::copy(packet.begin(), packet.end(), memory.begin() + static_cast<std::ptrdiff_t>(i * kSlotBytes + 64));
    }
  }
  void encapsulate() {
    for (std::size_t i = 0; i < kTrain; ++i) buffers[i] = {memory.data() + i * kSlotBytes, kSlotBytes, 64, 1420};
    out.clear();
    pair.a.engine.encapsulate(pair.now, buffers, 1420, out);
  }
  void decapsulate() {
    delivered.clear();
    out.clear();
    pair.b.engine.decapsulate(pair.now, pair.address_a, buffers, delivered, out);
  }
};

/// There and back: with the cipher, what a packet costs both ends; without, the engine's own share of it.
void engine_both_ways(benchmark::State& state, bool with_cipher) {
  Tunnel tunnel(with_cipher);
  for (auto _ : state) {
    tunnel.encapsulate();
    tunnel.decapsulate();
    if (tunnel.delivered.size() != kTrain) return state.SkipWithError("packets were lost");
  }
  report(state);
  state.SetLabel(std::string(tunnel.pair.a.engine.cipher_name()));
}

/// A whole handshake, both ends.
void handshake(benchmark::State& state) {
  testing::EnginePair pair;
  for (auto _ : state) {
    pair.now.monotonic += std::chrono::seconds(1);
    pair.now.wall += std::chrono::seconds(1);
    TransmitList out;
    pair.a.engine.restart_handshake(pair.now, pair.b.public_key, out);
    pair.a.collect(out);
    pair.exchange();
  }
  if (!pair.a.engine.peer(pair.b.public_key)->has_session) state.SkipWithError("no session");
}

using crypto::AeadBackend;
BENCHMARK_CAPTURE(seal, ipsec_mb, AeadBackend::kIpsecMb);
BENCHMARK_CAPTURE(seal, openssl_composed, AeadBackend::kComposedOpenSsl);
BENCHMARK_CAPTURE(seal, openssl, AeadBackend::kOpenSsl);
BENCHMARK_CAPTURE(open, ipsec_mb, AeadBackend::kIpsecMb);
BENCHMARK_CAPTURE(open, openssl_composed, AeadBackend::kComposedOpenSsl);
BENCHMARK_CAPTURE(open, openssl, AeadBackend::kOpenSsl);
BENCHMARK(copy);
BENCHMARK_CAPTURE(engine_both_ways, best_cipher, true);
BENCHMARK_CAPTURE(engine_both_ways, no_cipher, false);
BENCHMARK(handshake)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace higgs::wireguard

BENCHMARK_MAIN();

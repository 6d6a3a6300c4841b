// WireGuard messages into an engine with a live session, as a hostile network may send them. The input is a list of
// actions, [kind][length, 2 bytes][bytes]: raw datagrams; datagrams whose receiver index, counter or mac1 is made to
// fit, so that the parts behind the first checks are reached too; true inner packets with any content; time that
// passes.
#include "wireguard/cookies.h"
#include "wireguard/messages.h"
#include "wireguard/testing/engine_fixture.h"

namespace higgs::wireguard {
namespace {

constexpr std::size_t kMaxActions = 64;

/// One cipher for all inputs, since checking a new one at start takes longer than an input.
class SharedCipher final : public crypto::AeadBatch {
 public:
  std::string_view name() const noexcept override { return "shared"; }
  void seal(const crypto::AeadKey& key, std::span<crypto::AeadPacket> packets) noexcept override {
    shared().seal(key, packets);
  }
  void open(const crypto::AeadKey& key, std::span<crypto::AeadPacket> packets) noexcept override {
    shared().open(key, packets);
  }

 private:
  static crypto::AeadBatch& shared() {
    static const auto cipher = crypto::make_best_aead_batch();
    return *cipher;
  }
};

class FuzzedPair {
 public:
  FuzzedPair() { pair_.connect(); }

  void act(unsigned kind, ByteView bytes) {
    switch (kind % 8) {
      case 0:
        deliver(bytes);
        break;
      case 1:
        deliver(with_receiver(bytes));
        break;
      case 2:
        deliver(with_mac1(bytes));
        break;
      case 3:
        send_inside(bytes);
        break;
      case 4:
        pair_.advance(std::chrono::milliseconds(bytes.empty() ? 1000 : 1 + std::to_integer<int>(bytes[0]) * 1000));
        break;
      case 5:
        flip_and_deliver(bytes);
        break;
      case 6:
        pair_.a.send(pair_.now, to_bytes(bytes));
        break;
      default:
        replay(bytes);
        break;
    }
    pair_.exchange();
    check();
  }

 private:
  void deliver(Bytes datagram) { pair_.b.receive(pair_.now, testing::udp("203.0.113.1:1"), ByteView(datagram)); }
  void deliver(ByteView datagram) { deliver(to_bytes(datagram)); }

  /// A receiver index that b knows: the one in the last datagram from a.
  Bytes with_receiver(ByteView bytes) {
    Bytes datagram = to_bytes(bytes);
    const Bytes real = real_datagram();
    const std::size_t at = !datagram.empty() && datagram[0] == std::byte{2} ? 8 : 4;
    if (datagram.size() >= at + 4 && real.size() >= 8)
      std::copy_n(real.begin() + 4, 4, datagram.begin() + static_cast<int>(at));
    return datagram;
  }
  Bytes with_mac1(ByteView bytes) {
    Bytes datagram = to_bytes(bytes);
    datagram.resize(!datagram.empty() && datagram[0] == std::byte{2} ? kResponseBytes : kInitiationBytes);
    CookieJar(pair_.b.public_key).stamp(pair_.now.monotonic, datagram);
    return datagram;
  }
  Bytes real_datagram() {
    pair_.a.send(pair_.now, pair_.packet_from_a("fuzz"));
    auto outbox = pair_.a.take_outbox();
    history_.push_back(outbox.empty() ? Bytes() : outbox.front().bytes);
    return history_.back();
  }
  /// A packet a may not send, or may, sealed under the true key: b must look at what is inside.
  void send_inside(ByteView bytes) {
    Bytes packet = testing::make_packet(testing::ip("10.0.0.1"), testing::ip("10.0.0.2"),
                                        bytes.subspan(std::min<std::size_t>(4, bytes.size())));
    for (std::size_t i = 0; i < std::min<std::size_t>(4, bytes.size()); ++i) packet[12 + i] ^= bytes[i];
    pair_.a.send(pair_.now, packet);
  }
  void flip_and_deliver(ByteView bytes) {
    Bytes datagram = real_datagram();
    for (std::size_t i = 0; i + 1 < bytes.size() && !datagram.empty(); i += 2) {
      datagram[std::to_integer<std::size_t>(bytes[i]) % datagram.size()] ^= bytes[i + 1];
    }
    deliver(std::move(datagram));
  }
  void replay(ByteView bytes) {
    if (history_.empty() || bytes.empty()) return;
    deliver(history_[std::to_integer<std::size_t>(bytes[0]) % history_.size()]);
  }

  /// Whatever came, only a's own packets are delivered, and whole.
  void check() {
    for (const auto& plain : pair_.b.take_plain()) {
      if (plain.peer != pair_.a.public_key || plain.bytes.size() < 20) __builtin_trap();
      const auto v4 = std::to_integer<unsigned>(plain.bytes[0]) >> 4 == 4;
      const ByteView source = ByteView(plain.bytes).subspan(v4 ? 12 : 8, v4 ? 4 : 16);
      const IpAddress own = testing::ip(v4 ? "10.0.0.1" : "fd00::1");
      if (!std::equal(source.begin(), source.end(), own.bytes().begin())) __builtin_trap();
    }
    pair_.a.take_plain();
  }

  testing::EnginePair pair_{{}, std::make_unique<SharedCipher>(), std::make_unique<SharedCipher>()};
  std::vector<Bytes> history_;
};

}  // namespace
}  // namespace higgs::wireguard

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace higgs;
  ByteReader reader(std::as_bytes(std::span(data, size)));
  wireguard::FuzzedPair pair;
  for (std::size_t i = 0; i < wireguard::kMaxActions; ++i) {
    const auto kind = reader.be<std::uint8_t>();
    const auto length = reader.be<std::uint16_t>();
    if (!kind || !length) break;
    const auto bytes = reader.take(std::min<std::size_t>(*length, reader.remaining()));
    pair.act(*kind, *bytes);
  }
  return 0;
}

#include "tunnel/segmenter.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "tunnel/testing/packets.h"

namespace higgs::tunnel {
namespace {

using testing::make_packet;
using testing::PacketSpec;

VirtioHeader gso(std::uint8_t type, std::uint16_t size, std::uint16_t start, std::uint16_t offset) {
  return {VirtioHeader::kNeedsChecksum, type, 0xffff /* never trusted */, size, start, offset};
}

std::optional<Segmenter> make(const VirtioHeader& header, const Bytes& packet) {
  return Segmenter::make(header, packet);
}

bool transport_checksum_good(ByteView packet, bool v6, bool tcp, std::size_t transport) {
  ChecksumSum sum = checksum_pseudo(checksum_portable(0, nullptr, ip::addresses(packet, v6)), tcp ? ip::kTcp : ip::kUdp,
                                    static_cast<std::uint32_t>(packet.size() - transport));
  return checksum_fold(checksum_portable(sum, nullptr, packet.subspan(transport))) == 0xffff;
}

TEST(Segmenter, VirtioHeaderSurvivesItsEncoding) {
  const VirtioHeader header{1, 0x81, 54, 1368, 20, 16};
  EXPECT_EQ(VirtioHeader::decode(header.encode()), header);
  EXPECT_EQ(to_hex(header.encode()), "01813600580514001000");
}

TEST(Segmenter, FinPushAndCwrGoWhereTheyBelong) {
  PacketSpec spec;
  spec.flags = 0x99;  // CWR, ACK, PSH, FIN
  spec.sequence = 0xffffff00;
  spec.payload = Bytes(250, std::byte{5});
  const Bytes packet = make_packet(spec);
  auto segmenter = make(gso(VirtioHeader::kGsoTcp4 | VirtioHeader::kGsoEcn, 100, 20, 16), packet);
  ASSERT_TRUE(segmenter);
  ASSERT_EQ(segmenter->count(), 3u);
  EXPECT_EQ(segmenter->segment_bytes(), 140u);
  const std::uint8_t flags[] = {0x90, 0x10, 0x19};
  const std::size_t lengths[] = {140, 140, 90};
  for (std::size_t i = 0; i < 3; ++i) {
    Bytes out(140);
    ASSERT_EQ(segmenter->next(out.data()), lengths[i]);
    out.resize(lengths[i]);
    EXPECT_EQ(out[33], std::byte{flags[i]});
    EXPECT_EQ(load_be<std::uint32_t>(out.data() + 24), static_cast<std::uint32_t>(0xffffff00 + i * 100));
    EXPECT_EQ(load_be<std::uint16_t>(out.data() + 4), i);
    EXPECT_EQ(load_be<std::uint16_t>(out.data() + 2), lengths[i]);
    EXPECT_TRUE(transport_checksum_good(out, false, true, 20));
    EXPECT_EQ(checksum_fold(checksum_portable(0, nullptr, ByteView(out).first(20))), 0xffff);
  }
  EXPECT_TRUE(segmenter->done());
  EXPECT_EQ(segmenter->next(nullptr), 0u);
}

TEST(Segmenter, Ipv6ExtensionHeadersAreRepeated) {
  PacketSpec spec;
  spec.v6 = true;
  spec.tcp = false;
  spec.payload = Bytes(64, std::byte{9});
  Bytes packet = make_packet(spec);
  const Bytes destination_options = *from_hex("1100010400000000");
  packet[ip::kV6NextHeader] = std::byte{60};
  packet.insert(packet.begin() + 40, destination_options.begin(), destination_options.end());
  auto segmenter = make(gso(VirtioHeader::kGsoUdp, 32, 48, 6), packet);
  ASSERT_TRUE(segmenter);
  ASSERT_EQ(segmenter->count(), 2u);
  Bytes out(segmenter->segment_bytes());
  ASSERT_EQ(segmenter->next(out.data()), 88u);
  EXPECT_TRUE(std::equal(destination_options.begin(), destination_options.end(), out.begin() + 40));
  EXPECT_EQ(load_be<std::uint16_t>(out.data() + 4), 48u);
  EXPECT_EQ(load_be<std::uint16_t>(out.data() + 52), 40u);
  EXPECT_TRUE(transport_checksum_good(out, true, false, 48));
}

TEST(Segmenter, ChecksumLeftToTheDeviceIsCompleted) {
  for (const bool tcp : {false, true}) {
    PacketSpec spec;
    spec.tcp = tcp;
    spec.payload = Bytes(33, std::byte{3});
    const Bytes good = make_packet(spec);
    Bytes partial = good;
    const std::uint16_t offset = tcp ? 16 : 6;
    const ChecksumSum pseudo = checksum_pseudo(checksum_portable(0, nullptr, ip::addresses(good, false)),
                                               tcp ? ip::kTcp : ip::kUdp, static_cast<std::uint32_t>(good.size() - 20));
    store_checksum(partial.data() + 20 + offset, checksum_fold(pseudo));
    auto segmenter = make({VirtioHeader::kNeedsChecksum, 0, 0, 0, 20, offset}, partial);
    ASSERT_TRUE(segmenter);
    Bytes out(segmenter->segment_bytes());
    EXPECT_EQ(segmenter->next(out.data()), good.size());
    EXPECT_EQ(out, good);
  }
}

TEST(Segmenter, PlainPacketIsCopied) {
  const Bytes packet = make_packet({});
  auto segmenter = make({}, packet);
  ASSERT_TRUE(segmenter);
  Bytes out(packet.size());
  EXPECT_EQ(segmenter->next(out.data()), packet.size());
  EXPECT_EQ(out, packet);
  EXPECT_TRUE(segmenter->done());
}

TEST(Segmenter, HeadersThatDoNotFitThePacketAreRefused) {
  PacketSpec spec;
  spec.payload = Bytes(300);
  const Bytes v4 = make_packet(spec);
  spec.v6 = true;
  const Bytes v6 = make_packet(spec);
  const auto tcp4 = VirtioHeader::kGsoTcp4, tcp6 = VirtioHeader::kGsoTcp6, udp = VirtioHeader::kGsoUdp;
  EXPECT_TRUE(make(gso(tcp4, 100, 20, 16), v4));
  EXPECT_TRUE(make(gso(tcp6, 100, 40, 16), v6));
  EXPECT_FALSE(make(gso(tcp6, 100, 20, 16), v4));
  EXPECT_FALSE(make(gso(tcp4, 100, 40, 16), v6));
  EXPECT_FALSE(make(gso(tcp4, 0, 20, 16), v4));
  EXPECT_FALSE(make(gso(tcp4, 100, 24, 16), v4));
  EXPECT_FALSE(make(gso(tcp4, 100, 20, 6), v4));
  EXPECT_FALSE(make(gso(tcp6, 100, 8, 16), v6));
  EXPECT_FALSE(make(gso(tcp6, 100, 65535, 16), v6));
  EXPECT_FALSE(make(gso(udp, 100, 20, 16), v4));
  EXPECT_FALSE(make(gso(3, 100, 20, 16), v4));
  EXPECT_FALSE(make({0, tcp4, 0, 100, 20, 16}, v4));
  EXPECT_FALSE(make({VirtioHeader::kNeedsChecksum, 0, 0, 0, 65535, 65535}, v4));
  EXPECT_FALSE(make({VirtioHeader::kNeedsChecksum, 0, 0, 0, 330, 16}, v4));
  EXPECT_FALSE(make(gso(tcp4, 100, 20, 16), Bytes(v4.begin(), v4.begin() + 40)));  // no payload
  EXPECT_FALSE(make(gso(tcp4, 100, 20, 16), {}));
  EXPECT_FALSE(make({}, {}));
  Bytes short_offset = v4;
  short_offset[32] = std::byte{0x40};
  EXPECT_FALSE(make(gso(tcp4, 100, 20, 16), short_offset));
  Bytes long_offset = Bytes(v4.begin(), v4.begin() + 60);
  long_offset[32] = std::byte{0xf0};
  EXPECT_FALSE(make(gso(tcp4, 100, 20, 16), long_offset));
}

TEST(Segmenter, RandomHeadersNeverReachOutside) {
  SeededRandom random(13);
  for (int round = 0; round < 20000; ++round) {
    Bytes packet(random.below(200));
    random.fill(packet);
    if (!packet.empty()) packet[0] = std::byte{random.below(2) == 0 ? std::uint8_t{0x45} : std::uint8_t{0x60}};
    ByteArray<VirtioHeader::kSize> raw;
    random.fill(raw);
    raw[0] = std::byte{1};
    raw[1] = std::byte{static_cast<std::uint8_t>(random.below(6))};
    raw[3] = raw[5] = raw[7] = raw[9] = std::byte{0};
    if (random.below(2) == 0) raw[6] = std::byte{20};
    raw[8] = std::byte{random.below(2) == 0 ? std::uint8_t{16} : std::uint8_t{6}};
    auto segmenter = make(VirtioHeader::decode(raw), packet);
    if (!segmenter) continue;
    while (!segmenter->done()) {
      Bytes out(segmenter->segment_bytes());  // its end is guarded by the sanitizers
      ASSERT_LE(segmenter->next(out.data()), out.size());
    }
  }
}

}  // namespace
}  // namespace higgs::tunnel

// Coalescer and Segmenter, each the other's inverse.
#include "tunnel/coalescer.h"

#include <numeric>

#include <gtest/gtest.h>

#include "base/random.h"
#include "tunnel/segmenter.h"
#include "tunnel/testing/packets.h"

namespace higgs::tunnel {
namespace {

using testing::make_packet;
using testing::PacketSpec;

struct Written {
  VirtioHeader header;
  Bytes packet;
};

Bytes random_bytes(RandomSource& random, std::size_t length) {
  Bytes bytes(length);
  random.fill(bytes);
  return bytes;
}

std::vector<Written> merge(std::vector<Bytes> packets, Coalescer& coalescer) {
  for (Bytes& packet : packets) coalescer.add(packet);
  std::vector<Written> result;
  coalescer.flush([&](const VirtioHeader& header, std::span<const iovec> parts) {
    Written written{header, {}};
    for (const iovec& part : parts) {
      const auto* bytes = static_cast<const std::byte*>(part.iov_base);
      written.packet.insert(written.packet.end(), bytes, bytes + part.iov_len);
    }
    result.push_back(std::move(written));
  });
  return result;
}

std::vector<Written> merge(std::vector<Bytes> packets) {
  Coalescer coalescer({});
  return merge(std::move(packets), coalescer);
}

std::vector<Bytes> split(const Written& written) {
  auto segmenter = Segmenter::make(written.header, written.packet);
  EXPECT_TRUE(segmenter.has_value());
  std::vector<Bytes> result;
  if (!segmenter) return result;
  while (!segmenter->done()) {
    Bytes out(segmenter->segment_bytes());
    out.resize(segmenter->next(out.data()));
    result.push_back(std::move(out));
  }
  EXPECT_EQ(result.size(), segmenter->count());
  return result;
}

/// `count` segments of one stream, `size` bytes each but for the last.
std::vector<Bytes> stream(RandomSource& random, PacketSpec spec, std::size_t count, std::size_t size,
                          std::size_t last) {
  std::vector<Bytes> packets;
  for (std::size_t i = 0; i < count; ++i) {
    spec.payload = random_bytes(random, i + 1 == count ? last : size);
    packets.push_back(make_packet(spec));
    spec.sequence += static_cast<std::uint32_t>(spec.payload.size());
    ++spec.id;
  }
  return packets;
}

TEST(Coalescer, SplitOfMergeIsIdentity) {
  SeededRandom random(3);
  for (int round = 0; round < 400; ++round) {
    PacketSpec spec;
    spec.v6 = random.below(2) == 0;
    spec.tcp = random.below(2) == 0;
    spec.dont_fragment = random.below(2) == 0;
    spec.sequence = random.u32();  // wraps now and then
    spec.id = static_cast<std::uint16_t>(random.u32());
    spec.tos = static_cast<std::uint8_t>(random.below(4) << 3);
    if (spec.tcp && random.below(2) == 0) spec.options = random_bytes(random, 12);
    const std::size_t size = 1 + random.below(1400);
    const std::size_t count = 2 + random.below(43);
    const auto packets = stream(random, spec, count, size, 1 + random.below(size));
    const auto written = merge(packets);
    ASSERT_EQ(written.size(), 1u) << "round " << round;
    EXPECT_EQ(written[0].header.gso_size, size);
    EXPECT_EQ(split(written[0]), packets);
  }
}

TEST(Coalescer, FlowsAreMergedSideBySideAndEachKeepsItsOrder) {
  SeededRandom random(4);
  PacketSpec a, b;
  b.source_port = 1001;
  const auto first = stream(random, a, 5, 1000, 1000);
  const auto second = stream(random, b, 5, 900, 900);
  std::vector<Bytes> mixed;
  for (std::size_t i = 0; i < 5; ++i) {
    mixed.push_back(first[i]);
    mixed.push_back(second[i]);
  }
  const auto written = merge(mixed);
  ASSERT_EQ(written.size(), 2u);
  EXPECT_EQ(split(written[0]), first);
  EXPECT_EQ(split(written[1]), second);
}

/// What stands between two segments so that they must not merge.
TEST(Coalescer, EveryDifferenceOfHeadersPreventsAMerge) {
  PacketSpec base;
  base.payload = Bytes(100, std::byte{7});
  PacketSpec next = base;
  next.sequence += 100;
  ASSERT_EQ(merge({make_packet(base), make_packet(next)}).size(), 1u);
  const std::vector<std::function<void(PacketSpec&)>> changes = {
      [](PacketSpec& s) { s.sequence += 1; },
      [](PacketSpec& s) { s.sequence -= 100; },
      [](PacketSpec& s) { s.acknowledgement += 1; },
      [](PacketSpec& s) { s.ttl = 63; },
      [](PacketSpec& s) { s.tos = 8; },
      [](PacketSpec& s) { s.flags = 0x11; },
      [](PacketSpec& s) { s.flags = 0x12; },
      [](PacketSpec& s) { s.flags = 0x14; },
      [](PacketSpec& s) { s.flags = 0x30; },
      [](PacketSpec& s) { s.flags = 0x50; },
      [](PacketSpec& s) { s.flags = 0x90; },
      [](PacketSpec& s) { s.dont_fragment = false; },
      [](PacketSpec& s) { s.options = Bytes(4); },
      [](PacketSpec& s) { s.source_port = 5; },
      [](PacketSpec& s) { s.destination_port = 5; },
      [](PacketSpec& s) { s.payload.push_back(std::byte{1}); },
      [](PacketSpec& s) { s.payload.clear(); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    PacketSpec changed = next;
    changes[i](changed);
    const std::vector<Bytes> packets = {make_packet(base), make_packet(changed)};
    const auto written = merge(packets);
    ASSERT_EQ(written.size(), 2u) << "change " << i;
    EXPECT_EQ(written[0].packet, packets[0]);
    EXPECT_EQ(written[1].packet, packets[1]);
    EXPECT_EQ(written[0].header, VirtioHeader{});
  }
}

TEST(Coalescer, PushOrAShortSegmentEndsTheRun) {
  SeededRandom random(5);
  PacketSpec spec;
  auto packets = stream(random, spec, 6, 500, 500);
  packets[2][ip::kV4Header + ip::kTcpFlags] |= ip::kPsh;
  testing::set_transport_checksum(packets[2], false, true, ip::kV4Header);
  auto written = merge(packets);
  ASSERT_EQ(written.size(), 2u);
  EXPECT_EQ(split(written[0]), std::vector<Bytes>(packets.begin(), packets.begin() + 3));
  EXPECT_EQ(split(written[1]), std::vector<Bytes>(packets.begin() + 3, packets.end()));

  auto a = stream(random, spec, 3, 500, 400);
  spec.sequence += 1400;
  spec.id = 3;
  auto b = stream(random, spec, 3, 400, 400);
  a.insert(a.end(), b.begin(), b.end());
  written = merge(a);
  ASSERT_EQ(written.size(), 2u);
  EXPECT_EQ(written[0].header.gso_size, 500);
  EXPECT_EQ(written[1].header.gso_size, 400);
}

TEST(Coalescer, PacketWithoutDataEndsTheRunOfItsFlowOnly) {
  SeededRandom random(6);
  auto packets = stream(random, PacketSpec{}, 4, 500, 500);
  PacketSpec pure_ack;
  pure_ack.sequence = 1001;
  packets.insert(packets.begin() + 2, make_packet(pure_ack));
  const auto written = merge(packets);
  ASSERT_EQ(written.size(), 3u);
  EXPECT_EQ(written[1].packet, packets[2]);
  EXPECT_EQ(split(written[2]).size(), 2u);
}

TEST(Coalescer, BadInnerChecksumsAreNeitherMergedNorMended) {
  SeededRandom random(7);
  for (const bool v6 : {false, true}) {
    for (const bool tcp : {false, true}) {
      for (std::size_t bad = 0; bad < 3; ++bad) {
        PacketSpec spec;
        spec.v6 = v6;
        spec.tcp = tcp;
        auto packets = stream(random, spec, 3, 300, 300);
        packets[bad].back() ^= std::byte{1};
        Coalescer coalescer({});
        bool found = false;
        for (const Written& written : merge(packets, coalescer)) {
          if (written.packet == packets[bad]) {
            found = true;
            EXPECT_EQ(written.header.flags, 0);
          }
        }
        EXPECT_TRUE(found) << "v6 " << v6 << " tcp " << tcp << " bad " << bad;
        EXPECT_EQ(coalescer.counters().bad_checksums, 1u);
      }
    }
  }
  auto packets = stream(random, PacketSpec{}, 2, 300, 300);
  packets[1][ip::kV4Checksum] ^= std::byte{1};
  EXPECT_EQ(merge(packets).size(), 2u);
}

TEST(Coalescer, FragmentsOptionsAndOtherProtocolsPassThrough) {
  SeededRandom random(8);
  auto fragments = stream(random, PacketSpec{}, 2, 300, 300);
  for (auto& packet : fragments) store_be<std::uint16_t>(packet.data() + ip::kV4Fragment, 0x2000);
  EXPECT_EQ(merge(fragments).size(), 2u);
  auto icmp = stream(random, PacketSpec{}, 2, 300, 300);
  for (auto& packet : icmp) packet[ip::kV4Protocol] = std::byte{1};
  EXPECT_EQ(merge(icmp).size(), 2u);
  auto longer = stream(random, PacketSpec{}, 2, 300, 300);
  for (auto& packet : longer) packet[0] = std::byte{0x46};
  EXPECT_EQ(merge(longer).size(), 2u);
  PacketSpec udp;
  udp.tcp = false;
  auto no_checksum = stream(random, udp, 2, 300, 300);
  for (auto& packet : no_checksum) store_checksum(packet.data() + ip::kV4Header + ip::kUdpChecksum, 0);
  EXPECT_EQ(merge(no_checksum).size(), 2u);
}

TEST(Coalescer, ASuperPacketStaysWithinItsLimits) {
  SeededRandom random(9);
  const auto packets = stream(random, PacketSpec{}, 100, 1400, 1400);
  std::vector<Bytes> again;
  for (const Written& written : merge(packets)) {
    EXPECT_LE(written.packet.size(), 65535u);
    for (Bytes& packet : split(written)) again.push_back(std::move(packet));
  }
  EXPECT_EQ(again, packets);
  EXPECT_EQ(merge(stream(random, PacketSpec{}, 100, 10, 10)).size(), 2u);  // 64 segments and the rest
}

TEST(Coalescer, MoreFlowsThanItWatchesAreWrittenUnharmed) {
  SeededRandom random(10);
  std::vector<Bytes> packets;
  for (int turn = 0; turn < 2; ++turn) {
    for (std::uint16_t flow = 0; flow < 100; ++flow) {
      PacketSpec spec;
      spec.source_port = flow;
      spec.sequence = turn == 0 ? 1 : 51;
      spec.payload = random_bytes(random, 50);
      packets.push_back(make_packet(spec));
    }
  }
  std::size_t bytes = 0;
  for (const Written& written : merge(packets)) {
    for (const Bytes& packet : split(written)) bytes += packet.size();
  }
  EXPECT_EQ(bytes, 200u * 90u);
}

TEST(Coalescer, OptionsSwitchMergingOff) {
  SeededRandom random(11);
  PacketSpec udp;
  udp.tcp = false;
  Coalescer no_udp({.tcp = true, .udp = false}), none({.tcp = false, .udp = false});
  EXPECT_EQ(merge(stream(random, udp, 3, 300, 300), no_udp).size(), 3u);
  EXPECT_EQ(merge(stream(random, PacketSpec{}, 3, 300, 300), no_udp).size(), 1u);
  EXPECT_EQ(merge(stream(random, PacketSpec{}, 3, 300, 300), none).size(), 3u);
}

TEST(Coalescer, RandomBytesComeThroughUnchanged) {
  SeededRandom random(12);
  for (int round = 0; round < 2000; ++round) {
    std::vector<Bytes> packets;
    for (int i = 0; i < 3; ++i) {
      Bytes packet = random_bytes(random, random.below(80));
      if (!packet.empty()) packet[0] = std::byte{random.below(2) == 0 ? std::uint8_t{0x45} : std::uint8_t{0x60}};
      if (packet.size() > 9) packet[9] = packet[6] = std::byte{random.below(2) == 0 ? ip::kTcp : ip::kUdp};
      packets.push_back(packet);
    }
    const auto written = merge(packets);
    ASSERT_EQ(written.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(written[i].packet, packets[i]);
  }
}

}  // namespace
}  // namespace higgs::tunnel

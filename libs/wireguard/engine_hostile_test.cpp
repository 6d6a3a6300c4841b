// Peers and strangers that do not play by the rules.
#include <gtest/gtest.h>

#include "wireguard/constants.h"
#include "wireguard/cookies.h"
#include "wireguard/messages.h"
#include "wireguard/testing/engine_fixture.h"

namespace higgs::wireguard {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::EnginePair;
using testing::ip;
using testing::make_packet;
using testing::prefix;
using testing::TestEngine;
using testing::udp;

TEST(HostilePeer, AReplayedInitiationIsDropped) {
  EnginePair pair;
  pair.a.send(pair.now, pair.packet_from_a("x"));
  const Bytes initiation = pair.a.outbox.at(0).bytes;
  pair.exchange();
  const auto indices_before = pair.b.engine.key_pairs();
  pair.now.monotonic += seconds(1);
  pair.b.receive(pair.now, udp("203.0.113.9:9"), initiation);
  EXPECT_TRUE(pair.b.outbox.empty());
  EXPECT_EQ(pair.b.engine.counters().replayed_handshake, 1u);
  EXPECT_EQ(pair.b.engine.key_pairs(), indices_before);
  EXPECT_EQ(pair.b.engine.peer(pair.a.public_key)->address, pair.address_a);
}

TEST(HostilePeer, AnOlderInitiationThatComesLateIsDropped) {
  EnginePair pair;
  pair.a.send(pair.now, pair.packet_from_a("x"));
  const Bytes first = pair.a.take_outbox().at(0).bytes;
  pair.now.monotonic += seconds(6);
  pair.now.wall += seconds(6);
  pair.a.tick(pair.now);
  const Bytes second = pair.a.take_outbox().at(0).bytes;
  pair.b.receive(pair.now, pair.address_a, second);
  pair.now.monotonic += seconds(1);
  pair.b.receive(pair.now, pair.address_a, first);
  EXPECT_EQ(pair.b.outbox.size(), 1u);
  EXPECT_EQ(pair.b.engine.counters().replayed_handshake, 1u);
}

TEST(HostilePeer, ReplayedDataIsDroppedAlsoWithinOneBatch) {
  EnginePair pair;
  pair.connect();
  pair.a.send(pair.now, pair.packet_from_a("once"));
  const Bytes datagram = pair.a.take_outbox().at(0).bytes;
  pair.b.receive(pair.now, pair.address_a, std::vector<Bytes>{datagram, datagram, datagram});
  EXPECT_EQ(pair.b.take_plain().size(), 1u);
  pair.b.receive(pair.now, pair.address_a, datagram);
  EXPECT_TRUE(pair.b.take_plain().empty());
  EXPECT_EQ(pair.b.engine.counters().replayed, 3u);
}

TEST(HostilePeer, SourcesOutsideItsAllowedIpsAreDropped) {
  EnginePair pair;
  pair.connect();
  for (const auto* source : {"10.0.0.2", "10.0.0.3", "0.0.0.0", "127.0.0.1"}) {
    pair.a.send(pair.now, make_packet(ip(source), ip("10.0.0.2"), as_bytes("spoof")));
  }
  pair.a.send(pair.now, make_packet(ip("fd00::3"), ip("fd00::2"), as_bytes("spoof")));
  pair.exchange();
  EXPECT_TRUE(pair.b.take_plain().empty());
  EXPECT_EQ(pair.b.engine.counters().wrong_source, 5u);
  // Also one that belongs to another peer of b.
  TestEngine third(404);
  pair.b.set_peer(pair.now, pair.b.peer_config(third.public_key, {prefix("10.0.0.3/32")}));
  pair.a.send(pair.now, make_packet(ip("10.0.0.3"), ip("10.0.0.2"), as_bytes("spoof")));
  pair.exchange();
  EXPECT_TRUE(pair.b.take_plain().empty());
  EXPECT_EQ(pair.b.engine.counters().wrong_source, 6u);
}

TEST(HostilePeer, InnerPacketsThatLieAboutTheirLengthAreDropped) {
  EnginePair pair;
  pair.connect();
  // encapsulate() refuses such packets too, so the lie is told by an engine to which the bytes mean something else.
  Bytes packet = pair.packet_from_a("12345678");
  pair.a.send(pair.now, packet);
  auto sealed = pair.a.take_outbox().at(0).bytes;
  EXPECT_EQ(sealed.size(), 64u);
  store_be(packet.data() + 2, std::uint16_t{33});
  pair.a.send(pair.now, packet);
  EXPECT_EQ(pair.a.engine.counters().malformed, 1u);
  EXPECT_TRUE(pair.a.outbox.empty());
}

TEST(HostilePeer, TruncatedOversizedAndForeignDatagramsOnlyCount) {
  EnginePair pair;
  pair.a.send(pair.now, pair.packet_from_a("x"));
  const Bytes initiation = pair.a.outbox.at(0).bytes;
  for (std::size_t size = 0; size < initiation.size(); ++size) {
    pair.b.receive(pair.now, pair.address_a, ByteView(initiation).first(size));
  }
  Bytes longer = initiation;
  longer.resize(65535);
  pair.b.receive(pair.now, pair.address_a, longer);
  EXPECT_EQ(pair.b.engine.counters().malformed, initiation.size() + 1);
  SeededRandom random(5);
  for (std::uint32_t type = 0; type < 6; ++type) {
    for (const std::size_t size : {4, 15, 16, 31, 32, 33, 64, 92, 148, 1500}) {
      Bytes noise(size);
      random.fill(noise);
      store_le(noise.data(), type);
      pair.b.receive(pair.now, udp("203.0.113.9:9"), noise);
    }
  }
  EXPECT_TRUE(pair.b.outbox.empty());
  EXPECT_TRUE(pair.b.take_plain().empty());
  pair.exchange();
  EXPECT_EQ(pair.b.take_plain().size(), 1u) << "and the true one still works";
}

TEST(HostilePeer, ForgedResponsesDoNotSpoilTheTrueOne) {
  EnginePair pair;
  pair.a.send(pair.now, pair.packet_from_a("x"));
  pair.b.receive(pair.now, pair.address_a, pair.a.take_outbox().at(0).bytes);
  const Bytes response = pair.b.take_outbox().at(0).bytes;
  Bytes forged = response;
  std::fill_n(forged.begin() + 12, 32, std::byte{0});  // an ephemeral of low order, with a proper mac1
  CookieJar(pair.a.public_key).stamp(pair.now.monotonic, forged);
  pair.a.receive(pair.now, udp("203.0.113.9:9"), forged);
  EXPECT_EQ(pair.a.engine.counters().bad_tag, 1u);
  EXPECT_EQ(pair.a.engine.peer(pair.b.public_key)->address, pair.address_b);
  pair.a.receive(pair.now, pair.address_b, response);
  pair.a.receive(pair.now, pair.address_b, response);
  EXPECT_EQ(pair.a.engine.counters().unknown_receiver, 1u) << "the second time it answers nothing";
  pair.exchange();
  EXPECT_EQ(pair.b.take_plain().size(), 1u);
}

TEST(HostilePeer, PeersWithLowOrderKeysNeverGetASession) {
  EnginePair pair;
  EXPECT_TRUE(pair.a.set_peer(pair.now, pair.a.peer_config(PublicKey{}, {prefix("10.0.0.9/32")}, pair.address_b)));
  pair.a.send(pair.now, make_packet(ip("10.0.0.1"), ip("10.0.0.9"), as_bytes("x")));
  EXPECT_TRUE(pair.a.outbox.empty());
  Bytes forged(kInitiationBytes);
  forged[0] = std::byte{1};
  CookieJar(pair.b.public_key).stamp(pair.now.monotonic, forged);
  pair.b.receive(pair.now, pair.address_a, forged);
  EXPECT_EQ(pair.b.engine.counters().bad_tag, 1u);
  EXPECT_TRUE(pair.b.outbox.empty());
}

TEST(HostilePeer, StrangersAreNotAnswered) {
  EnginePair pair;
  TestEngine stranger(505);
  stranger.set_peer(pair.now, stranger.peer_config(pair.b.public_key, {prefix("0.0.0.0/0")}, pair.address_b));
  stranger.send(pair.now, pair.packet_from_a("x"));
  pair.b.receive(pair.now, udp("203.0.113.9:9"), stranger.take_outbox().at(0).bytes);
  EXPECT_TRUE(pair.b.outbox.empty());
  EXPECT_EQ(pair.b.engine.counters().unknown_initiator, 1u);
  Bytes no_mac(kInitiationBytes);
  no_mac[0] = std::byte{1};
  pair.b.receive(pair.now, udp("203.0.113.9:9"), no_mac);
  EXPECT_EQ(pair.b.engine.counters().bad_mac1, 1u);
}

TEST(HostilePeer, InitiationsOfOnePeerHaveAPace) {
  EnginePair pair;
  TransmitList out;
  std::size_t answers = 0;
  for (int i = 0; i < 100; ++i) {
    pair.now.monotonic += milliseconds(1);
    pair.now.wall += milliseconds(17);
    pair.a.engine.restart_handshake(pair.now, pair.b.public_key, out);
    pair.b.receive(pair.now, pair.address_a, out.at(0).bytes);
    answers += pair.b.take_outbox().size();
    out.clear();
  }
  EXPECT_EQ(answers, 5u) << "one in 20 ms";
  EXPECT_EQ(pair.b.engine.counters().rate_limited, 95u);
}

struct UnderLoad : ::testing::Test {
  static EngineLimits limits() {
    EngineLimits limits;
    limits.under_load_handshakes_per_second = 10;
    return limits;
  }
  EnginePair pair{limits()};

  /// Initiations of strangers, each with a proper mac1.
  void flood(int count) {
    Bytes initiation(kInitiationBytes);
    initiation[0] = std::byte{1};
    CookieJar jar(pair.b.public_key);
    for (int i = 0; i < count; ++i) {
      store_le(initiation.data() + 4, static_cast<std::uint32_t>(i));
      jar.stamp(pair.now.monotonic, initiation);
      pair.b.receive(pair.now, PeerAddress{0, {IpAddress::v4(0x0b000000u + static_cast<std::uint32_t>(i)), 1}},
                     initiation);
    }
  }
};

TEST_F(UnderLoad, AFloodIsAnsweredWithCookiesOnly) {
  flood(1000);
  EXPECT_EQ(pair.b.engine.counters().cookies_sent, 990u);
  EXPECT_EQ(pair.b.engine.counters().bad_tag, 10u) << "only these cost a Diffie-Hellman";
  for (const auto& datagram : pair.b.take_outbox()) EXPECT_EQ(datagram.bytes.size(), kCookieReplyBytes);
}

TEST_F(UnderLoad, AnHonestPeerGetsThroughWithItsCookie) {
  flood(50);
  pair.b.take_outbox();
  pair.a.send(pair.now, pair.packet_from_a("patience"));
  const Bytes first = pair.a.outbox.at(0).bytes;
  EXPECT_TRUE(std::all_of(first.end() - 16, first.end(), [](auto b) { return b == std::byte{0}; }));
  pair.exchange();
  EXPECT_FALSE(pair.a.engine.peer(pair.b.public_key)->has_session);
  const auto cookies_before = pair.b.engine.counters().cookies_sent;
  while (pair.b.take_plain().empty()) {
    ASSERT_LT(pair.now.monotonic, Instant(std::chrono::hours(1)) + seconds(6));
    pair.now.monotonic += milliseconds(100);
    pair.now.wall += milliseconds(100);
    flood(50);
    pair.b.take_outbox();
    pair.a.tick(pair.now);
    for (const auto& datagram : pair.a.take_outbox()) {
      const ByteView mac2 = mac2_of(datagram.bytes);
      EXPECT_TRUE(std::any_of(mac2.begin(), mac2.end(), [](auto b) { return b != std::byte{0}; }));
      pair.b.receive(pair.now, pair.address_a, datagram.bytes);
    }
    pair.exchange();
  }
  EXPECT_GT(pair.b.engine.counters().cookies_sent, cookies_before);
}

TEST_F(UnderLoad, AWrongMac2IsNoBetterThanNone) {
  flood(50);
  pair.b.take_outbox();
  pair.a.send(pair.now, pair.packet_from_a("x"));
  Bytes initiation = pair.a.take_outbox().at(0).bytes;
  std::fill(initiation.end() - 16, initiation.end(), std::byte{7});
  pair.b.receive(pair.now, pair.address_a, initiation);
  EXPECT_EQ(pair.b.engine.counters().bad_mac2, 1u);
  ASSERT_EQ(pair.b.outbox.size(), 1u);
  EXPECT_EQ(message_type(pair.b.outbox[0].bytes), MessageType::kCookieReply);
  EXPECT_EQ(pair.b.engine.key_pairs(), 0u);
}

TEST_F(UnderLoad, ACookieForOneAddressIsNoneForAnotherAndHasARate) {
  flood(50);
  pair.b.take_outbox();
  CookieJar jar(pair.b.public_key);
  Bytes initiation(kInitiationBytes);
  initiation[0] = std::byte{1};
  jar.stamp(pair.now.monotonic, initiation);
  pair.b.receive(pair.now, udp("203.0.113.9:9"), initiation);
  ASSERT_TRUE(jar.accept(pair.now.monotonic, *parse_cookie_reply(pair.b.take_outbox().at(0).bytes)));
  jar.stamp(pair.now.monotonic, initiation);
  pair.b.receive(pair.now, udp("203.0.113.10:9"), initiation);
  EXPECT_EQ(pair.b.engine.counters().bad_mac2, 1u);
  const auto processed = pair.b.engine.counters().bad_tag;
  for (int i = 0; i < 20; ++i) pair.b.receive(pair.now, udp("203.0.113.9:9"), initiation);
  EXPECT_EQ(pair.b.engine.counters().bad_tag, processed + kHandshakeBurstPerSource);
  EXPECT_EQ(pair.b.engine.counters().rate_limited, 20 - kHandshakeBurstPerSource);
}

TEST_F(UnderLoad, ItPasses) {
  flood(50);
  pair.b.take_outbox();
  pair.now.monotonic += seconds(2);
  pair.a.send(pair.now, pair.packet_from_a("x"));
  pair.exchange();
  EXPECT_EQ(pair.b.take_plain().size(), 1u);
}

}  // namespace
}  // namespace higgs::wireguard

#include "wireguard/engine.h"

#include <set>

#include <gtest/gtest.h>

#include "wireguard/constants.h"
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

std::string text_of(const testing::Plain& plain) { return std::string(as_text(testing::payload_of(plain.bytes))); }
std::size_t count_of(const std::vector<testing::Datagram>& datagrams, MessageType type) {
  return static_cast<std::size_t>(std::count_if(datagrams.begin(), datagrams.end(),
                                                [&](const auto& one) { return message_type(one.bytes) == type; }));
}

TEST(Engine, FirstPacketStartsAHandshakeAndArrives) {
  EnginePair pair;
  pair.a.send(pair.now, pair.packet_from_a("one"));
  pair.a.send(pair.now, pair.packet_from_a("two"));
  ASSERT_EQ(pair.a.outbox.size(), 1u);
  EXPECT_EQ(message_type(pair.a.outbox[0].bytes), MessageType::kInitiation);
  EXPECT_EQ(pair.a.outbox[0].to, pair.address_b);
  pair.exchange();
  const auto plain = pair.b.take_plain();
  ASSERT_EQ(plain.size(), 2u);
  EXPECT_EQ(text_of(plain[0]), "one");
  EXPECT_EQ(text_of(plain[1]), "two");
  EXPECT_EQ(plain[0].peer, pair.a.public_key);
  EXPECT_EQ(plain[0].bytes, pair.packet_from_a("one")) << "padding is cut off";
  EXPECT_TRUE(pair.a.engine.peer(pair.b.public_key)->has_session);
  EXPECT_TRUE(pair.b.engine.peer(pair.a.public_key)->has_session);
  EXPECT_EQ(pair.b.engine.peer(pair.a.public_key)->last_handshake, pair.now.wall);
}

TEST(Engine, BothFamiliesBothWaysInOrder) {
  EnginePair pair;
  pair.connect();
  std::vector<Bytes> packets;
  for (int i = 0; i < 300; ++i) {
    const std::string text = std::to_string(i) + std::string(static_cast<std::size_t>(i), 'x');
    packets.push_back(i % 2 == 0 ? pair.packet_from_b(text)
                                 : make_packet(ip("fd00::2"), ip("fd00::1"), as_bytes(text)));
  }
  pair.b.send(pair.now, packets);
  EXPECT_EQ(pair.b.outbox.size(), 300u);
  std::vector<Bytes> datagrams;
  for (auto& datagram : pair.b.take_outbox()) datagrams.push_back(std::move(datagram.bytes));
  pair.a.receive(pair.now, pair.address_b, datagrams);
  const auto plain = pair.a.take_plain();
  ASSERT_EQ(plain.size(), 300u);
  for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_EQ(plain[i].bytes, packets[i]);
}

TEST(Engine, PaddingIsSixteenButNeverAboveTheMtu) {
  EnginePair pair;
  pair.connect();
  pair.a.mtu = 100;
  for (const auto& [payload, expected] :
       std::vector<std::pair<std::size_t, std::size_t>>{{0, 32}, {12, 32}, {13, 48}, {76, 96}, {77, 100}, {80, 100}}) {
    pair.a.send(pair.now, make_packet(ip("10.0.0.1"), ip("10.0.0.2"), Bytes(payload)));
    ASSERT_EQ(pair.a.outbox.size(), 1u);
    EXPECT_EQ(pair.a.outbox[0].bytes.size(), expected + 32) << payload;
    pair.exchange();
    EXPECT_EQ(pair.b.take_plain().at(0).bytes.size(), payload + 20);
  }
}

/// Two packets under one key and one counter would give each other away.
TEST(Engine, NoCounterIsUsedTwiceWhateverTheBatches) {
  EnginePair pair;
  pair.connect();
  std::set<std::uint64_t> counters;
  std::size_t sent = 0;
  for (const std::size_t batch : {3u, 1u, 64u, 2u, 1u}) {
    pair.a.send(pair.now, std::vector<Bytes>(batch, pair.packet_from_a("x")));
    for (const auto& datagram : pair.a.take_outbox()) {
      counters.insert(data_counter(datagram.bytes.data()));
      pair.b.receive(pair.now, pair.address_a, datagram.bytes);
      ++sent;
    }
  }
  EXPECT_EQ(sent, 71u);
  EXPECT_EQ(counters.size(), sent);
  EXPECT_EQ(pair.b.take_plain().size(), sent);
  EXPECT_EQ(pair.b.engine.counters().replayed, 0u);
}

TEST(Engine, SealsInPlace) {
  EnginePair pair;
  pair.connect();
  const Bytes packet = pair.packet_from_a("in place");
  Bytes memory(200);
  std::copy(packet.begin(), packet.end(), memory.begin() + 40);
  PacketBuffer buffer{memory.data(), 200, 40, static_cast<std::uint32_t>(packet.size())};
  TransmitList out;
  pair.a.engine.encapsulate(pair.now, {&buffer, 1}, 1420, out);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].bytes.data(), memory.data() + 40 - kTransportHeaderBytes);
  EXPECT_EQ(buffer.offset, 40 - kTransportHeaderBytes);
  EXPECT_EQ(buffer.length, out[0].bytes.size());
  pair.b.receive(pair.now, pair.address_a, out[0].bytes);
  EXPECT_EQ(pair.b.take_plain().at(0).bytes, packet);
}

TEST(Engine, OneRunSplitsOverPeersAndSkipsWhatBelongsToNone) {
  EnginePair pair;
  pair.connect();
  TestEngine third(303);
  third.set_peer(pair.now, third.peer_config(pair.a.public_key, {prefix("10.0.0.1/32")}, pair.address_a));
  pair.a.set_peer(pair.now, pair.a.peer_config(third.public_key, {prefix("10.0.0.3/32")}, udp("192.0.2.3:1003")));
  const Bytes to_b = pair.packet_from_a("b");
  const Bytes to_third = make_packet(ip("10.0.0.1"), ip("10.0.0.3"), as_bytes("third"));
  const Bytes to_nobody = make_packet(ip("10.0.0.1"), ip("10.9.9.9"), as_bytes("nobody"));
  pair.a.send(pair.now, {to_b, to_b, to_nobody, to_third, Bytes(7), to_b, to_third});
  EXPECT_EQ(pair.a.engine.counters().no_peer, 1u);
  EXPECT_EQ(pair.a.engine.counters().malformed, 1u);
  const auto outbox = pair.a.take_outbox();
  EXPECT_EQ(count_of(outbox, MessageType::kData), 3u);
  EXPECT_EQ(count_of(outbox, MessageType::kInitiation), 1u);
  for (const auto& datagram : outbox) {
    const bool for_third = datagram.to == udp("192.0.2.3:1003");
    EXPECT_EQ(message_type(datagram.bytes) == MessageType::kInitiation, for_third);
    if (for_third) third.receive(pair.now, pair.address_a, datagram.bytes);
  }
  for (const auto& datagram : third.take_outbox()) pair.a.receive(pair.now, udp("192.0.2.3:1003"), datagram.bytes);
  for (const auto& datagram : pair.a.take_outbox()) third.receive(pair.now, pair.address_a, datagram.bytes);
  EXPECT_EQ(third.take_plain().size(), 2u);
}

TEST(Engine, CrossedInitiationsBothSucceed) {
  EnginePair pair;
  pair.a.send(pair.now, pair.packet_from_a("from a"));
  pair.b.send(pair.now, pair.packet_from_b("from b"));
  pair.exchange();
  EXPECT_EQ(text_of(pair.a.take_plain().at(0)), "from b");
  EXPECT_EQ(text_of(pair.b.take_plain().at(0)), "from a");
}

TEST(Engine, RoamsToWhereAuthenticatedPacketsComeFrom) {
  EnginePair pair;
  pair.connect();
  pair.a.send(pair.now, pair.packet_from_a("moved"));
  const auto datagram = pair.a.take_outbox().at(0);
  Bytes forged = datagram.bytes;
  forged.back() ^= std::byte{1};
  pair.b.receive(pair.now, udp("203.0.113.66:6"), forged);
  EXPECT_EQ(pair.b.engine.peer(pair.a.public_key)->address, pair.address_a);
  pair.b.receive(pair.now, PeerAddress{7, {}}, datagram.bytes);
  EXPECT_EQ(pair.b.engine.peer(pair.a.public_key)->address, (PeerAddress{7, {}}));
  pair.b.receive(pair.now, udp("203.0.113.66:6"), datagram.bytes);  // a replay proves nothing
  EXPECT_EQ(pair.b.engine.peer(pair.a.public_key)->address, (PeerAddress{7, {}}));
  pair.b.engine.set_peer_address(pair.a.public_key, pair.address_a);
  pair.b.send(pair.now, pair.packet_from_b("x"));
  EXPECT_EQ(pair.b.take_outbox().at(0).to, pair.address_a);
}

TEST(Engine, WaitsForAnAddressAndGoesOnAtOnceWhenItHasOne) {
  EnginePair pair;
  pair.a.engine.remove_peer(pair.b.public_key);
  pair.a.set_peer(pair.now, pair.a.peer_config(pair.b.public_key, {prefix("10.0.0.2/32")}));
  pair.a.send(pair.now, pair.packet_from_a("patience"));
  EXPECT_TRUE(pair.a.outbox.empty());
  pair.a.engine.set_peer_address(pair.b.public_key, pair.address_b);
  EXPECT_LE(pair.a.engine.poll_timeout(), pair.now.monotonic);
  pair.a.tick(pair.now);
  pair.exchange();
  EXPECT_EQ(text_of(pair.b.take_plain().at(0)), "patience");
}

TEST(Engine, StagedPacketsAreBoundedOldestGoFirst) {
  EngineLimits limits;
  limits.staged_packets_per_peer = 3;
  EnginePair pair(limits);
  for (const auto* text : {"1", "2", "3", "4", "5"}) pair.a.send(pair.now, pair.packet_from_a(text));
  EXPECT_EQ(pair.a.engine.counters().staged_dropped, 2u);
  pair.exchange();
  const auto plain = pair.b.take_plain();
  ASSERT_EQ(plain.size(), 3u);
  EXPECT_EQ(text_of(plain[0]), "3");
  EXPECT_EQ(text_of(plain[2]), "5");
}

TEST(Engine, PresharedKeysMustAgree) {
  EnginePair pair;
  PeerConfig config = pair.a.peer_config(pair.b.public_key, {});
  PresharedKey key;
  pair.a.random.fill(key.reveal_mutable());
  config.preshared_key = key;
  pair.a.set_peer(pair.now, config);
  pair.a.send(pair.now, pair.packet_from_a("x"));
  pair.exchange();
  EXPECT_TRUE(pair.b.take_plain().empty());
  EXPECT_EQ(pair.a.engine.counters().bad_tag, 1u);
  config = pair.b.peer_config(pair.a.public_key, {});
  config.preshared_key = key;
  pair.b.set_peer(pair.now, config);
  pair.advance(seconds(6));
  EXPECT_EQ(pair.b.take_plain().size(), 1u);
  EXPECT_TRUE(pair.b.engine.peer(pair.a.public_key)->preshared_key == key);
}

TEST(Engine, ConfigurationIsReportedAndBounded) {
  EngineLimits limits;
  limits.peers = 2;
  limits.allowed_ips_per_peer = 3;
  EnginePair pair(limits);
  SeededRandom random(1);
  const auto key = [&] { return crypto::public_key_of(crypto::make_private_key(random)); };
  const PublicKey other = key();
  PeerConfig config = pair.a.peer_config(other, {prefix("10.0.0.2/32"), prefix("10.7.0.0/16")});
  EXPECT_TRUE(pair.a.set_peer(pair.now, config));
  EXPECT_EQ(pair.a.engine.peer(other)->allowed_ips.size(), 2u);
  EXPECT_EQ(pair.a.engine.peer(pair.b.public_key)->allowed_ips, std::vector{prefix("fd00::2/128")}) << "one moved";
  EXPECT_FALSE(pair.a.set_peer(pair.now, pair.a.peer_config(key(), {}))) << "a third peer";
  EXPECT_EQ(pair.a.engine.peers().size(), 2u);

  config.allowed_ips = {prefix("10.8.0.0/16"), prefix("10.9.0.0/16")};
  EXPECT_FALSE(pair.a.set_peer(pair.now, config)) << "a fourth prefix";
  EXPECT_EQ(pair.a.engine.peer(other)->allowed_ips.size(), 2u);
  config.remove_allowed_ips = {prefix("10.7.0.0/16"), prefix("fd00::2/128")};
  EXPECT_TRUE(pair.a.set_peer(pair.now, config));
  EXPECT_EQ(pair.a.engine.peer(pair.b.public_key)->allowed_ips.size(), 1u) << "only one's own can be removed";
  config.replace_allowed_ips = true;
  config.remove_allowed_ips.clear();
  config.allowed_ips = {prefix("10.1.0.0/16")};
  EXPECT_TRUE(pair.a.set_peer(pair.now, config));
  EXPECT_EQ(pair.a.engine.peer(other)->allowed_ips, config.allowed_ips);

  TransmitList out;
  EXPECT_TRUE(pair.a.engine.set_peer(pair.now, pair.a.peer_config(key(), {}), true, out)) << "update of nobody";
  EXPECT_EQ(pair.a.engine.peers().size(), 2u);
  pair.a.engine.remove_all_peers();
  EXPECT_TRUE(pair.a.engine.peers().empty());
  EXPECT_FALSE(pair.a.engine.poll_timeout());
}

TEST(Engine, RemovingAPeerInMidSessionIsClean) {
  EnginePair pair;
  pair.connect();
  pair.a.send(pair.now, pair.packet_from_a("late"));
  pair.b.engine.remove_peer(pair.a.public_key);
  pair.exchange();
  EXPECT_TRUE(pair.b.take_plain().empty());
  EXPECT_EQ(pair.b.engine.counters().unknown_receiver, 1u);
  EXPECT_EQ(pair.b.engine.key_pairs(), 0u);
}

TEST(Engine, AnotherPrivateKeyEndsAllSessions) {
  EnginePair pair;
  pair.connect();
  pair.a.engine.set_private_key(pair.now, pair.a.private_key);
  EXPECT_TRUE(pair.a.engine.peer(pair.b.public_key)->has_session) << "the same key changes nothing";
  pair.a.engine.set_private_key(pair.now, pair.b.private_key);
  EXPECT_FALSE(pair.a.engine.peer(pair.b.public_key)) << "we are that peer now";
  pair.b.engine.set_private_key(pair.now, PrivateKey());
  EXPECT_EQ(pair.b.engine.key_pairs(), 0u);
  pair.b.send(pair.now, pair.packet_from_b("x"));
  EXPECT_TRUE(pair.b.outbox.empty());
}

TEST(Engine, DownErasesSessionsAndIsSilent) {
  EnginePair pair;
  pair.connect();
  TransmitList out;
  pair.a.engine.set_up(pair.now, false, out);
  EXPECT_EQ(pair.a.engine.key_pairs(), 0u);
  EXPECT_FALSE(pair.a.engine.poll_timeout());
  pair.a.send(pair.now, pair.packet_from_a("x"));
  EXPECT_TRUE(pair.a.outbox.empty());
  pair.a.engine.set_up(pair.now, true, out);
  EXPECT_TRUE(out.empty()) << "no persistent keepalive is set";
  pair.advance(milliseconds(20));  // sooner the far end would take the second initiation for a flood
  pair.a.send(pair.now, pair.packet_from_a("again"));
  pair.exchange();
  EXPECT_EQ(text_of(pair.b.take_plain().at(0)), "again");
}

TEST(Engine, RestartForgetsTheSessionAndMakesAnother) {
  EnginePair pair;
  pair.connect();
  TransmitList out;
  pair.a.engine.restart_handshake(pair.now, pair.b.public_key, out);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(message_type(out[0].bytes), MessageType::kInitiation);
  EXPECT_EQ(pair.a.engine.key_pairs(), 0u);
  pair.a.collect(out);
  // Under 20 ms after the first initiation the far end takes a second for a flood.
  pair.now.monotonic += milliseconds(20);
  pair.exchange();
  EXPECT_TRUE(pair.a.engine.peer(pair.b.public_key)->has_session);
}

TEST(Engine, ByteCountersCountUdpPayload) {
  EnginePair pair;
  pair.a.send(pair.now, pair.packet_from_a(std::string(12, 'x')));
  pair.exchange();
  const auto a = *pair.a.engine.peer(pair.b.public_key);
  const auto b = *pair.b.engine.peer(pair.a.public_key);
  EXPECT_EQ(a.sent_bytes, kInitiationBytes + 64);
  EXPECT_EQ(a.received_bytes, kResponseBytes);
  EXPECT_EQ(b.sent_bytes, a.received_bytes);
  EXPECT_EQ(b.received_bytes, a.sent_bytes);
}

}  // namespace
}  // namespace higgs::wireguard

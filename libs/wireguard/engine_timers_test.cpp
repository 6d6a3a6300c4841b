// The timers of the paper's section 6 as two engines show them to the outside.
#include <gtest/gtest.h>

#include "wireguard/constants.h"
#include "wireguard/messages.h"
#include "wireguard/testing/engine_fixture.h"

namespace higgs::wireguard {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::EnginePair;

std::uint64_t handshakes(const EnginePair& pair) {
  return pair.a.engine.counters().handshakes_started + pair.b.engine.counters().handshakes_started;
}

TEST(EngineTimers, InitiatorRekeysByAgeWhenItSends) {
  EnginePair pair;
  pair.connect();
  for (int second = 1; second < 120; ++second) {
    pair.advance(seconds(1));
    pair.a.send(pair.now, pair.packet_from_a("x"));
    pair.b.send(pair.now, pair.packet_from_b("y"));
    pair.exchange();
  }
  EXPECT_EQ(handshakes(pair), 1u);
  pair.advance(seconds(1));
  pair.b.send(pair.now, pair.packet_from_b("y"));
  pair.exchange();
  EXPECT_EQ(handshakes(pair), 1u) << "the responder does not rekey by age";
  pair.a.send(pair.now, pair.packet_from_a("x"));
  pair.exchange();
  EXPECT_EQ(pair.a.engine.counters().handshakes_started, 2u);
  EXPECT_EQ(pair.b.engine.counters().handshakes_started, 0u);
  EXPECT_EQ(pair.b.engine.counters().handshakes_completed, 2u);
}

TEST(EngineTimers, InitiatorThatOnlyReceivesRekeysBeforeTheEnd) {
  EnginePair pair;
  pair.connect();
  // Keepalives answer what b sends, but they are sent at times that may be before 120 s only.
  pair.advance(seconds(119));
  const auto sent_before = handshakes(pair);
  pair.now.monotonic += seconds(45);  // 164 s
  pair.b.send(pair.now, pair.packet_from_b("y"));
  for (auto& datagram : pair.b.take_outbox()) pair.a.receive(pair.now, pair.address_b, datagram.bytes);
  EXPECT_EQ(handshakes(pair), sent_before);
  pair.now.monotonic += seconds(1);
  pair.b.send(pair.now, pair.packet_from_b("y"));
  for (auto& datagram : pair.b.take_outbox()) pair.a.receive(pair.now, pair.address_b, datagram.bytes);
  EXPECT_EQ(handshakes(pair), sent_before + 1);
}

TEST(EngineTimers, SessionsExpireAndKeysAreErased) {
  EnginePair pair;
  pair.connect();
  pair.advance(kRejectAfterTime - seconds(1), false);
  EXPECT_TRUE(pair.b.engine.peer(pair.a.public_key)->has_session);
  pair.advance(seconds(1), false);
  EXPECT_FALSE(pair.b.engine.peer(pair.a.public_key)->has_session);
  EXPECT_FALSE(pair.a.engine.peer(pair.b.public_key)->has_session);
  EXPECT_GT(pair.a.engine.key_pairs() + pair.b.engine.key_pairs(), 0u);
  pair.advance(kEraseKeysAfterTime - kRejectAfterTime - seconds(1), false);
  EXPECT_GT(pair.a.engine.key_pairs() + pair.b.engine.key_pairs(), 0u);
  pair.advance(seconds(2), false);
  EXPECT_EQ(pair.a.engine.key_pairs() + pair.b.engine.key_pairs(), 0u);
}

TEST(EngineTimers, ExpiredKeysReceiveNothing) {
  EnginePair pair;
  pair.connect();
  pair.a.send(pair.now, pair.packet_from_a("x"));
  const auto datagram = pair.a.take_outbox().at(0);
  pair.now.monotonic += kRejectAfterTime;
  pair.b.receive(pair.now, pair.address_a, datagram.bytes);
  EXPECT_TRUE(pair.b.take_plain().empty());
  EXPECT_EQ(pair.b.engine.counters().expired, 1u);
}

TEST(EngineTimers, KeepaliveAnswersDataThatNobodyAnswers) {
  EnginePair pair;
  pair.connect();
  pair.advance(seconds(30));
  pair.a.send(pair.now, pair.packet_from_a("x"));
  pair.exchange();
  const auto before = pair.b.engine.peer(pair.a.public_key)->sent_bytes;
  pair.advance(kKeepaliveTimeout - milliseconds(1));
  EXPECT_EQ(pair.b.engine.peer(pair.a.public_key)->sent_bytes, before);
  pair.advance(milliseconds(1));
  EXPECT_EQ(pair.b.engine.peer(pair.a.public_key)->sent_bytes, before + kMinDataBytes);
  pair.advance(seconds(60));
  EXPECT_EQ(pair.b.engine.peer(pair.a.public_key)->sent_bytes, before + kMinDataBytes) << "keepalives are not answered";
  EXPECT_EQ(handshakes(pair), 1u);
}

TEST(EngineTimers, SilenceAfterDataMeansANewHandshake) {
  EnginePair pair;
  pair.connect();
  pair.a.send(pair.now, pair.packet_from_a("x"));
  pair.a.take_outbox();  // lost
  pair.advance(kKeepaliveTimeout + kRekeyTimeout - milliseconds(1), false);
  EXPECT_EQ(pair.a.engine.counters().handshakes_started, 1u);
  pair.advance(milliseconds(1) + kMaxRetransmitJitter, false);
  EXPECT_EQ(pair.a.engine.counters().handshakes_started, 2u);
}

TEST(EngineTimers, RetriesGiveUpAfterNinetySecondsAndNewTrafficStartsAgain) {
  EnginePair pair;
  pair.a.send(pair.now, pair.packet_from_a("x"));
  pair.advance(kRekeyAttemptTime, false);
  EXPECT_EQ(pair.a.engine.counters().handshakes_given_up, 0u);
  EXPECT_GE(pair.dropped_a, 17u);
  EXPECT_LE(pair.dropped_a, 19u);
  pair.advance(kRekeyTimeout + 20 * kMaxRetransmitJitter, false);
  EXPECT_EQ(pair.a.engine.counters().handshakes_given_up, 1u);
  EXPECT_EQ(pair.a.engine.counters().staged_dropped, 1u);
  const auto sent = pair.dropped_a;
  pair.advance(minutes(30), false);
  EXPECT_EQ(pair.dropped_a, sent) << "nothing more without traffic";
  EXPECT_FALSE(pair.a.engine.poll_timeout()) << "no timer is left";
  pair.a.send(pair.now, pair.packet_from_a("again"));
  pair.exchange();
  EXPECT_EQ(pair.b.take_plain().size(), 1u);
}

TEST(EngineTimers, RetransmissionsAreSpreadByJitter) {
  EnginePair pair;
  pair.a.send(pair.now, pair.packet_from_a("x"));
  pair.a.take_outbox();
  std::set<std::chrono::nanoseconds> waits;
  for (int i = 0; i < 10; ++i) {
    const auto wait = *pair.a.engine.poll_timeout() - pair.now.monotonic;
    EXPECT_GE(wait, kRekeyTimeout);
    EXPECT_LE(wait, kRekeyTimeout + kMaxRetransmitJitter);
    waits.insert(wait);
    pair.now.monotonic += wait;
    pair.a.tick(pair.now);
    EXPECT_EQ(pair.a.take_outbox().size(), 1u);
  }
  EXPECT_GT(waits.size(), 5u);
}

TEST(EngineTimers, PersistentKeepaliveHoldsTheSessionWithoutTraffic) {
  EnginePair pair;
  PeerConfig config = pair.a.peer_config(pair.b.public_key, {});
  config.persistent_keepalive = seconds(25);
  pair.a.set_peer(pair.now, config);
  EXPECT_EQ(pair.a.outbox.size(), 1u) << "turning it on sends at once";
  pair.advance(minutes(30));
  EXPECT_TRUE(pair.a.engine.peer(pair.b.public_key)->has_session);
  EXPECT_TRUE(pair.b.engine.peer(pair.a.public_key)->has_session);
  EXPECT_EQ(pair.b.engine.counters().received_packets, 0u);
  EXPECT_EQ(pair.b.engine.counters().handshakes_started, 0u);
  config.persistent_keepalive = seconds(0);
  pair.a.set_peer(pair.now, config);
  pair.advance(minutes(30));
  EXPECT_EQ(pair.a.engine.key_pairs(), 0u);
  EXPECT_FALSE(pair.a.engine.poll_timeout());
}

TEST(EngineTimers, PersistentKeepaliveTriesForeverAlsoWithoutAnAddress) {
  EnginePair pair;
  pair.a.engine.remove_peer(pair.b.public_key);
  PeerConfig config = pair.a.peer_config(pair.b.public_key, {testing::prefix("10.0.0.2/32")});
  config.persistent_keepalive = seconds(25);
  pair.a.set_peer(pair.now, config);
  pair.advance(minutes(30));
  EXPECT_FALSE(pair.b.engine.peer(pair.a.public_key)->has_session);
  pair.a.engine.set_peer_address(pair.b.public_key, pair.address_b);
  pair.advance(seconds(30));
  EXPECT_TRUE(pair.b.engine.peer(pair.a.public_key)->has_session);
}

TEST(EngineTimers, AClockSetBackLocksNobodyOut) {
  EnginePair pair;
  pair.connect();
  pair.now.wall -= std::chrono::hours(24);
  pair.now.monotonic += kRejectAfterTime + seconds(20);
  pair.a.send(pair.now, pair.packet_from_a("still here"));
  pair.exchange();
  EXPECT_EQ(pair.b.take_plain().size(), 1u);
  EXPECT_EQ(pair.b.engine.counters().replayed_handshake, 0u);
}

}  // namespace
}  // namespace higgs::wireguard

#include "turn/turn_client.h"

#include <gtest/gtest.h>

#include "turn/testing/client_world.h"

namespace higgs::turn {
namespace {

using namespace testing;
using namespace std::chrono_literals;

TEST_F(TurnClientTest, AllocatesWithTheNonceOfThe401) {
  make();
  EXPECT_EQ(client->state(), ClientState::kAllocating);
  EXPECT_FALSE(client->relayed());
  exchange();
  EXPECT_EQ(sent, 2u);
  EXPECT_EQ(client->state(), ClientState::kAllocated);
  EXPECT_EQ(client->relayed(), kRelayed);
  EXPECT_EQ(client->mapped(), kMapped);
  EXPECT_FALSE(server.family);
}

TEST_F(TurnClientTest, AsksForIpv6) {
  make(true);
  exchange();
  EXPECT_EQ(server.family, 0x02000000u);
}

TEST_F(TurnClientTest, ALostRequestIsRepeated) {
  unsigned lost = 0;
  drop = [&](ByteView) { return ++lost <= 2; };
  make();
  exchange();
  EXPECT_EQ(client->state(), ClientState::kAllocating);
  advance(1s);
  EXPECT_EQ(client->state(), ClientState::kAllocated);
}

TEST_F(TurnClientTest, ALostAnswerIsRepeatedUnderTheSameTransaction) {
  bool lose = true;
  mangle = [&](Bytes& answer) {
    if (stun::parse(answer)->message_class == MessageClass::kSuccess && std::exchange(lose, false)) answer.clear();
  };
  make();
  exchange();
  advance(1s);
  EXPECT_EQ(client->state(), ClientState::kAllocated);
  EXPECT_EQ(server.repeated, 1u);
}

TEST_F(TurnClientTest, AServerThatNeverAnswersIsGivenUp) {
  server.silent = true;
  make();
  exchange();
  advance(15s);
  EXPECT_EQ(client->state(), ClientState::kAllocating);
  advance(10s);
  EXPECT_EQ(client->state(), ClientState::kFailed);
  EXPECT_EQ(client->error(), 0u);
  EXPECT_EQ(sent, 7u);
  EXPECT_FALSE(client->poll_timeout());
}

TEST_F(TurnClientTest, AWrongPasswordEndsItAtOnce) {
  server.password = "another";
  make();
  exchange();
  EXPECT_EQ(client->state(), ClientState::kFailed);
  EXPECT_EQ(client->error(), 401u);
  EXPECT_EQ(sent, 2u);
}

TEST_F(TurnClientTest, QuotaAndCapacityAreTold) {
  for (const unsigned code : {486u, 508u, 442u, 300u}) {
    server.refuse = {{stun::kAllocateMethod, code}};
    server.sign_errors = code != 508;
    make();
    exchange();
    EXPECT_EQ(client->state(), ClientState::kFailed);
    EXPECT_EQ(client->error(), code);
  }
}

TEST_F(TurnClientTest, AnAllocationOfAnEarlierRunIsDeletedFirst) {
  server.refuse = {{stun::kAllocateMethod, 437}};
  drop = [&](ByteView request) {
    if (stun::parse(request)->method == stun::kRefreshMethod) server.refuse.clear();
    return false;
  };
  make();
  exchange();
  EXPECT_EQ(client->state(), ClientState::kAllocated);
  EXPECT_EQ(server.refresh_lifetimes, std::vector<std::uint32_t>{0});
}

TEST_F(TurnClientTest, AnAllocationThatCannotBeDeletedEndsIt) {
  server.refuse = {{stun::kAllocateMethod, 437}};
  make();
  exchange();
  EXPECT_EQ(client->state(), ClientState::kFailed);
  EXPECT_EQ(client->error(), 437u);
  EXPECT_EQ(server.count(stun::kRefreshMethod), 1u);
}

TEST_F(TurnClientTest, StaleNoncesAreFollowedButNotForEver) {
  make_allocated();
  server.nonce = "n2";
  ASSERT_TRUE(client->add_peer(now, kPeer));
  exchange();
  EXPECT_TRUE(client->ready(kPeer));
  EXPECT_EQ(server.nonce, "n2");

  unsigned serial = 0;
  drop = [&](ByteView) {
    server.nonce = "m" + std::to_string(++serial);
    return false;
  };
  client->verify(now);
  exchange();
  EXPECT_EQ(client->state(), ClientState::kFailed);
  EXPECT_EQ(client->error(), 438u);
  EXPECT_LT(serial, 10u);
}

TEST_F(TurnClientTest, ForgedAnswersAreNotBelieved) {
  // A success whose integrity is of another key, or that has none.
  mangle = [&](Bytes& answer) {
    const auto message = stun::parse(answer);
    if (message->message_class != MessageClass::kSuccess) return;
    ByteArray<512> buffer;
    stun::MessageBuilder builder(buffer, MessageClass::kSuccess, message->method, message->transaction);
    builder.add_xor_address(AttributeType::kXorRelayedAddress, kOther).add_u32(AttributeType::kLifetime, 600);
    if (sent % 2 == 0) builder.add_message_integrity(stun::IntegrityKey::long_term_md5("user", "higgs", "guess"));
    answer = to_bytes(builder.finish());
  };
  make();
  exchange();
  advance(1s);
  EXPECT_EQ(client->state(), ClientState::kAllocating);
  mangle = nullptr;
  advance(3s);
  EXPECT_EQ(client->state(), ClientState::kAllocated);
  EXPECT_EQ(client->relayed(), kRelayed);
}

TEST_F(TurnClientTest, AnErrorWithBadIntegrityIsNotBelieved) {
  make_allocated();
  server.refuse = {{stun::kRefreshMethod, 437}};
  const auto right = server.key();
  mangle = [&](Bytes& answer) { answer.back() ^= std::byte{1}; };
  client->verify(now);
  exchange();
  EXPECT_EQ(client->state(), ClientState::kAllocated);
}

TEST_F(TurnClientTest, ASuccessWithoutAuthenticationIsNotBelieved) {
  make();
  const auto request = stun::parse(*client->poll_transmit());
  ByteArray<512> buffer;
  stun::MessageBuilder builder(buffer, MessageClass::kSuccess, stun::kAllocateMethod, request->transaction);
  builder.add_xor_address(AttributeType::kXorRelayedAddress, kOther).add_u32(AttributeType::kLifetime, 600);
  Bytes answer = to_bytes(builder.finish());
  client->handle_packet(now, answer);
  EXPECT_EQ(client->state(), ClientState::kAllocating);
}

TEST_F(TurnClientTest, RefreshesAtHalfTheLifetime) {
  make_allocated();
  advance(299s);
  EXPECT_EQ(server.count(stun::kRefreshMethod), 0u);
  advance(2s);
  EXPECT_EQ(server.count(stun::kRefreshMethod), 1u);
  advance(3600s);
  EXPECT_EQ(server.count(stun::kRefreshMethod), 13u);
  EXPECT_EQ(client->state(), ClientState::kAllocated);
}

TEST_F(TurnClientTest, ALifetimeOfNothingDoesNotMakeItSpin) {
  server.lifetime = 0;
  make_allocated();
  advance(300s);
  EXPECT_LE(server.count(stun::kRefreshMethod), 10u);
}

TEST_F(TurnClientTest, AfterAChangeOfNetworkItMakesAnotherAllocation) {
  make_allocated();
  client->add_peer(now, kPeer);
  exchange();
  ASSERT_NE(client->channel(kPeer), 0u);
  client->verify(now);
  exchange();
  EXPECT_EQ(server.count(stun::kAllocateMethod), 1u);

  server.refuse = {{stun::kRefreshMethod, 437}};
  client->verify(now);
  const auto refused = server.answer(*client->poll_transmit());
  Bytes answer = *refused;
  client->handle_packet(now, answer);
  EXPECT_EQ(client->state(), ClientState::kAllocating);
  EXPECT_FALSE(client->relayed());
  EXPECT_FALSE(client->ready(kPeer));
  EXPECT_EQ(client->channel(kPeer), 0u);
  exchange();
  EXPECT_EQ(client->state(), ClientState::kAllocated);
  EXPECT_TRUE(client->ready(kPeer));
  EXPECT_NE(client->channel(kPeer), 0u);
}

TEST_F(TurnClientTest, AServerThatForgetsEverythingIsGivenUpInTheEnd) {
  make_allocated();
  client->add_peer(now, kPeer);
  server.refuse = {{stun::kCreatePermissionMethod, 437}};
  exchange();
  EXPECT_EQ(client->state(), ClientState::kFailed);
  EXPECT_EQ(client->error(), 437u);
  EXPECT_LT(sent, 40u);
}

TEST_F(TurnClientTest, CloseDeletesTheAllocation) {
  make_allocated();
  client->close(now);
  EXPECT_EQ(client->state(), ClientState::kClosed);
  EXPECT_FALSE(client->relayed());
  EXPECT_FALSE(client->poll_timeout());
  exchange();
  EXPECT_EQ(server.refresh_lifetimes, std::vector<std::uint32_t>{0});
  EXPECT_FALSE(client->poll_transmit());
}

TEST_F(TurnClientTest, CloseBeforeTheFirstAnswerSaysNothing) {
  make();
  client->close(now);
  EXPECT_FALSE(client->poll_transmit());
}

TEST_F(TurnClientTest, RubbishMovesNothing) {
  make_allocated();
  client->add_peer(now, kPeer);
  exchange();
  SeededRandom noise(3);
  for (int i = 0; i < 20000; ++i) {
    Bytes datagram(noise.below(96));
    noise.fill(datagram);
    if (datagram.size() >= 20 && i % 2 == 0) {
      datagram[0] &= std::byte{0x01};
      store_be(datagram.data() + 2, static_cast<std::uint16_t>(datagram.size() - 20));
      store_be(datagram.data() + 4, stun::kMagicCookie);
    }
    client->handle_packet(now, datagram);
  }
  EXPECT_EQ(client->state(), ClientState::kAllocated);
  EXPECT_EQ(client->relayed(), kRelayed);
  EXPECT_FALSE(client->poll_transmit());
}

}  // namespace
}  // namespace higgs::turn

// Permissions, channels and the packets of peers.
#include <gtest/gtest.h>

#include "turn/testing/client_world.h"

namespace higgs::turn {
namespace {

using namespace testing;
using namespace std::chrono_literals;

TEST_F(TurnClientTest, PermissionFirstThenTheChannel) {
  make_allocated();
  ByteArray<256> buffer;
  EXPECT_TRUE(client->wrap(kPeer, as_bytes("hello"), random, buffer).empty());
  ASSERT_TRUE(client->add_peer(now, kPeer));
  EXPECT_FALSE(client->ready(kPeer));
  EXPECT_TRUE(client->wrap(kPeer, as_bytes("hello"), random, buffer).empty());

  // The permission's answer alone: Send indications.
  auto answer = server.answer(*client->poll_transmit());
  client->handle_packet(now, *answer);
  EXPECT_TRUE(client->ready(kPeer));
  EXPECT_EQ(client->channel(kPeer), 0u);
  const auto indication = stun::parse(client->wrap(kPeer, as_bytes("hello"), random, buffer));
  ASSERT_TRUE(indication);
  EXPECT_EQ(indication->message_class, MessageClass::kIndication);
  EXPECT_EQ(indication->method, stun::kSendMethod);
  EXPECT_EQ(indication->xor_address(AttributeType::kXorPeerAddress), kPeer);
  EXPECT_EQ(as_text(*indication->find(AttributeType::kData)), "hello");

  exchange();
  const auto number = client->channel(kPeer);
  ASSERT_GE(number, 0x4000);
  ASSERT_LE(number, 0x4FFF);
  EXPECT_EQ(server.channels.at(number), kPeer);
  const auto wrapped = client->wrap(kPeer, as_bytes("hello"), random, buffer);
  EXPECT_EQ(to_bytes(wrapped), channel_data(number, "hello"));
}

TEST_F(TurnClientTest, PeersAddedBeforeTheAllocationAreAskedForAfterIt) {
  make();
  ASSERT_TRUE(client->add_peer(now, kPeer));
  exchange();
  EXPECT_TRUE(client->ready(kPeer));
  EXPECT_NE(client->channel(kPeer), 0u);
}

TEST_F(TurnClientTest, APermissionIsOfAnAddressAChannelOfAnEndpoint) {
  make_allocated();
  client->add_peer(now, kPeer);
  client->add_peer(now, kPeer);
  client->add_peer(now, kSamePeer);
  exchange();
  EXPECT_EQ(server.permissions.size(), 1u);
  EXPECT_EQ(server.channels.size(), 2u);
  EXPECT_NE(client->channel(kPeer), client->channel(kSamePeer));
  // A third port of that address has no channel and passes all the same.
  const Endpoint third{kPeer.address, 9};
  EXPECT_TRUE(client->ready(third));
  EXPECT_EQ(client->channel(third), 0u);
  ByteArray<128> buffer;
  EXPECT_TRUE(stun::parse(client->wrap(third, as_bytes("x"), random, buffer)));
}

TEST_F(TurnClientTest, APacketThatDoesNotFitIsNotWrapped) {
  make_allocated();
  client->add_peer(now, kPeer);
  exchange();
  const Bytes packet(100);
  for (std::size_t room = 0; room < packet.size() + kChannelHeaderBytes; ++room) {
    Bytes buffer(room);
    EXPECT_TRUE(client->wrap(kPeer, packet, random, buffer).empty());
    EXPECT_TRUE(client->wrap({kPeer.address, 9}, packet, random, buffer).empty());
  }
  Bytes buffer(packet.size() + 64);
  EXPECT_FALSE(client->wrap({kPeer.address, 9}, packet, random, buffer).empty());
}

TEST_F(TurnClientTest, PermissionsAndChannelsAreRenewedBeforeTheyEnd) {
  make_allocated();
  client->add_peer(now, kPeer);
  exchange();
  advance(250s);
  EXPECT_EQ(server.permissions.size(), 2u);
  advance(250s);
  EXPECT_EQ(server.permissions.size(), 3u);
  EXPECT_EQ(server.count(stun::kChannelBindMethod), 2u);
  EXPECT_EQ(server.channels.size(), 1u);
  advance(3600s);
  EXPECT_EQ(server.channels.size(), 1u);
  EXPECT_GE(server.count(stun::kCreatePermissionMethod), 4100u / 300u);
  EXPECT_GE(server.count(stun::kChannelBindMethod), 4100u / 600u);
}

TEST_F(TurnClientTest, ARefusedPeerIsNotReadyAndAskedForLater) {
  make_allocated();
  server.refuse = {{stun::kCreatePermissionMethod, 403}};
  client->add_peer(now, kPeer);
  exchange();
  EXPECT_FALSE(client->ready(kPeer));
  EXPECT_EQ(server.count(stun::kChannelBindMethod), 0u);
  EXPECT_EQ(client->state(), ClientState::kAllocated);
  server.refuse.clear();
  advance(14s);
  EXPECT_FALSE(client->ready(kPeer));
  advance(2s);
  EXPECT_TRUE(client->ready(kPeer));
}

TEST_F(TurnClientTest, ARefusedChannelLeavesThePermission) {
  make_allocated();
  server.refuse = {{stun::kChannelBindMethod, 508}};
  client->add_peer(now, kPeer);
  exchange();
  EXPECT_TRUE(client->ready(kPeer));
  EXPECT_EQ(client->channel(kPeer), 0u);
}

TEST_F(TurnClientTest, DataOfPeersComesOutInPlace) {
  make_allocated();
  client->add_peer(now, kPeer);
  exchange();
  using Data = std::pair<Endpoint, std::string>;
  EXPECT_EQ(receive(server.indication(kPeer, as_bytes("one"))), Data(kPeer, "one"));
  EXPECT_EQ(receive(server.indication({kPeer.address, 9}, as_bytes("two"))), Data({kPeer.address, 9}, "two"));
  EXPECT_EQ(receive(channel_data(client->channel(kPeer), "three")), Data(kPeer, "three"));
  // Over UDP padding may follow (RFC 8656, section 12.5).
  Bytes padded = channel_data(client->channel(kPeer), "three");
  padded.resize(padded.size() + 3);
  EXPECT_EQ(receive(padded), Data(kPeer, "three"));
}

TEST_F(TurnClientTest, DataOfOthersIsIgnored) {
  make_allocated();
  client->add_peer(now, kPeer);
  EXPECT_FALSE(receive(server.indication(kPeer, as_bytes("early"))));
  exchange();
  const auto number = client->channel(kPeer);
  EXPECT_FALSE(receive(server.indication(kOther, as_bytes("x"))));
  EXPECT_FALSE(receive(channel_data(static_cast<std::uint16_t>(number + 1), "x")));
  EXPECT_FALSE(receive(channel_data(0x5000, "x")));
  Bytes cut = channel_data(number, "12345");
  cut.pop_back();
  EXPECT_FALSE(receive(cut));
  EXPECT_FALSE(receive({}));
  EXPECT_FALSE(receive(Bytes(3, std::byte{0x40})));
  client->drop_peer(kPeer);
  EXPECT_FALSE(receive(channel_data(number, "x")));
  EXPECT_FALSE(receive(server.indication(kPeer, as_bytes("x"))));
}

TEST_F(TurnClientTest, PeersAreLimited) {
  make(false, 2);
  exchange();
  EXPECT_TRUE(client->add_peer(now, kPeer));
  EXPECT_TRUE(client->add_peer(now, kOther));
  EXPECT_FALSE(client->add_peer(now, kSamePeer));
  EXPECT_TRUE(client->add_peer(now, kPeer));
  client->drop_peer(kOther);
  EXPECT_TRUE(client->add_peer(now, kSamePeer));
}

TEST_F(TurnClientTest, ManyPeersAreAskedForAFewAtATime) {
  make_allocated();
  for (std::uint16_t i = 0; i < 16; ++i) {
    ASSERT_TRUE(client->add_peer(now, {IpAddress::v4(0xC6336400u + i), 5000}));
  }
  unsigned burst = 0;
  while (client->poll_transmit()) ++burst;
  EXPECT_LE(burst, 8u);
  advance(2s);
  EXPECT_EQ(server.permissions.size(), 16u);
  EXPECT_EQ(server.channels.size(), 16u);
}

}  // namespace
}  // namespace higgs::turn

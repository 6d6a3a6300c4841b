// What the TURN server relays: permissions, channels, rates, and what hostile clients and peers try.
#include <gtest/gtest.h>

#include "turn/peer_policy.h"
#include "turn/testing/server_world.h"
#include "turn/turn_server.h"

namespace higgs::turn {
namespace {

using namespace std::chrono_literals;
using stun::AttributeType;
using testing::Answer;
using testing::endpoint;
using testing::TestClient;
using testing::World;

const Endpoint kHome = endpoint("192.0.2.7:40000"), kFarPeer = endpoint("198.51.100.80:9000");

class TurnData : public ::testing::Test {
 protected:
  void start(Server::Options options = {}, Transport transport = Transport::kUdp) {
    world.emplace(std::move(options));
    client.emplace(*world, kHome, transport);
    ASSERT_TRUE(client->allocate()->ok());
    relay = world->output.open.begin()->first;
    world->output.sent.clear();
  }
  std::size_t to_peers() const { return world->output.to_peers.size(); }
  /// What the client got last.
  Bytes last() const { return world->output.sent.empty() ? Bytes{} : world->output.sent.back().second; }

  std::optional<World> world;
  std::optional<TestClient> client;
  RelayId relay = 0;
};

TEST_F(TurnData, NothingPassesWithoutAPermission) {
  start();
  client->send(kFarPeer, "out");
  world->from_peer(relay, kFarPeer, "in");
  EXPECT_EQ(to_peers(), 0u);
  EXPECT_TRUE(world->output.sent.empty());
  EXPECT_EQ(world->server.counters().dropped_no_permission, 2u);
}

TEST_F(TurnData, APermissionIsForAnAddressWithAllItsPortsBothWays) {
  start();
  ASSERT_TRUE(client->permit(kFarPeer)->ok());
  client->send(kFarPeer, "out");
  client->send({kFarPeer.address, 1}, "other port", true);
  ASSERT_EQ(to_peers(), 2u);
  EXPECT_EQ(world->output.to_peers[0].bytes, "out");
  EXPECT_EQ(world->output.to_peers[0].peer, kFarPeer);
  EXPECT_EQ(world->output.to_peers[0].id, relay);
  EXPECT_FALSE(world->output.to_peers[0].dont_fragment);
  EXPECT_TRUE(world->output.to_peers[1].dont_fragment);

  world->from_peer(relay, kFarPeer, "in");
  const auto bytes = last();
  const auto message = stun::parse(bytes);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->method, stun::kDataMethod);
  EXPECT_EQ(message->message_class, stun::MessageClass::kIndication);
  EXPECT_EQ(message->xor_address(AttributeType::kXorPeerAddress), kFarPeer);
  EXPECT_EQ(message->text(AttributeType::kData), "in");
  world->from_peer(relay, endpoint("198.51.100.81:9000"), "stranger");
  EXPECT_EQ(last(), bytes);
  EXPECT_EQ(world->server.counters().relayed_packets, 3u);
  EXPECT_EQ(world->server.counters().relayed_bytes, 15u);
}

TEST_F(TurnData, PermissionsExpireAndAreRenewed) {
  start();
  ASSERT_TRUE(client->permit(kFarPeer)->ok());
  world->pass(299s);
  ASSERT_TRUE(client->permit(kFarPeer)->ok());
  world->pass(299s);
  client->send(kFarPeer, "yes");
  EXPECT_EQ(to_peers(), 1u);
  world->pass(2s);
  ASSERT_EQ(world->server.allocations(), 0u);  // its own lifetime is over as well
  start();
  ASSERT_TRUE(client->permit(kFarPeer)->ok());
  world->pass(301s);
  client->send(kFarPeer, "no");
  world->from_peer(relay, kFarPeer, "no");
  EXPECT_EQ(to_peers(), 0u);
}

TEST_F(TurnData, AChannelCarriesBothWaysWithFourBytesMore) {
  start();
  ASSERT_TRUE(client->bind(0x4001, kFarPeer)->ok());
  client->send_channel(0x4001, "out");
  ASSERT_EQ(to_peers(), 1u);
  EXPECT_EQ(world->output.to_peers[0].bytes, "out");
  world->from_peer(relay, kFarPeer, "in");
  EXPECT_EQ(to_hex(last()), "40010002696e");
  // Its permission is for all ports; what comes from another is a Data indication.
  world->from_peer(relay, {kFarPeer.address, 1}, "in");
  EXPECT_TRUE(stun::parse(last()));
  client->send_channel(0x4001, "");
  EXPECT_EQ(world->output.to_peers.back().bytes, "");
}

TEST_F(TurnData, ChannelDataOverAStreamIsPadded) {
  start({}, Transport::kTcp);
  ASSERT_TRUE(client->bind(0x4001, kFarPeer)->ok());
  world->from_peer(relay, kFarPeer, "inner");
  EXPECT_EQ(to_hex(last()), "40010005696e6e6572000000");
}

TEST_F(TurnData, AChannelIsOfOnePeerAndAPeerOfOneChannel) {
  start();
  ASSERT_TRUE(client->bind(0x4001, kFarPeer)->ok());
  EXPECT_TRUE(client->bind(0x4001, kFarPeer)->ok());
  EXPECT_EQ(client->bind(0x4002, kFarPeer)->error, 400u);
  EXPECT_EQ(client->bind(0x4001, {kFarPeer.address, 1})->error, 400u);
  EXPECT_TRUE(client->bind(0x4002, {kFarPeer.address, 1})->ok());
  for (const std::uint16_t number : {0x0000, 0x3FFF, 0x8000, 0xFFFF})
    EXPECT_EQ(client->bind(number, endpoint("198.51.100.82:1"))->error, 400u) << number;
}

TEST_F(TurnData, ABindingOutlivesItsPermissionButCarriesNothingThen) {
  start();
  ASSERT_TRUE(client->bind(0x4001, kFarPeer)->ok());
  world->pass(301s);
  client->send_channel(0x4001, "no");
  EXPECT_EQ(to_peers(), 0u);
  ASSERT_TRUE(client->permit(kFarPeer)->ok());
  client->send_channel(0x4001, "yes");
  EXPECT_EQ(to_peers(), 1u);
  ASSERT_TRUE(client->request(stun::kRefreshMethod)->ok());
  world->pass(300s);
  ASSERT_TRUE(client->permit(kFarPeer)->ok());
  client->send_channel(0x4001, "over");
  EXPECT_EQ(to_peers(), 1u);
  EXPECT_TRUE(client->bind(0x4002, kFarPeer)->ok());
}

TEST_F(TurnData, ForbiddenPeersAreRefusedAndNothingElseOfThatRequestIsDone) {
  start();
  world->users.forbidden = {endpoint("10.0.0.1:1").address};
  EXPECT_EQ(client->permit(endpoint("10.0.0.1:1"))->error, 403u);
  EXPECT_EQ(client->bind(0x4001, endpoint("10.0.0.1:1"))->error, 403u);
  const auto both = client->request(stun::kCreatePermissionMethod, [](auto& builder) {
    builder.add_xor_address(AttributeType::kXorPeerAddress, kFarPeer)
        .add_xor_address(AttributeType::kXorPeerAddress, endpoint("10.0.0.1:1"));
  });
  EXPECT_EQ(both->error, 403u);
  client->send(kFarPeer, "no");
  EXPECT_EQ(to_peers(), 0u);
  EXPECT_EQ(world->server.counters().forbidden_peer, 3u);
}

TEST_F(TurnData, PeersOfAnotherFamilyAreRefused) {
  start();
  EXPECT_EQ(client->permit(endpoint("[2001:db8::1]:1"))->error, 443u);
  EXPECT_EQ(client->bind(0x4001, endpoint("[2001:db8::1]:1"))->error, 443u);
  client->send(endpoint("[2001:db8::1]:1"), "no");
  EXPECT_EQ(to_peers(), 0u);
}

TEST_F(TurnData, MalformedRequestsAreToldSo) {
  start();
  EXPECT_EQ(client->request(stun::kCreatePermissionMethod)->error, 400u);
  EXPECT_EQ(client
                ->request(stun::kCreatePermissionMethod,
                          [](auto& b) { b.add(AttributeType::kXorPeerAddress, ByteArray<7>{}); })
                ->error,
            400u);
  EXPECT_EQ(client->request(stun::kChannelBindMethod)->error, 400u);
  EXPECT_EQ(
      client->request(stun::kRefreshMethod, [](auto& b) { b.add(AttributeType::kLifetime, ByteArray<2>{}); })->error,
      400u);
  EXPECT_EQ(world->server.counters().bad_request, 4u);
}

TEST_F(TurnData, PermissionsAndChannelsAreBounded) {
  Server::Options options;
  options.limits.permissions = 3;
  options.limits.channels = 2;
  start(options);
  const auto peer = [](std::uint32_t number) { return Endpoint{IpAddress::v4(0xC6336450 + number), 1}; };
  for (std::uint32_t i = 0; i < 3; ++i) ASSERT_TRUE(client->permit(peer(i))->ok());
  EXPECT_EQ(client->permit(peer(3))->error, 508u);
  EXPECT_TRUE(client->permit(peer(0))->ok());
  ASSERT_TRUE(client->bind(0x4000, peer(0))->ok());
  ASSERT_TRUE(client->bind(0x4001, peer(1))->ok());
  EXPECT_EQ(client->bind(0x4002, peer(2))->error, 508u);
  world->pass(301s);
  EXPECT_TRUE(client->permit(peer(3))->ok());
}

TEST_F(TurnData, TheRateIsLimitedEachWay) {
  Server::Options options;
  options.limits.rate_mbps = 8;  // 1 MB/s; a burst of 250 KB
  start(options);
  ASSERT_TRUE(client->permit(kFarPeer)->ok());
  const std::string packet(1000, 'x');
  for (int i = 0; i < 1000; ++i) {
    client->send(kFarPeer, packet);
    world->from_peer(relay, kFarPeer, packet);
  }
  EXPECT_EQ(to_peers(), 250u);
  EXPECT_EQ(world->server.counters().relayed_packets, 500u);
  EXPECT_EQ(world->server.counters().dropped_rate, 1500u);
  world->pass(100ms);
  for (int i = 0; i < 200; ++i) client->send(kFarPeer, packet);
  EXPECT_EQ(to_peers(), 350u);
}

TEST_F(TurnData, WhatIsNotForUsIsTheCallersAndWhatIsOfNoUseIsDropped) {
  start();
  ByteArray<64> buffer;
  stun::MessageBuilder binding(buffer, stun::MessageClass::kRequest, stun::kBindingMethod, {});
  EXPECT_FALSE(world->server.on_client(world->now, client->tuple, binding.finish()));
  EXPECT_FALSE(world->server.on_client(world->now, client->tuple, as_bytes("\xff rubbish")));
  EXPECT_FALSE(world->server.on_client(world->now, client->tuple, {}));
  client->send_channel(0x4001, "not bound");
  TestClient stranger(*world, endpoint("203.0.113.66:1"));
  stranger.send(kFarPeer, "no allocation");
  stranger.send_channel(0x4001, "no allocation");
  world->server.on_client(world->now, client->tuple, *from_hex("400100ff00"));
  world->from_peer(relay + 100, kFarPeer, "no such port");
  EXPECT_EQ(world->server.counters().dropped_malformed, 5u);
  EXPECT_TRUE(world->output.sent.empty());
}

TEST(TurnStream, MessagesFollowOneAnother) {
  const auto size = [](std::string_view hex) { return stream_message_bytes(*from_hex(hex)); };
  EXPECT_EQ(size(""), 0u);
  EXPECT_EQ(size("4001"), 0u);
  EXPECT_EQ(size("40010005"), 12u);
  EXPECT_EQ(size("40010000ff"), 4u);
  EXPECT_EQ(size("000300082112a442"), 28u);
  EXPECT_EQ(size("00030008"), 28u);
  EXPECT_EQ(size("000300082112a443"), std::nullopt);
  EXPECT_EQ(size("00030007"), std::nullopt);
  EXPECT_EQ(size("80"), std::nullopt);
  EXPECT_EQ(size("474554"), 0u);  // "GET": looks like ChannelData, and is then too long to come
  EXPECT_EQ(size("c0"), std::nullopt);
}

TEST(TurnPeerPolicy, OnlyThePublicInternet) {
  const PeerPolicy policy(false, {*IpAddress::parse("203.0.113.10"), *IpAddress::parse("2001:db8::10")});
  for (const auto* address : {"127.0.0.1",
                              "10.1.2.3",
                              "172.16.0.1",
                              "172.31.255.255",
                              "192.168.1.1",
                              "169.254.169.254",
                              "100.64.0.1",
                              "100.127.255.255",
                              "0.0.0.0",
                              "0.1.2.3",
                              "224.0.0.1",
                              "239.1.1.1",
                              "255.255.255.255",
                              "240.0.0.1",
                              "198.18.0.1",
                              "192.0.0.8",
                              "203.0.113.10",
                              "::",
                              "::1",
                              "::7f00:1",
                              "::ffff:8.8.8.8",
                              "::ffff:10.0.0.1",
                              "64:ff9b::808:808",
                              "64:ff9b::a00:1",
                              "64:ff9b:1::1",
                              "100::1",
                              "2001::1",
                              "2002:a00:1::",
                              "fc00::1",
                              "fd12:3456::1",
                              "fe80::1",
                              "fec0::1",
                              "ff02::1",
                              "2001:db8::10"})
    EXPECT_FALSE(policy.permits(*IpAddress::parse(address))) << address;
  for (const auto* address : {"8.8.8.8", "203.0.113.11", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1",
                              "192.0.2.1", "2001:db8::11", "2a00:1450::1", "2001:4860::1"})
    EXPECT_TRUE(policy.permits(*IpAddress::parse(address))) << address;

  const PeerPolicy test_network(true, {*IpAddress::parse("10.0.0.1")});
  EXPECT_TRUE(test_network.permits(*IpAddress::parse("127.0.0.1")));
  EXPECT_TRUE(test_network.permits(*IpAddress::parse("10.0.0.2")));
  EXPECT_FALSE(test_network.permits(*IpAddress::parse("10.0.0.1")));
  EXPECT_FALSE(test_network.permits(*IpAddress::parse("::ffff:10.0.0.1")));
}

}  // namespace
}  // namespace higgs::turn

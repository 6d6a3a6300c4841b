// Addresses that change below a path, with and without a word to the host.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "path/testing/small_network.h"

namespace higgs::path {
namespace {

using namespace std::chrono_literals;
using testing::Nat;
using testing::SmallNetwork;

constexpr PathId kRelay = ice::kRelayPair;

std::unique_ptr<SmallNetwork> direct(Nat client, Nat node) {
  auto net = std::make_unique<SmallNetwork>(7, SmallNetwork::Side{client, {}}, SmallNetwork::Side{node, {}});
  net->send_data(5ms);
  net->start();
  EXPECT_TRUE(net->run_until([&] { return net->both_on(Kind::kDirectV4); }, 2s));
  net->run_for(5s);
  return net;
}

TEST(TraversalMoves, OnlyTheOutsideAddressChanges) {
  for (const bool client_moves : {true, false}) {
    auto net = direct(Nat::kPortRestricted, Nat::kPortRestricted);
    auto& moving = client_moves ? net->client() : net->node();
    const auto& still = client_moves ? net->node() : net->client();
    const Instant moved = net->now();
    net->move(moving, moving.inside, *IpAddress::parse("203.0.113.99"));
    net->run_for(6s);
    EXPECT_TRUE(net->both_on(Kind::kDirectV4)) << client_moves;
    ASSERT_TRUE(still.traversal->route().first);
    EXPECT_EQ(still.traversal->route().first->to.address, moving.outside) << client_moves;
    EXPECT_LE(SmallNetwork::longest_gap(net->node(), moved, net->now()), 1s) << client_moves;
    EXPECT_LE(SmallNetwork::longest_gap(net->client(), moved, net->now()), 1s) << client_moves;
  }
}

// The far end is reachable for anyone, so that the path lives on for the one who moved: the other has to follow it.
TEST(TraversalMoves, MappingChangesAndNobodyIsTold) {
  for (const bool client_moves : {true, false}) {
    auto net = client_moves ? direct(Nat::kPortRestricted, Nat::kNone) : direct(Nat::kNone, Nat::kPortRestricted);
    auto& moving = client_moves ? net->client() : net->node();
    const auto& still = client_moves ? net->node() : net->client();
    const Instant moved = net->now();
    net->rebind(moving, *IpAddress::parse("203.0.113.99"));
    net->run_for(4s);
    EXPECT_TRUE(net->both_on(Kind::kDirectV4)) << client_moves;
    ASSERT_TRUE(still.traversal->route().first);
    EXPECT_EQ(still.traversal->route().first->to.address, moving.outside) << client_moves;
    EXPECT_LE(SmallNetwork::longest_gap(net->node(), moved, net->now()), 1s) << client_moves;
    EXPECT_LE(SmallNetwork::longest_gap(net->client(), moved, net->now()), 1s) << client_moves;
  }
}

// The router keeps the port, so that what it maps is where a server has seen the node before, and the client has been
// there in vain.
TEST(TraversalMoves, RouterThatBeginsToMapThePortIsTriedAtOnce) {
  SmallNetwork net(7, {Nat::kSymmetric, {}}, {Nat::kPortRestricted, {}});
  net.start();
  net.run_for(60s);
  ASSERT_TRUE(net.both_on(Kind::kRelay));
  net.map_port(net.node(), true);
  EXPECT_TRUE(net.run_until([&] { return net.both_on(Kind::kDirectV4); }, 1s));
  net.run_for(60s);
  net.map_port(net.node(), false);
  net.rebind(net.node(), net.node().outside);
  net.rebind(net.client(), net.client().outside);
  ASSERT_TRUE(net.run_until([&] { return net.both_on(Kind::kRelay); }, 60s));
  net.run_for(60s);
  net.map_port(net.node(), true);
  EXPECT_TRUE(net.run_until([&] { return net.both_on(Kind::kDirectV4); }, 1s)) << "and once more";
}

TEST(TraversalMoves, MappingChangesWhereBothFilter) {
  auto net = direct(Nat::kPortRestricted, Nat::kPortRestricted);
  const Instant moved = net->now();
  net->rebind(net->client(), *IpAddress::parse("203.0.113.99"));
  net->run_for(2s);
  EXPECT_LE(SmallNetwork::longest_gap(net->node(), moved, net->now()), 1s);
  EXPECT_LE(SmallNetwork::longest_gap(net->client(), moved, net->now()), 1s);
}

// The socket stands, and the far end is reachable for anyone: the path goes on from the new address, even though the
// old one is gone and no message can be told.
TEST(TraversalMoves, PathOutlivesItsAddressWithoutARelay) {
  auto net = direct(Nat::kPortRestricted, Nat::kNone);
  const Instant moved = net->now();
  net->set_relay(false);
  net->move(net->client(), *IpAddress::parse("10.9.9.9"), *IpAddress::parse("203.0.113.99"));
  net->run_for(3s);
  EXPECT_TRUE(net->both_on(Kind::kDirectV4));
  EXPECT_LE(SmallNetwork::longest_gap(net->node(), moved, net->now()), 10ms) << "its packets never stop";
  EXPECT_LE(SmallNetwork::longest_gap(net->client(), moved, net->now()), 300ms);
}

class FollowerMoves : public ::testing::Test {
 protected:
  void add(PathId path, Kind kind) { manager_.add(now_, path, kind, 20ms); }

  Instant now_{1000s};
  SeededRandom random_{1};
  PathManager manager_{now_, false, Policy::kAuto, {}, random_};
};

TEST_F(FollowerMoves, TheSameEpochFromALaterPathIsTheLeaderSomewhereElse) {
  add(kRelay, Kind::kRelay);
  add(1, Kind::kDirectV4);
  manager_.peer_sends_on(now_, 1, 2);
  add(2, Kind::kDirectV4);
  manager_.peer_sends_on(now_, 2, 2);
  EXPECT_THAT(manager_.active(), ::testing::Optional(2u));
  manager_.peer_sends_on(now_, 1, 2);  // a late probe from the old address
  manager_.peer_sends_on(now_, kRelay, 2);
  EXPECT_THAT(manager_.active(), ::testing::Optional(2u));
  manager_.remove(now_, 2);
  manager_.peer_sends_on(now_, 1, 2);
  EXPECT_THAT(manager_.active(), ::testing::Optional(1u));
}

}  // namespace
}  // namespace higgs::path

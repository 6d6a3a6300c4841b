// Cases that the random runs do not single out: port prediction, a hostile network, sleep, late packets, cost.
#include <gtest/gtest.h>

#include "sim/traversal_world.h"

namespace higgs::sim {
namespace {

using namespace std::chrono_literals;

constexpr Dependence kEI = Dependence::kEndpointIndependent, kAD = Dependence::kAddress,
                     kAPD = Dependence::kAddressAndPort;

NatType nat(Dependence mapping, Dependence filtering, Ports ports = Ports::kPreserved) {
  return {true, mapping, filtering, ports};
}
NatType symmetric(Ports ports) { return nat(kAPD, kAPD, ports); }
NatType port_restricted() { return nat(kEI, kAPD); }

TraversalWorld::Options between(const NatType& client, const NatType& node, std::uint64_t seed = 1) {
  TraversalWorld::Options options;
  options.seed = seed;
  options.ends[0].v4 = client;
  options.ends[1].v4 = node;
  return options;
}

bool both_on(TraversalWorld& world, path::Kind kind) { return world.path(0) == kind && world.path(1) == kind; }

std::chrono::nanoseconds time_until(TraversalWorld& world, std::chrono::nanoseconds limit, path::Kind kind) {
  const Instant begin = world.now();
  while (!both_on(world, kind) && world.now() - begin < limit) world.run(10ms);
  return world.now() - begin;
}

void expect_within_budget(const TraversalWorld& world) {
  for (unsigned host : {0u, 1u}) {
    EXPECT_LE(world.audit(host).most_in_a_second(), 40u) << "host " << host;
    EXPECT_LE(world.audit(host).most_destinations(), 16u) << "host " << host;
  }
}

// --- the oracle, against what RFC 4787's readers know by heart ----------------------------------------------------

TEST(BestPath, KnownPairs) {
  const NatType cone = nat(kEI, kEI), address = nat(kEI, kAD), port = port_restricted();
  const NatType random = symmetric(Ports::kRandom), sequential = symmetric(Ports::kSequential);
  for (const NatType& one : {kOpen, cone, address, port}) {
    for (const NatType& other : {kOpen, cone, address, port}) EXPECT_TRUE(direct_is_possible(one, other, false));
  }
  for (const NatType& one : {random, sequential}) {
    EXPECT_TRUE(direct_is_possible(one, kOpen, false));
    EXPECT_TRUE(direct_is_possible(cone, one, false));
    EXPECT_TRUE(direct_is_possible(one, address, false));
    EXPECT_FALSE(direct_is_possible(one, port, false));
    EXPECT_FALSE(direct_is_possible(random, one, false));
  }
  EXPECT_TRUE(direct_is_possible(sequential, port, true));
  EXPECT_FALSE(direct_is_possible(random, port, true));
  EXPECT_TRUE(direct_is_possible(symmetric(Ports::kPreserved), symmetric(Ports::kPreserved), false));
  EXPECT_EQ(best_path({false, cone, true}, {true, cone, true}).best, Best::kRelay);
  EXPECT_EQ(best_path({true, random, true}, {true, random, true}).best, Best::kDirectV6);
  EXPECT_EQ(best_path({true, random, true}, {true, random, false}).best, Best::kTurn);
}

// --- speed ----------------------------------------------------------------------------------------------------------

TEST(TraversalDirected, EveryPairThatTheoryAllowsIsDirectWithinTwoSeconds) {
  const NatType kinds[] = {kOpen, nat(kEI, kEI), nat(kEI, kAD), port_restricted(), symmetric(Ports::kRandom)};
  for (const NatType& client : kinds) {
    for (const NatType& node : kinds) {
      TraversalWorld world(between(client, node));
      world.run(200ms);
      EXPECT_TRUE(world.path(0) && world.path(1)) << "traffic flows at once";
      const bool direct = direct_is_possible(client, node, false);
      EXPECT_LT(time_until(world, 5s, direct ? path::Kind::kDirectV4 : path::Kind::kTurn), 1800ms)
          << to_string(client) << " and " << to_string(node);
      expect_within_budget(world);
    }
  }
}

// --- port prediction ------------------------------------------------------------------------------------------------

TEST(TraversalDirected, ASequentialAllocatorIsFoundByPrediction) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    for (const bool client_is_symmetric : {true, false}) {
      const NatType sequential = symmetric(Ports::kSequential);
      TraversalWorld world(client_is_symmetric ? between(sequential, port_restricted(), seed)
                                               : between(port_restricted(), sequential, seed));
      EXPECT_LT(time_until(world, 30s, path::Kind::kDirectV4), 2s) << "seed " << seed << " " << client_is_symmetric;
      expect_within_budget(world);
    }
  }
}

TEST(TraversalDirected, ARandomAllocatorIsLeftToTurnAtOnceAndNotSprayed) {
  for (const bool client_is_symmetric : {true, false}) {
    const NatType random = symmetric(Ports::kRandom);
    TraversalWorld world(client_is_symmetric ? between(random, port_restricted()) : between(port_restricted(), random));
    EXPECT_LT(time_until(world, 5s, path::Kind::kTurn), 1s);
    world.run(5s);
    for (unsigned host : {0u, 1u}) EXPECT_LE(world.audit(host).most_destinations(), 6u) << "host " << host;
    // And later: attempts with growing waits, and probes.
    const auto before = world.audit(0).requests() + world.audit(1).requests();
    world.run(600s);
    const auto a_minute = (world.audit(0).requests() + world.audit(1).requests() - before) / 10;
    EXPECT_LT(a_minute, 2u * 600) << "under traffic, of which 400 are the probes of the path in use";
    EXPECT_TRUE(both_on(world, path::Kind::kTurn));
    expect_within_budget(world);
  }
}

// --- a hostile network ----------------------------------------------------------------------------------------------

TEST(TraversalDirected, WhateverIsReplayedMovesNothing) {
  TraversalWorld world(between(port_restricted(), nat(kEI, kEI)));
  world.replay_to(0);
  world.replay_to(1);
  time_until(world, 5s, path::Kind::kDirectV4);
  world.run(2s);
  const auto switches = world.host(0).report(world.now()).switches + world.host(1).report(world.now()).switches;
  const Instant begin = world.now();
  for (int i = 0; i < 600; ++i) {
    world.run(100ms);
    ASSERT_TRUE(both_on(world, path::Kind::kDirectV4)) << "after " << i << " steps";
    for (unsigned host : {0u, 1u}) ASSERT_NE(world.host(host).traversal().route().first->to.port, 666);
  }
  EXPECT_EQ(world.host(0).report(world.now()).switches + world.host(1).report(world.now()).switches, switches);
  EXPECT_EQ(world.vanished(begin, world.now() - 1s), 0u);
  expect_within_budget(world);
}

TEST(TraversalDirected, ALatePacketOnTheOldPathNeverPullsBack) {
  auto options = between(port_restricted(), port_restricted());
  options.noise = {0, 0.2, 5ms, 3000ms};  // datagrams come up to three seconds late, some twice; the relay is prompt
  TraversalWorld world(options);
  world.run(10s);
  // The network is good again, and what was late comes in after the path has moved.
  world.set_noise({0, 0, 5ms, 0ms});
  ASSERT_LT(time_until(world, 20s, path::Kind::kDirectV4), 15s);
  world.run(1s);
  const auto switches = world.host(0).report(world.now()).switches + world.host(1).report(world.now()).switches;
  world.run(5s);
  EXPECT_TRUE(both_on(world, path::Kind::kDirectV4));
  EXPECT_EQ(world.host(0).report(world.now()).switches + world.host(1).report(world.now()).switches, switches);
}

// --- sleep ----------------------------------------------------------------------------------------------------------

TEST(TraversalDirected, AHostThatSleptIsDirectAgain) {
  for (const auto time : {800ms, 5000ms, 25000ms, 3600000ms}) {
    for (unsigned sleeper : {0u, 1u}) {
      TraversalWorld world(between(port_restricted(), port_restricted()));
      time_until(world, 5s, path::Kind::kDirectV4);
      world.run(3s);
      world.suspend(sleeper, time);
      world.run(time + 100ms);
      EXPECT_LT(time_until(world, 90s, path::Kind::kDirectV4), 60s) << time.count() << " ms, host " << sleeper;
      world.run(2s);
      const Instant begin = world.now();
      world.run(2s);
      EXPECT_EQ(world.vanished(begin, world.now() - 500ms), 0u);
      EXPECT_GT(world.delivered(begin, world.now()), 30u);
      expect_within_budget(world);
    }
  }
}

// --- cost -----------------------------------------------------------------------------------------------------------

TEST(TraversalDirected, AnIdlePairCostsLittle) {
  TraversalWorld world(between(port_restricted(), port_restricted()));
  time_until(world, 5s, path::Kind::kDirectV4);
  world.set_traffic(false);
  world.run(15s);
  for (unsigned host : {0u, 1u}) ASSERT_EQ(world.path(host), path::Kind::kDirectV4);
  const auto before = world.audit(0).requests();
  world.run(600s);
  const auto paths = world.host(0).report(world.now()).paths.size();
  EXPECT_LE((world.audit(0).requests() - before) / 10, 20 * paths)
      << "for each path, a probe or a check of consent each three seconds at most";
  EXPECT_TRUE(both_on(world, path::Kind::kDirectV4)) << "and the mappings of the NATs live on";
}

TEST(TraversalDirected, TheServerCarriesNothingOfADirectPath) {
  TraversalWorld world(between(port_restricted(), port_restricted()));
  time_until(world, 5s, path::Kind::kDirectV4);
  world.run(1s);
  const auto relayed = world.relayed_data();
  world.run(20s);
  EXPECT_EQ(world.relayed_data(), relayed);
}

}  // namespace
}  // namespace higgs::sim

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/relay_world.h"

namespace higgs::sim {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;

constexpr unsigned kNodes = 4, kSessions = 16;
unsigned node_of(unsigned session) { return session % kNodes; }

class RelayChaos : public ::testing::TestWithParam<std::uint64_t> {};

/// One random event; every session and node comes back sooner or later.
void disturb(RelayWorld& world, std::mt19937_64& random) {
  const unsigned node = static_cast<unsigned>(random() % kNodes);
  const unsigned session = static_cast<unsigned>(random() % kSessions);
  const double mbps = random() % 4 == 0 ? 2 : 200;
  switch (random() % 10) {
    case 0:
      world.disconnect_node(node);
      break;
    case 1:
      world.vanish_node(node);
      break;
    case 2:
      world.restart_node(node);
      [[fallthrough]];
    case 3:
      world.connect_node(node, mbps);
      break;
    case 4:
      world.disconnect_client(session);
      break;
    case 5:
      world.vanish_client(session);
      break;
    default:
      if (world.session(session).link == 0 || random() % 8 == 0) world.connect_client(session, node_of(session), mbps);
      break;
  }
}

TEST_P(RelayChaos, NothingLeaksAndEverySessionComesBack) {
  RelayWorld::Options options;
  options.seed = GetParam();
  options.limits.memory_bytes = 4 * 1024 * 1024;
  options.limits.queue_bytes = 256 * 1024;
  options.limits.detach_grace = 3s;
  RelayWorld world(options);
  std::mt19937_64 random(GetParam());
  for (unsigned event = 0; event < 1500; ++event) {
    disturb(world, random);
    for (unsigned i = 0; i < 8; ++i) {
      const auto session = static_cast<unsigned>(random() % kSessions);
      world.send_up(session, 1 + random() % 40, 20 + random() % 1400);
      world.send_down(session, 1 + random() % 40, 20 + random() % 1400);
    }
    world.run(std::chrono::milliseconds(random() % 60));
  }
  EXPECT_THAT(world.violations(), IsEmpty());
  EXPECT_LE(world.largest_queue_bytes(), options.limits.memory_bytes);

  // The storm is over: everybody reconnects, and every session works both ways.
  for (unsigned node = 0; node < kNodes; ++node) world.connect_node(node);
  for (unsigned session = 0; session < kSessions; ++session) world.connect_client(session, node_of(session));
  world.run(5s);
  for (unsigned number = 0; number < kSessions; ++number) {
    auto& session = world.session(number);
    EXPECT_TRUE(session.ready) << "session " << number;
    const auto up = session.got_up, down = session.got_down;
    world.send_up(number, 3, 1000);
    world.send_down(number, 3, 1000);
    world.run(200ms);
    EXPECT_EQ(session.got_up, up + 3) << "session " << number;
    EXPECT_EQ(session.got_down, down + 3) << "session " << number;
  }
  const auto stats = world.stats();
  EXPECT_EQ(stats.sessions, kSessions);
  EXPECT_EQ(stats.ready_sessions, kSessions);
  EXPECT_EQ(stats.client_links, kSessions);
  EXPECT_EQ(stats.node_links, kNodes);
  EXPECT_EQ(stats.queued_bytes, 0u);
  EXPECT_THAT(world.violations(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Seeds, RelayChaos, ::testing::Range<std::uint64_t>(1, 21));

TEST(RelayFairness, GreedySessionDoesNotStarveACall) {
  RelayWorld world({});
  world.connect_node(1, 20);
  for (unsigned session = 1; session <= 3; ++session) world.connect_client(session, 1);
  world.run(200ms);
  // 20 Mbit/s to share: one asks for 160, one for 16, and a call for 0.2.
  for (int tick = 0; tick < 5000; ++tick) {
    for (int i = 0; i < 2; ++i) world.send_up(1, 7, 1400);
    if (tick % 5 == 0) world.send_up(2, 7, 1400);
    if (tick % 8 == 0) world.send_up(3, 1, 200);
    world.run(1ms);
  }
  world.run(2s);
  EXPECT_THAT(world.violations(), IsEmpty());
  EXPECT_EQ(world.session(3).got_up, world.session(3).sent_up);
  EXPECT_LT(world.session(3).longest_up, 80ms);  // of which the links' own delays are up to 40
  const auto greedy = static_cast<double>(world.session(1).got_up), fair = static_cast<double>(world.session(2).got_up);
  EXPECT_NEAR(greedy / fair, 1.0, 0.15);
  EXPECT_GT((greedy + fair) * 1400 * 8 / 5, 20e6 * 0.85);
  EXPECT_LT(world.largest_queue_bytes(), 3u * 1024 * 1024);
}

TEST(RelayFairness, SlowReceiverStallsNobodyElse) {
  RelayWorld world({});
  world.connect_node(1);
  world.connect_client(1, 1, 1);  // takes 1 Mbit/s and is sent 50
  world.connect_client(2, 1, 100);
  world.run(200ms);
  for (int tick = 0; tick < 5000; ++tick) {
    world.send_down(1, 5, 1250);
    world.send_down(2, 2, 1250);
    world.run(1ms);
  }
  world.run(2s);
  EXPECT_EQ(world.session(2).got_down, world.session(2).sent_down);
  EXPECT_LT(world.session(2).longest_down, 80ms);
  EXPECT_GT(world.session(1).got_down, 5u * 100 * 8 / 10);
  EXPECT_LT(world.session(1).got_down, world.session(1).sent_down / 10);
  EXPECT_TRUE(world.session(1).ready);
  EXPECT_THAT(world.violations(), IsEmpty());
}

TEST(RelayLiveness, HalfOpenLinksAreGivenUpAndIdleOnesKept) {
  RelayWorld world({});
  world.connect_node(1);
  for (unsigned session = 1; session <= 2; ++session) world.connect_client(session, 1);
  world.run(1s);
  world.vanish_client(1);
  for (int i = 0; i < 30; ++i) {
    world.send_down(1, 1, 100);
    world.run(100ms);
  }
  EXPECT_EQ(world.stats().unresponsive, 1u);
  EXPECT_EQ(world.stats().client_links, 1u);
  world.run(300s);
  EXPECT_TRUE(world.session(2).ready);
  EXPECT_EQ(world.stats().unresponsive, 1u);
  world.vanish_client(2);
  world.run(61s);
  EXPECT_EQ(world.stats().unresponsive, 2u);
}

}  // namespace
}  // namespace higgs::sim

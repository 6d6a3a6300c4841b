// Several servers: sessions whose client and node are on different ones, and everything that can come between.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/relay_world.h"

namespace higgs::sim {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;

constexpr unsigned kNodes = 4, kSessions = 16;
unsigned node_of(unsigned session) { return session % kNodes; }

RelayWorld::Options options_for(std::uint64_t seed, unsigned servers) {
  RelayWorld::Options options;
  options.seed = seed;
  options.servers = servers;
  options.limits.memory_bytes = 8 * 1024 * 1024;
  options.limits.queue_bytes = 256 * 1024;
  options.limits.detach_grace = 3s;
  return options;
}

/// Both ways, and nothing lost.
void expect_served(RelayWorld& world, unsigned number) {
  auto& session = world.session(number);
  EXPECT_TRUE(session.ready) << "session " << number;
  const auto up = session.got_up, down = session.got_down;
  world.send_up(number, 3, 1000);
  world.send_down(number, 3, 1000);
  world.run(300ms);
  EXPECT_EQ(session.got_up, up + 3) << "session " << number;
  EXPECT_EQ(session.got_down, down + 3) << "session " << number;
}

struct Storm {
  std::uint64_t seed;
  unsigned servers;
};
class CascadeChaos : public ::testing::TestWithParam<Storm> {
 protected:
  /// One random event; everything comes back sooner or later.
  void disturb() {
    const unsigned node = pick(kNodes), session = pick(kSessions);
    const unsigned server = pick(GetParam().servers), other = pick(GetParam().servers);
    const double mbps = pick(4) == 0 ? 2 : 200;
    switch (pick(24)) {
      case 0:
        return world_.disconnect_node(node);
      case 1:
        return world_.vanish_node(node);
      case 2:
        world_.restart_node(node);
        [[fallthrough]];
      case 3:
      case 4:
        if (!world_.paused(server)) world_.connect_node(node, mbps, server);
        return;
      case 5:
        return world_.disconnect_client(session);
      case 6:
        return world_.vanish_client(session);
      case 7:
        if (server != other) world_.break_links(server, other);
        return;
      case 8:
        if (server != other) world_.cut(server, other);
        return;
      case 9:
      case 10:
        return world_.join(server, other);
      case 11:
        return world_.pause_server(server);
      case 12:
      case 13:
        return world_.resume_server(server);
      case 14:
        if (pick(4) == 0) world_.restart_server(server);
        return;
      case 15:
        return world_.renew_tokens();
      default:
        if (!world_.paused(server) && (world_.session(session).link == 0 || pick(6) == 0))
          world_.connect_client(session, node_of(session), mbps, server);
    }
  }
  unsigned pick(unsigned count) { return static_cast<unsigned>(random_() % count); }

  std::mt19937_64 random_{GetParam().seed};
  RelayWorld world_{[] {
    auto options = options_for(GetParam().seed, GetParam().servers);
    options.wrong_answers = 10;
    return options;
  }()};
};

TEST_P(CascadeChaos, NothingLeaksAndEverySessionComesBack) {
  const unsigned servers = GetParam().servers;
  for (unsigned event = 0; event < 2000; ++event) {
    disturb();
    for (unsigned i = 0; i < 8; ++i) {
      world_.send_up(pick(kSessions), 1 + pick(40), 20 + pick(1400));
      world_.send_down(pick(kSessions), 1 + pick(40), 20 + pick(1400));
    }
    world_.run(std::chrono::milliseconds(pick(60)));
  }
  EXPECT_THAT(world_.violations(), IsEmpty());
  EXPECT_LE(world_.largest_queue_bytes(), 8u * 1024 * 1024);

  // The storm is over: the network is whole, and everybody reconnects somewhere.
  for (unsigned server = 0; server < servers; ++server) {
    world_.resume_server(server);
    for (unsigned other = 0; other < server; ++other) world_.join(server, other);
  }
  world_.run(5s);
  for (unsigned node = 0; node < kNodes; ++node) world_.connect_node(node, 1000, pick(servers));
  for (unsigned session = 0; session < kSessions; ++session)
    world_.connect_client(session, node_of(session), 1000, pick(servers));
  // Until links whose far ends vanished are given up. Whose claim was late for that is sent away once, and comes again.
  for (int i = 0; i < 15; ++i) {
    world_.run(5s);
    for (unsigned session = 0; session < kSessions; ++session)
      if (world_.session(session).link == 0)
        world_.connect_client(session, node_of(session), 1000, world_.session(session).server);
  }
  unsigned elsewhere = 0;
  for (unsigned number = 0; number < kSessions; ++number) {
    expect_served(world_, number);
    if (world_.session(number).server != world_.node(node_of(number)).server) ++elsewhere;
  }
  std::size_t sessions = 0, ready = 0, cascaded = 0, clients = 0, nodes = 0, queued = 0;
  for (unsigned server = 0; server < servers; ++server) {
    const auto stats = world_.stats(server);
    sessions += stats.sessions;
    ready += stats.ready_sessions;
    cascaded += stats.cascaded_sessions;
    clients += stats.client_links;
    nodes += stats.node_links;
    queued += stats.queued_bytes;
    EXPECT_EQ(stats.malformed, 0u) << "server " << server;
  }
  EXPECT_EQ(clients, kSessions);
  EXPECT_EQ(nodes, kNodes);
  EXPECT_EQ(sessions, kSessions + elsewhere) << "a session is at its client's server and at its node's";
  EXPECT_EQ(ready, kSessions + elsewhere);
  EXPECT_EQ(cascaded, 2 * elsewhere);
  EXPECT_EQ(queued, 0u);

  // When the sessions end, links between servers have nothing to do.
  for (unsigned session = 0; session < kSessions; ++session) world_.disconnect_client(session);
  world_.run(90s);
  for (unsigned server = 0; server < servers; ++server) {
    EXPECT_EQ(world_.stats(server).sessions, 0u);
    EXPECT_EQ(world_.stats(server).server_links, 0u);
    EXPECT_EQ(world_.stats(server).cascaded_sessions, 0u);
  }
  EXPECT_THAT(world_.violations(), IsEmpty());
}

std::vector<Storm> storms() {
  std::vector<Storm> all;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    all.push_back({seed, 2});
    all.push_back({seed, 3});
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(Seeds, CascadeChaos, ::testing::ValuesIn(storms()), [](const auto& storm) {
  return std::to_string(storm.param.servers) + "Servers" + std::to_string(storm.param.seed);
});

class CascadeStory : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  RelayWorld world_{options_for(GetParam(), 3)};
};
INSTANTIATE_TEST_SUITE_P(Seeds, CascadeStory, ::testing::Range<std::uint64_t>(1, 11));

TEST_P(CascadeStory, AServerThatWasPausedStealsNoSessionBack) {
  world_.connect_node(1, 1000, 1);
  world_.connect_client(1, 1, 1000, 0);
  world_.run(1s);
  expect_served(world_, 1);
  world_.pause_server(0);
  for (int i = 0; i < 25; ++i) {
    world_.send_up(1, 2, 1000);
    world_.send_down(1, 2, 1000);
    world_.run(100ms);
  }
  // The client has given it up: its connection is cut without a word, or ended, and it is at the node's server or at a
  // third one.
  const unsigned next = GetParam() % 2 == 0 ? 1 : 2;
  if (GetParam() % 4 < 2)
    world_.vanish_client(1);
  else
    world_.disconnect_client(1);
  world_.connect_client(1, 1, 1000, next);
  world_.run(1s);
  expect_served(world_, 1);
  world_.run(6s);
  world_.resume_server(0);
  const auto up = world_.session(1).got_up, down = world_.session(1).got_down;
  for (int i = 0; i < 100; ++i) {
    world_.send_up(1, 1, 1000);
    world_.send_down(1, 1, 1000);
    world_.run(100ms);
  }
  world_.run(1s);
  EXPECT_EQ(world_.session(1).closes, 0u);
  EXPECT_TRUE(world_.session(1).ready);
  // What the paused server still had may come late, but nothing of the client's new link is lost.
  EXPECT_GE(world_.session(1).got_up, up + 100);
  EXPECT_GE(world_.session(1).got_down, down + 100);
  EXPECT_EQ(world_.stats(0).sessions, 0u);
  EXPECT_THAT(world_.violations(), IsEmpty());
}

TEST_P(CascadeStory, AServerOfNodesThatIsCutOffIsLeftAndComingBackHarmsNobody) {
  world_.connect_node(1, 1000, 1);
  for (unsigned session = 0; session < 8; ++session) world_.connect_client(session, 1, 1000, session % 2 == 0 ? 0 : 2);
  world_.run(1s);
  world_.cut(0, 1);
  world_.cut(1, 2);
  for (int i = 0; i < 25; ++i) {
    for (unsigned session = 0; session < 8; ++session) world_.send_up(session, 1, 500);
    world_.run(100ms);
  }
  world_.vanish_node(1);
  world_.connect_node(1, 1000, 2);
  world_.run(4s);
  for (unsigned session = 0; session < 8; ++session) expect_served(world_, session);
  world_.join(0, 1);
  world_.join(1, 2);
  world_.run(10s);
  for (unsigned session = 0; session < 8; ++session) {
    expect_served(world_, session);
    EXPECT_EQ(world_.session(session).closes, 0u);
  }
  EXPECT_EQ(world_.stats(1).sessions, 0u);
  EXPECT_THAT(world_.violations(), IsEmpty());
}

TEST_P(CascadeStory, AStormOfOpeningsIsServedAndEachSessionOpenedOnce) {
  constexpr unsigned kMany = 600;
  world_.connect_node(1, 100, 1);
  for (unsigned session = 0; session < kMany; ++session)
    world_.connect_client(session, 1, 100, session % 2 == 0 ? 0 : 2);
  world_.run(3s);
  const auto all_ready = [this] {
    unsigned ready = 0;
    for (unsigned session = 0; session < kMany; ++session) ready += world_.session(session).ready ? 1 : 0;
    return ready;
  };
  EXPECT_EQ(all_ready(), kMany);
  EXPECT_EQ(world_.node(1).opens, kMany);
  world_.break_links(0, 1);
  world_.break_links(1, 2);
  world_.run(3s);
  EXPECT_EQ(world_.node(1).opens, 2 * kMany);
  world_.connect_node(1, 100, 2);  // half of them are at home then
  world_.run(3s);
  EXPECT_EQ(all_ready(), kMany);
  EXPECT_EQ(world_.stats(0).cascaded_sessions, kMany / 2);
  EXPECT_EQ(world_.stats(2).cascaded_sessions, kMany / 2);
  for (unsigned server = 0; server < 3; ++server) EXPECT_EQ(world_.stats(server).malformed, 0u);
  EXPECT_THAT(world_.violations(), IsEmpty());
}

TEST(CascadeFairness, GreedySessionDoesNotStarveACallBetweenServers) {
  auto options = options_for(1, 2);
  options.server_mbps = 20;
  RelayWorld world(options);
  world.connect_node(1, 1000, 1);
  for (unsigned session = 1; session <= 3; ++session) world.connect_client(session, 1, 1000, 0);
  world.run(500ms);
  // 20 Mbit/s between the servers: one asks for 160, one for 16, and a call for 0.2, downwards.
  for (int tick = 0; tick < 5000; ++tick) {
    for (int i = 0; i < 2; ++i) world.send_down(1, 7, 1400);
    if (tick % 5 == 0) world.send_down(2, 7, 1400);
    if (tick % 8 == 0) world.send_down(3, 1, 200);
    world.run(1ms);
  }
  world.run(2s);
  EXPECT_THAT(world.violations(), IsEmpty());
  EXPECT_EQ(world.session(3).got_down, world.session(3).sent_down);
  EXPECT_LT(world.session(3).longest_down, 120ms);  // of which the three links' own delays are up to 60
  const auto greedy = static_cast<double>(world.session(1).got_down);
  const auto fair = static_cast<double>(world.session(2).got_down);
  EXPECT_NEAR(greedy / fair, 1.0, 0.15);
  EXPECT_GT((greedy + fair) * 1400 * 8 / 5, 20e6 * 0.85);
}

}  // namespace
}  // namespace higgs::sim

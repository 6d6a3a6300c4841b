#include "path/traversal.h"

#include <gtest/gtest.h>

#include "ice/special_range.h"
#include "path/announcer.h"
#include "path/signal.h"
#include "path/testing/small_network.h"

namespace higgs::path {
namespace {

using namespace std::chrono_literals;
using testing::Nat;
using testing::SmallNetwork;

TraversalOptions with(Policy policy, bool turn = false) {
  TraversalOptions options;
  options.policy = policy;
  if (turn) options.turn = SmallNetwork::turn_access();
  return options;
}

std::unique_ptr<SmallNetwork> network(Nat client, Nat node, bool turn = false, std::uint64_t seed = 1) {
  return std::make_unique<SmallNetwork>(seed, SmallNetwork::Side{client, with(Policy::kAuto, turn)},
                                        SmallNetwork::Side{node, with(Policy::kAuto)});
}

std::vector<Signal> signals_of(const SmallNetwork::Host& host) {
  std::vector<Signal> out;
  for (const auto& message : host.told) {
    const auto signal = parse_signal(message);
    EXPECT_TRUE(signal) << message.payload_json;
    if (signal) out.push_back(*signal);
  }
  return out;
}

std::size_t count_actions(const SmallNetwork::Host& host, std::string_view action) {
  return static_cast<std::size_t>(std::ranges::count(host.told, action, &relay::PeerMessage::action));
}

TEST(Traversal, PacketsTakeTheRelayAtOnce) {
  auto net = network(Nat::kPortRestricted, Nat::kPortRestricted);
  EXPECT_FALSE(net->client().traversal->route().first);
  net->start();
  EXPECT_EQ(net->client().traversal->route().first, (Hop{ice::Base::kRelay, {}}));
  EXPECT_FALSE(net->client().traversal->route().second);
  EXPECT_TRUE(net->client().traversal->poll_path_changed());
  EXPECT_FALSE(net->client().traversal->poll_path_changed());
  net->set_relay(false);
  EXPECT_FALSE(net->client().traversal->route().first);
}

TEST(Traversal, EasyPairsAreDirectWithinASecond) {
  for (const Nat client : {Nat::kNone, Nat::kPortRestricted}) {
    for (const Nat node : {Nat::kNone, Nat::kPortRestricted, Nat::kSymmetric}) {
      if (client == Nat::kPortRestricted && node == Nat::kSymmetric) continue;
      auto net = network(client, node);
      net->start();
      EXPECT_TRUE(net->run_until([&] { return net->both_on(Kind::kDirectV4); }, 1s))
          << static_cast<int>(client) << " " << static_cast<int>(node);
      const auto report = net->client().traversal->report(net->now());
      ASSERT_TRUE(report.time_to_direct);
      EXPECT_LE(*report.time_to_direct, 1s);
      EXPECT_EQ(report.restarts, 0u);
      EXPECT_EQ(report.reason, Reason::kBetterKind);
      EXPECT_EQ(net->node().traversal->report(net->now()).reason, Reason::kFollowedPeer);
      ASSERT_TRUE(report.remote);
      EXPECT_EQ(report.remote->address, net->node().outside);
      EXPECT_TRUE(report.round_trip);
    }
  }
}

TEST(Traversal, PacketsFollowThePathAndNoneIsLostOnTheWayUp) {
  auto net = network(Nat::kPortRestricted, Nat::kPortRestricted);
  net->send_data(5ms);
  net->start();
  net->run_for(3s);
  ASSERT_TRUE(net->both_on(Kind::kDirectV4));
  EXPECT_LE(SmallNetwork::longest_gap(net->node(), net->now() - 2900ms, net->now()), 25ms);
  EXPECT_LE(SmallNetwork::longest_gap(net->client(), net->now() - 2900ms, net->now()), 25ms);
  const auto relayed = net->client().relay_packets, direct = net->client().direct_packets;
  net->run_for(2s);
  EXPECT_EQ(net->client().relay_packets, relayed);
  EXPECT_EQ(net->client().direct_packets, direct + 400);
  EXPECT_FALSE(net->client().traversal->route().second);
}

TEST(Traversal, LossAndReorderingOnlySlowItDown) {
  unsigned quick = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    auto net = network(Nat::kPortRestricted, Nat::kPortRestricted, false, seed);
    net->loss = 0.15;
    net->jitter = 30ms;
    net->start();
    // Three probes lost in a row cost a path its first chance; the next comes with the retry.
    EXPECT_TRUE(net->run_until([&] { return net->both_on(Kind::kDirectV4); }, 15s)) << "seed " << seed;
    if (net->elapsed() <= 1s) ++quick;
  }
  EXPECT_GE(quick, 16u);
}

TEST(Traversal, TheDescriptionComesFirstAndTheEndLast) {
  auto net = network(Nat::kNone, Nat::kPortRestricted);
  net->start();
  net->run_for(50ms);
  const auto told = signals_of(net->client());
  ASSERT_GE(told.size(), 3u);
  EXPECT_TRUE(std::holds_alternative<ice::Description>(told.front()));
  EXPECT_EQ(count_actions(net->client(), "ice-description"), 1u);
  EXPECT_EQ(count_actions(net->client(), "candidate"), 1u);
  EXPECT_EQ(count_actions(net->client(), "candidates-end"), 1u);
}

TEST(Traversal, PrivateAddressesAreNotTold) {
  auto net = network(Nat::kPortRestricted, Nat::kPortRestricted);
  net->start();
  net->run_for(2s);
  for (const auto& signal : signals_of(net->client())) {
    const auto* candidate = std::get_if<CandidateSignal>(&signal);
    if (candidate == nullptr) continue;
    EXPECT_FALSE(ice::is_special(candidate->candidate.endpoint.address));
  }
  EXPECT_EQ(count_actions(net->client(), "candidate"), 1u);
}

TEST(Traversal, GuessesAreToldAsTheWorstCandidates) {
  auto net = network(Nat::kPortRestricted, Nat::kPortRestricted);
  for (std::uint16_t port = 1; port <= 20; ++port) net->predicted.push_back({net->client().outside, port});
  net->start();
  net->run_for(3s);
  std::uint32_t worst_real = 0xFFFFFFFF, best_guess = 0;
  std::size_t guesses = 0;
  for (const auto& signal : signals_of(net->client())) {
    const auto* candidate = std::get_if<CandidateSignal>(&signal);
    if (candidate == nullptr) continue;
    if (candidate->candidate.foundation == kPredictedFoundation) {
      ++guesses;
      best_guess = std::max(best_guess, candidate->candidate.priority);
    } else {
      worst_real = std::min(worst_real, candidate->candidate.priority);
    }
  }
  EXPECT_EQ(guesses, Announcer::kMaxPredicted);
  EXPECT_LT(best_guess, worst_real);
  EXPECT_LE(net->node().destinations.size(), 16u);
  EXPECT_TRUE(net->both_on(Kind::kDirectV4));
}

TEST(Traversal, ImpossiblePairsTakeTurnWithinTwoSeconds) {
  for (const Nat node : {Nat::kSymmetric, Nat::kPortRestricted}) {
    auto net = network(Nat::kSymmetric, node, true);
    net->send_data(10ms);
    net->start();
    EXPECT_TRUE(net->run_until([&] { return net->both_on(Kind::kTurn); }, 2s)) << static_cast<int>(node);
    net->run_for(3s);
    EXPECT_TRUE(net->both_on(Kind::kTurn));
    const auto relayed = net->client().relay_packets, turned = net->client().turn_packets;
    const auto received = net->node().received.size();
    net->run_for(1s);
    EXPECT_EQ(net->client().relay_packets, relayed);
    EXPECT_EQ(net->client().turn_packets, turned + 100);
    EXPECT_GE(net->node().received.size(), received + 95);
    EXPECT_FALSE(net->client().traversal->report(net->now()).time_to_direct);
  }
}

TEST(Traversal, TurnIsKeptBesideADirectPath) {
  auto net = network(Nat::kPortRestricted, Nat::kPortRestricted, true);
  net->start();
  ASSERT_TRUE(net->run_until([&] { return net->both_on(Kind::kDirectV4); }, 2s));
  net->run_for(1000s);
  EXPECT_EQ(net->turn_allocations(), 1u);
  EXPECT_TRUE(net->both_on(Kind::kDirectV4));
  net->send_data(10ms);
  net->run_for(2s);
  net->direct_cut = true;
  EXPECT_TRUE(net->run_until([&] { return net->both_on(Kind::kTurn); }, 2s));
}

TEST(Traversal, CloseDeletesTheAllocation) {
  auto net = network(Nat::kSymmetric, Nat::kSymmetric, true);
  net->start();
  ASSERT_TRUE(net->run_until([&] { return net->both_on(Kind::kTurn); }, 3s));
  ASSERT_EQ(net->turn_allocations(), 1u);
  net->client().traversal->close(net->now());
  EXPECT_FALSE(net->client().traversal->poll_timeout());
  net->run_for(1s);
  EXPECT_EQ(net->turn_allocations(), 0u);
  EXPECT_FALSE(net->client().traversal->poll_signal());
}

TEST(Traversal, ATurnServerThatFailsIsAskedAgainLater) {
  auto net = network(Nat::kSymmetric, Nat::kSymmetric, true);
  net->turn_password = SecretString("not yet");
  net->start();
  net->run_for(3s);
  EXPECT_TRUE(net->both_on(Kind::kRelay));
  net->turn_password = SecretString("secret");
  EXPECT_TRUE(net->run_until([&] { return net->both_on(Kind::kTurn); }, 30s));
}

TEST(Traversal, WithoutUdpTheRelayStays) {
  auto net = network(Nat::kBlocked, Nat::kNone, true);
  net->send_data(20ms);
  net->start();
  net->run_for(120s);
  EXPECT_TRUE(net->both_on(Kind::kRelay));
  EXPECT_GT(net->client().traversal->report(net->now()).restarts, 0u);
  EXPECT_LE(SmallNetwork::longest_gap(net->node(), net->now() - 119s, net->now()), 30ms);
}

TEST(Traversal, ACutDirectPathFallsBackAndComesBack) {
  auto net = network(Nat::kPortRestricted, Nat::kPortRestricted);
  net->send_data(5ms);
  net->start();
  ASSERT_TRUE(net->run_until([&] { return net->both_on(Kind::kDirectV4); }, 2s));
  net->run_for(2s);
  const Instant cut = net->now();
  net->direct_cut = true;
  ASSERT_TRUE(net->run_until([&] { return net->both_on(Kind::kRelay); }, 2s));
  net->run_for(5s);
  EXPECT_LE(SmallNetwork::longest_gap(net->node(), cut, net->now()), 800ms);
  EXPECT_LE(SmallNetwork::longest_gap(net->client(), cut, net->now()), 800ms);
  const auto report = net->client().traversal->report(net->now());
  EXPECT_EQ(report.fallbacks, 1u);
  EXPECT_EQ(report.reason, Reason::kLostProbes);

  net->direct_cut = false;
  const Instant restored = net->now();
  EXPECT_TRUE(net->run_until([&] { return net->both_on(Kind::kDirectV4); }, 15s));
  net->run_for(2s);
  EXPECT_LE(SmallNetwork::longest_gap(net->node(), restored, net->now()), 50ms);
  EXPECT_GE(net->client().traversal->report(net->now()).restarts, 1u);
}

TEST(Traversal, AnotherAddressOfEitherEnd) {
  for (const bool client_moves : {true, false}) {
    auto net = network(Nat::kPortRestricted, Nat::kPortRestricted);
    net->send_data(5ms);
    net->start();
    ASSERT_TRUE(net->run_until([&] { return net->both_on(Kind::kDirectV4); }, 2s));
    net->run_for(5s);
    auto& moving = client_moves ? net->client() : net->node();
    const Instant moved = net->now();
    net->move(moving, *IpAddress::parse("10.9.9.9"), *IpAddress::parse("203.0.113.99"));
    net->run_for(6s);
    EXPECT_TRUE(net->both_on(Kind::kDirectV4)) << client_moves;
    EXPECT_LE(SmallNetwork::longest_gap(net->node(), moved, net->now()), 1s) << client_moves;
    EXPECT_LE(SmallNetwork::longest_gap(net->client(), moved, net->now()), 1s) << client_moves;
    const auto& still = client_moves ? net->node() : net->client();
    EXPECT_EQ(still.traversal->route().first->to.address, moving.outside);
  }
}

TEST(Traversal, AnotherAddressWhileTheRelayIsDeadToo) {
  // The node can be reached by anyone, so that the client's probes from its new address arrive without a word before.
  auto net = network(Nat::kPortRestricted, Nat::kNone);
  net->send_data(5ms);
  net->start();
  ASSERT_TRUE(net->run_until([&] { return net->both_on(Kind::kDirectV4); }, 2s));
  net->run_for(5s);
  const Instant moved = net->now();
  net->set_relay(false);
  net->move(net->client(), *IpAddress::parse("10.9.9.9"), *IpAddress::parse("203.0.113.99"));
  net->run_for(3s);
  EXPECT_LE(SmallNetwork::longest_gap(net->client(), moved, net->now()), 2s);
  EXPECT_LE(SmallNetwork::longest_gap(net->node(), moved, net->now()), 2s);
  net->set_relay(true);
  net->run_for(5s);
  EXPECT_TRUE(net->both_on(Kind::kDirectV4));
}

TEST(Traversal, ARelayThatComesBackIsToldEverythingAgain) {
  auto net = network(Nat::kPortRestricted, Nat::kPortRestricted);
  net->signals_cut = true;
  net->start();
  net->run_for(3s);
  EXPECT_TRUE(net->both_on(Kind::kRelay));
  net->set_relay(false);
  net->signals_cut = false;
  net->run_for(1s);
  EXPECT_FALSE(net->client().traversal->route().first);
  net->client().told.clear();
  net->set_relay(true);
  EXPECT_EQ(net->client().told.front().action, "ice-description");
  EXPECT_TRUE(net->run_until([&] { return net->both_on(Kind::kDirectV4); }, 3s));
}

TEST(Traversal, ADirectPathOutlivesTheRelay) {
  auto net = network(Nat::kPortRestricted, Nat::kPortRestricted);
  net->send_data(5ms);
  net->start();
  ASSERT_TRUE(net->run_until([&] { return net->both_on(Kind::kDirectV4); }, 2s));
  net->run_for(1s);
  net->set_relay(false);
  const Instant down = net->now();
  net->run_for(60s);
  EXPECT_TRUE(net->both_on(Kind::kDirectV4));
  EXPECT_LE(SmallNetwork::longest_gap(net->node(), down, net->now()), 30ms);
}

TEST(Traversal, LostMessagesAreMadeGoodInTime) {
  auto net = network(Nat::kPortRestricted, Nat::kPortRestricted);
  net->signals_cut = true;
  net->start();
  net->run_for(5s);
  net->signals_cut = false;
  EXPECT_TRUE(net->run_until([&] { return net->both_on(Kind::kDirectV4); }, 60s));
}

TEST(Traversal, RelayOnlySendsNothingElsewhere) {
  for (const bool client : {true, false}) {
    const Policy policies[] = {client ? Policy::kRelayOnly : Policy::kAuto,
                               client ? Policy::kAuto : Policy::kRelayOnly};
    SmallNetwork net(1, {Nat::kNone, with(policies[0], true)}, {Nat::kNone, with(policies[1])});
    net.send_data(10ms);
    net.start();
    net.run_for(30s);
    EXPECT_TRUE(net.both_on(Kind::kRelay));
    auto& host = client ? net.client() : net.node();
    EXPECT_EQ(host.requests_sent, 0u);
    EXPECT_EQ(host.direct_packets, 0u);
    EXPECT_EQ(count_actions(host, "candidate"), 0u);
    EXPECT_EQ(net.turn_allocations(), client ? 0u : 1u);
    // And is measured all the same.
    EXPECT_TRUE(host.traversal->report(net.now()).round_trip);
  }
}

TEST(Traversal, DirectOnlyNeverUsesTheRelay) {
  SmallNetwork net(1, {Nat::kPortRestricted, with(Policy::kDirectOnly, true)},
                   {Nat::kPortRestricted, with(Policy::kAuto)});
  net.send_data(10ms);
  net.signals_cut = true;
  net.start();
  net.run_for(5s);
  EXPECT_FALSE(net.client().traversal->route().first);
  net.signals_cut = false;
  EXPECT_TRUE(net.run_until([&] { return net.path(net.client()) == Kind::kDirectV4; }, 30s));
  net.run_for(1s);
  net.direct_cut = true;
  net.run_for(60s);
  EXPECT_EQ(net.client().relay_packets, 0u);
  EXPECT_EQ(net.turn_allocations(), 0u);
  net.direct_cut = false;
  EXPECT_TRUE(net.run_until([&] { return net.path(net.client()) == Kind::kDirectV4; }, 330s));
}

TEST(Traversal, AFollowersPathChangedDoesNotMoveTheLeader) {
  SeededRandom random(1);
  Traversal leader(Instant{}, TraversalOptions{}, random);
  leader.set_relay(Instant{}, true);
  const auto before = leader.report(Instant{}).switches;
  EXPECT_TRUE(leader.handle_signal(Instant{}, encode_signal(PathSignal{100, Kind::kRelay})));
  EXPECT_EQ(leader.report(Instant{}).switches, before);
}

}  // namespace
}  // namespace higgs::path

#include <gtest/gtest.h>

#include "sim/wireguard_world.h"
#include "wireguard/constants.h"

namespace higgs::sim {
namespace {

using namespace std::chrono_literals;

/// Each test runs with several seeds; the number in the name of a failing one is the seed that replays it.
class WireguardSim : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  static WireguardWorld::Noise harsh() { return {0.1, 0.05, 0.05, 0.05, 5ms, 800ms}; }

  void expect_sound(const WireguardWorld& world) {
    const auto& verdict = world.verdict();
    EXPECT_EQ(verdict.lost_by_engine, 0u);
    // Both ends let keys die at the same age, but begin to count a transit time apart.
    EXPECT_LE(verdict.expired_under_way, verdict.sent / 1000);
    EXPECT_EQ(verdict.delivered_twice, 0u);
    EXPECT_EQ(verdict.garbled, 0u);
    EXPECT_EQ(verdict.wrong_source, 0u);
    EXPECT_EQ(verdict.nonce_reused, 0u);
    EXPECT_EQ(verdict.overaged_keys, 0u);
    EXPECT_GT(verdict.delivered, 0u);
  }
  /// No keys are left once nothing has been said for long enough.
  void expect_erased_after_silence(WireguardWorld& world, std::size_t engines) {
    world.run(wireguard::kEraseKeysAfterTime + 5min);
    for (std::size_t i = 0; i < engines; ++i) {
      EXPECT_EQ(world.engine(i).key_pairs(), 0u) << "engine " << i;
      EXPECT_FALSE(world.engine(i).poll_timeout()) << "engine " << i;
    }
  }
};

TEST_P(WireguardSim, TwoDaysOfSteadyTrafficOverAHarshWire) {
  WireguardWorld world({GetParam(), 2, harsh()});
  std::mt19937_64 random(GetParam() + 1000);
  const auto start = world.now().monotonic;
  while (world.now().monotonic - start < 48h) {
    world.send(0, 1, 1 + random() % 3);
    if (random() % 3 == 0) world.send(1, 0, 1 + random() % 3);
    world.run(std::chrono::milliseconds(500 + random() % 9000));
  }
  expect_sound(world);
  const auto& verdict = world.verdict();
  EXPECT_GT(verdict.replays_made, 1000u);
  // A tenth is lost on the way; a few packets more wait in vain for a handshake at most.
  EXPECT_GT(static_cast<double>(verdict.delivered), 0.85 * static_cast<double>(verdict.sent));
  const auto completed = world.engine(0).counters().handshakes_completed;
  EXPECT_GE(completed, 48 * 3600 / 180);
  EXPECT_LE(completed, 48 * 3600 / 60);
  expect_erased_after_silence(world, 2);
}

TEST_P(WireguardSim, ACleanWireLosesNothingAtAll) {
  WireguardWorld world({GetParam(), 2, {0, 0, 0, 0, 20ms, 20ms}});
  std::mt19937_64 random(GetParam() + 2000);
  const auto start = world.now().monotonic;
  while (world.now().monotonic - start < 24h) {
    const std::size_t from = random() % 2;
    world.send(from, 1 - from, 1 + random() % 5);
    world.run(std::chrono::milliseconds(random() % 20000));
  }
  world.run(10s);
  expect_sound(world);
  EXPECT_EQ(world.verdict().delivered, world.verdict().sent);
  EXPECT_EQ(world.engine(0).counters().handshakes_given_up, 0u);
}

TEST_P(WireguardSim, ThreeEnginesWithOutagesIdleTimesRoamingAndALiar) {
  WireguardWorld world({GetParam(), 3, harsh()});
  std::mt19937_64 random(GetParam() + 3000);
  const auto start = world.now().monotonic;
  std::uint64_t lies = 0;
  while (world.now().monotonic - start < 24h) {
    switch (random() % 200) {
      case 0:
        world.set_cut(true);
        world.run(std::chrono::seconds(random() % 300));
        world.set_cut(false);
        break;
      case 1:
        world.run(std::chrono::seconds(random() % 900));
        break;
      case 2:
        world.roam(1);
        world.send(1, 0);
        world.send(1, 2);
        break;
      default:
        break;
    }
    const std::size_t from = random() % 3;
    const std::size_t to = (from + 1 + random() % 2) % 3;
    world.send(from, to, 1 + random() % 4);
    if (random() % 10 == 0) {
      world.send_spoofed(2, 0, 1);
      ++lies;
    }
    world.run(std::chrono::milliseconds(random() % 8000));
  }
  expect_sound(world);
  EXPECT_GT(lies, 100u);
  EXPECT_GT(world.engine(0).counters().wrong_source, lies / 2);
  expect_erased_after_silence(world, 3);
}

TEST_P(WireguardSim, ALongOutageGivesUpAndTrafficBeginsAnew) {
  WireguardWorld world({GetParam(), 2, {0.05, 0, 0, 0, 5ms, 100ms}});
  for (int round = 0; round < 20; ++round) {
    world.send(0, 1, 5);
    world.run(20s);
    const auto delivered = world.verdict().delivered;
    EXPECT_GT(delivered, 0u);
    world.set_cut(true);
    world.run(10min);
    world.send(0, 1, 3);
    const auto given_up = world.engine(0).counters().handshakes_given_up;
    world.run(wireguard::kRekeyAttemptTime + 20s);
    EXPECT_EQ(world.engine(0).counters().handshakes_given_up, given_up + 1);
    world.set_cut(false);
    world.run(10min);
    EXPECT_EQ(world.verdict().delivered, delivered) << "what was given up does not come back";
    EXPECT_EQ(world.engine(0).key_pairs() + world.engine(1).key_pairs(), 0u);
  }
  expect_sound(world);
}

TEST_P(WireguardSim, NearlyDeadWireStillKeepsTheRules) {
  WireguardWorld world({GetParam(), 2, {0.6, 0.2, 0.2, 0.2, 1ms, 4000ms}});
  std::mt19937_64 random(GetParam() + 4000);
  const auto start = world.now().monotonic;
  while (world.now().monotonic - start < 8h) {
    const std::size_t from = random() % 2;
    world.send(from, 1 - from, 1 + random() % 3);
    world.run(std::chrono::milliseconds(random() % 8000));
  }
  // On such a wire a packet may come after its keys are gone; every other rule holds.
  const auto& verdict = world.verdict();
  EXPECT_EQ(
      verdict.delivered_twice + verdict.garbled + verdict.wrong_source + verdict.nonce_reused + verdict.overaged_keys,
      0u);
  EXPECT_GT(static_cast<double>(verdict.delivered), 0.2 * static_cast<double>(verdict.sent));
  EXPECT_LT(verdict.lost_by_engine, verdict.sent / 200);
}

INSTANTIATE_TEST_SUITE_P(Seeds, WireguardSim, ::testing::Values(1, 2, 3));

}  // namespace
}  // namespace higgs::sim

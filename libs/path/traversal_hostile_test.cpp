// What a far end that wants harm can bring a Traversal to do.
#include <set>

#include <gtest/gtest.h>

#include "path/signal.h"
#include "path/traversal.h"

namespace higgs::path {
namespace {

using namespace std::chrono_literals;

class HostilePeer : public ::testing::Test {
 protected:
  void say(const Signal& signal) { EXPECT_TRUE(victim.handle_signal(now, encode_signal(signal))); }
  static ice::Description description(std::uint32_t generation) {
    return {generation, "ufrag" + std::to_string(generation), std::string(24, 'p')};
  }
  static CandidateSignal candidate(std::uint32_t generation, unsigned number) {
    return {generation,
            {ice::CandidateType::kHost,
             {IpAddress::v4(0xC6336400u + number % 256), static_cast<std::uint16_t>(1000 + number)},
             1 + number,
             "f"}};
  }
  /// Packets sent, by the network, within that time.
  unsigned run(std::chrono::milliseconds duration) {
    unsigned sent = 0;
    const Instant until = now + duration;
    while (true) {
      while (const auto out = victim.poll_transmit()) {
        destinations.insert(out->to);
        if (out->base == ice::Base::kSocket) ++sent;
      }
      while (victim.poll_signal()) ++told;
      const auto next = victim.poll_timeout();
      if (!next || *next > until) break;
      now = std::max(now, *next);
      victim.handle_timeout(now);
    }
    now = until;
    return sent;
  }

  SeededRandom random{5};
  Instant now{};
  Traversal victim{now, TraversalOptions{.leads = false, .policy = Policy::kAuto, .turn = {}, .ice = {}, .path = {}},
                   random};
  std::set<Endpoint> destinations;
  unsigned told = 0;

  void SetUp() override {
    LocalAddresses local;
    local.host = {*Endpoint::parse("203.0.113.1:51820")};
    victim.set_local(now, local);
    victim.set_relay(now, true);
  }
};

TEST_F(HostilePeer, MalformedMessagesAreRefused) {
  EXPECT_FALSE(victim.handle_signal(now, {"candidate", "{}"}));
  EXPECT_FALSE(victim.handle_signal(now, {"candidate", "\xff"}));
  EXPECT_FALSE(victim.handle_signal(now, {"ice-description", "[]"}));
  EXPECT_FALSE(victim.handle_signal(now, {"session-open", "{}"}));
}

TEST_F(HostilePeer, AFloodOfCandidatesGoesToFewDestinationsSlowly) {
  say(description(1));
  for (unsigned i = 0; i < 5000; ++i) say(candidate(1, i));
  unsigned most = 0;
  for (int second = 0; second < 30; ++second) most = std::max(most, run(1s));
  EXPECT_LE(most, 41u);
  EXPECT_GT(most, 10u);
  EXPECT_LE(destinations.size(), 17u);  // and the relay
  EXPECT_GT(victim.report(now).ice.candidates_dropped, 4000u);
}

TEST_F(HostilePeer, AFloodOfDescriptionsBeginsFewAttempts) {
  unsigned sent = 0;
  for (std::uint32_t generation = 1; generation <= 2000; ++generation) {
    say(description(generation));
    for (unsigned i = 0; i < 20; ++i) say(candidate(generation, generation * 20 + i));
    sent += run(5ms);
  }
  // Ten seconds: 40 packets in each, and a new attempt in each after the first burst.
  EXPECT_LE(sent, 410u);
  EXPECT_LE(destinations.size(), 16u * 15 + 1);
  EXPECT_LE(told, 10u);
  // The last word is heard in the end.
  run(3s);
  say(description(2000));
  destinations.clear();
  for (unsigned i = 0; i < 3; ++i) say(candidate(2000, i));
  run(3s);
  EXPECT_GE(destinations.size(), 3u);
}

TEST_F(HostilePeer, OldGenerationsAreIgnored) {
  say(description(5));
  say(description(4));
  say(candidate(4, 1));
  run(3s);
  EXPECT_FALSE(destinations.contains(candidate(4, 1).candidate.endpoint));
  say(candidate(5, 2));
  run(3s);
  EXPECT_TRUE(destinations.contains(candidate(5, 2).candidate.endpoint));
}

TEST_F(HostilePeer, AFloodOfPathChangesMovesNothingThatIsNotThere) {
  say(description(1));
  for (std::uint32_t epoch = 1; epoch < 5000; ++epoch)
    say(PathSignal{epoch, epoch % 2 == 0 ? Kind::kDirectV4 : Kind::kTurn});
  EXPECT_EQ(victim.route().first, (Hop{ice::Base::kRelay, {}}));
  EXPECT_LE(run(1s), 41u);
}

TEST_F(HostilePeer, PrivateAddressesAreNotProbed) {
  say(description(1));
  for (const auto* text : {"10.0.0.1:80", "192.168.1.1:80", "127.0.0.1:80", "169.254.169.254:80", "100.64.0.1:80"})
    say(CandidateSignal{1, {ice::CandidateType::kHost, *Endpoint::parse(text), 5, "f"}});
  EXPECT_EQ(run(10s), 0u);
}

}  // namespace
}  // namespace higgs::path

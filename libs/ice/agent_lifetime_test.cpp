// What happens to pairs that were found: probes, consent, restarts, addresses that come and go.
#include <gtest/gtest.h>

#include "ice/agent.h"
#include "ice/testing/ice_ends.h"

namespace higgs::ice {
namespace {

using namespace std::chrono_literals;
using testing::at;
using testing::End;
using testing::Ends;
using testing::kAddressA;
using testing::kAddressB;
using testing::Sent;

class IceLifetime : public ::testing::Test {
 protected:
  void connect() {
    ends_.connect();
    ASSERT_TRUE(ends_.both_valid(1s));
    ends_.network.run(10s);  // all checks are through
    pair_ = ends_.a.valid().at(0).id;
  }
  bool probe(std::uint32_t number, std::uint32_t epoch = 0, std::optional<PairId> pair = {}) {
    const bool out = ends_.a.agent->send_probe(ends_.network.now(), pair.value_or(pair_), number, epoch);
    ends_.network.drain();
    return out;
  }
  std::vector<Instant> requests_since(const End& end, Instant since) {
    std::vector<Instant> out;
    for (const Sent& sent : end.sent)
      if (sent.request && sent.when >= since) out.push_back(sent.when);
    return out;
  }

  Ends ends_;
  PairId pair_ = kRelayPair;
};

TEST_F(IceLifetime, ProbeIsAnsweredWithItsNumberAndRoundTrip) {
  connect();
  ASSERT_TRUE(probe(77));
  ends_.network.run(100ms);
  const auto* answered = ends_.a.last<ProbeAnswered>();
  ASSERT_NE(answered, nullptr);
  EXPECT_EQ(answered->pair, pair_);
  EXPECT_EQ(answered->probe, 77u);
  EXPECT_EQ(answered->round_trip, 20ms);
  EXPECT_EQ(answered->remote_epoch, 0u);
  EXPECT_EQ(ends_.b.count<PeerSendsOn>(), 0u);
}

TEST_F(IceLifetime, ProbeTellsTheEpochAndTheAnswerTheFarEnds) {
  connect();
  ASSERT_TRUE(probe(1, 5));
  ends_.network.run(100ms);
  ASSERT_NE(ends_.b.last<PeerSendsOn>(), nullptr);
  EXPECT_EQ(ends_.b.last<PeerSendsOn>()->epoch, 5u);
  EXPECT_EQ(ends_.b.last<PeerSendsOn>()->pair, ends_.b.valid()[0].id);
  ASSERT_TRUE(ends_.b.agent->send_probe(ends_.network.now(), ends_.b.valid()[0].id, 1, 5));
  ends_.network.run(100ms);
  ASSERT_TRUE(probe(2, 5));
  ends_.network.run(100ms);
  EXPECT_EQ(ends_.a.last<ProbeAnswered>()->remote_epoch, 5u);
}

TEST_F(IceLifetime, ProbeGoesThroughTheRelayAsSoonAsThereIsADescription) {
  EXPECT_FALSE(probe(1, 0, kRelayPair));
  EXPECT_EQ(ends_.a.agent->find(kRelayPair), nullptr);
  ends_.network.describe(ends_.b, ends_.a);
  ASSERT_TRUE(probe(1, 3, kRelayPair));
  ends_.network.run(100ms);
  ASSERT_NE(ends_.a.last<ProbeAnswered>(), nullptr);
  EXPECT_EQ(ends_.a.last<ProbeAnswered>()->pair, kRelayPair);
  EXPECT_EQ(ends_.a.last<ProbeAnswered>()->round_trip, 60ms);
  EXPECT_EQ(ends_.b.count<PeerSendsOn>(), 0u) << "there is no relay pair there yet";
  ends_.network.describe(ends_.a, ends_.b);
  ASSERT_EQ(ends_.b.count<PeerSendsOn>(), 1u);
  EXPECT_EQ(ends_.b.last<PeerSendsOn>()->pair, kRelayPair);
  EXPECT_EQ(ends_.b.last<PeerSendsOn>()->epoch, 3u);
}

TEST_F(IceLifetime, ProbeNeedsAValidPair) {
  connect();
  EXPECT_FALSE(probe(1, 0, pair_ + 100));
  ends_.a.silent = true;
  ends_.network.run(40s);
  EXPECT_FALSE(probe(1));
}

// The far end may choose a pair before our own check of it went through.
TEST_F(IceLifetime, EpochOnAPairThatIsNotYetValidIsToldOnceItIs) {
  bool deaf = true;
  ends_.network.tap = [&](const End& from, const Endpoint&, const Sent& sent) {
    return !(deaf && &from == &ends_.b && sent.request);
  };
  ends_.connect();
  ASSERT_TRUE(ends_.network.run_until([&] { return !ends_.a.valid().empty(); }, 1s));
  pair_ = ends_.a.valid()[0].id;
  ASSERT_TRUE(probe(1, 9));
  ends_.network.run(50ms);
  EXPECT_EQ(ends_.b.count<PeerSendsOn>(), 0u);
  EXPECT_TRUE(ends_.b.valid().empty());
  deaf = false;
  ASSERT_TRUE(ends_.network.run_until([&] { return ends_.b.count<PeerSendsOn>() == 1; }, 500ms));
  ASSERT_EQ(ends_.b.valid().size(), 1u);
  EXPECT_EQ(ends_.b.last<PeerSendsOn>()->epoch, 9u);
}

TEST_F(IceLifetime, ConsentIsAskedForEveryFiveSecondsOrSo) {
  connect();
  const auto from = ends_.network.now();
  ends_.network.run(120s);
  const auto times = requests_since(ends_.a, from);
  EXPECT_GE(times.size(), 20u);
  std::set<std::int64_t> gaps;
  for (std::size_t i = 1; i < times.size(); ++i) {
    EXPECT_GE(times[i] - times[i - 1], 4s);
    EXPECT_LE(times[i] - times[i - 1], 6s);
    gaps.insert((times[i] - times[i - 1]).count());
  }
  EXPECT_GT(gaps.size(), 10u) << "at random";
  EXPECT_EQ(ends_.a.count<PairLost>(), 0u);
}

TEST_F(IceLifetime, ProbesStandForConsentChecks) {
  connect();
  const auto from = ends_.network.now();
  for (std::uint32_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(probe(i));
    ends_.network.run(3s);
  }
  EXPECT_EQ(requests_since(ends_.a, from).size(), 20u);
}

TEST_F(IceLifetime, ConsentEndsThirtySecondsAfterTheLastAnswer) {
  connect();
  ASSERT_TRUE(probe(1));
  ends_.network.run(20ms);
  const auto answered = ends_.network.now();
  ends_.a.silent = true;
  ASSERT_TRUE(ends_.network.run_until([&] { return ends_.a.count<PairLost>() == 1; }, 60s));
  EXPECT_EQ(ends_.network.now() - answered, 30s);
  EXPECT_EQ(ends_.a.last<PairLost>()->pair, pair_);
  EXPECT_EQ(ends_.a.agent->pair_of(Base::kSocket, at(kAddressB)), std::nullopt);
  const auto from = ends_.network.now();
  ends_.network.run(60s);
  EXPECT_TRUE(requests_since(ends_.a, from).empty()) << "without consent nothing is sent (RFC 7675, 5.1)";
}

TEST_F(IceLifetime, RequestsOfTheFarEndAreNoConsent) {
  connect();
  // The answers to A are lost, while B's requests go on coming in.
  ends_.network.tap = [&](const End& from, const Endpoint&, const Sent& sent) {
    return !(&from == &ends_.b && !sent.request);
  };
  ends_.network.run(60s);
  EXPECT_EQ(ends_.a.count<PairLost>(), 1u);
  EXPECT_FALSE(ends_.b.valid().empty());
}

TEST_F(IceLifetime, RecheckFindsWhatHasHealed) {
  ends_.a.silent = true;
  ends_.connect();
  ends_.network.run(30s);
  EXPECT_EQ(ends_.a.count<NothingFound>(), 1u);
  ends_.a.silent = false;
  const auto generation = ends_.a.agent->local_description().generation;
  ends_.a.agent->recheck(ends_.network.now());
  EXPECT_TRUE(ends_.both_valid(1s));
  EXPECT_EQ(ends_.a.agent->local_description().generation, generation);
}

TEST_F(IceLifetime, RestartKeepsValidPairsAndRenewsCredentials) {
  connect();
  const auto before = ends_.a.agent->local_description();
  const auto found = ends_.a.count<CandidateFound>();
  ends_.a.agent->restart(ends_.network.now());
  ends_.network.drain();
  const auto after = ends_.a.agent->local_description();
  EXPECT_EQ(after.generation, before.generation + 1);
  EXPECT_NE(after.ufrag, before.ufrag);
  EXPECT_NE(after.password, before.password);
  EXPECT_EQ(ends_.a.count<CandidateFound>(), 2 * found) << "to be told again";
  ends_.network.signal(ends_.a, ends_.b, 30ms);
  ends_.network.run(10s);
  for (End* end : {&ends_.a, &ends_.b}) {
    EXPECT_EQ(end->count<PairLost>(), 0u);
    ASSERT_EQ(end->valid().size(), 1u);
    EXPECT_EQ(end->agent->counters().bad_integrity, 0u);
  }
  EXPECT_EQ(ends_.a.valid()[0].id, pair_);
  ends_.network.run(60s);
  EXPECT_EQ(ends_.a.count<PairLost>() + ends_.b.count<PairLost>(), 0u) << "consent goes on with the new credentials";
}

TEST_F(IceLifetime, OldCredentialsAreGoodForHalfAMinute) {
  connect();
  ends_.a.agent->restart(ends_.network.now());
  ends_.network.drain();
  // B is not told, and checks on with the old ones.
  const auto on_b = ends_.b.valid().at(0).id;
  ends_.network.run(25s);
  const auto answers = ends_.b.count<ProbeAnswered>();
  ASSERT_TRUE(ends_.b.agent->send_probe(ends_.network.now(), on_b, 1, 0));
  ends_.network.run(1s);
  EXPECT_EQ(ends_.b.count<ProbeAnswered>(), answers + 1);
  EXPECT_EQ(ends_.a.agent->counters().unknown_user, 0u);
  ends_.network.run(5s);
  ASSERT_TRUE(ends_.b.agent->send_probe(ends_.network.now(), on_b, 2, 0));
  ends_.network.run(1s);
  EXPECT_EQ(ends_.b.count<ProbeAnswered>(), answers + 1);
  EXPECT_GT(ends_.a.agent->counters().unknown_user, 0u);
}

TEST_F(IceLifetime, NewAddressIsFoundAfterARestart) {
  connect();
  const Endpoint gone = at(kAddressA), fresh = at("203.0.113.201:5000");
  ends_.a.addresses.v4 = fresh;
  ends_.a.agent->remove_local_candidate(ends_.network.now(), gone);
  ends_.network.drain();
  EXPECT_EQ(ends_.a.count<PairLost>(), 1u);
  ends_.a.events.clear();
  ends_.a.agent->restart(ends_.network.now());
  ends_.a.agent->add_local_candidate(ends_.network.now(), CandidateType::kHost, fresh);
  ends_.network.drain();
  ends_.network.signal(ends_.a, ends_.b, 30ms);
  ASSERT_TRUE(ends_.network.run_until(
      [&] { return ends_.b.agent->pair_of(Base::kSocket, fresh) && !ends_.a.valid().empty(); }, 1s));
  EXPECT_TRUE(ends_.b.agent->pair_of(Base::kSocket, gone)) << "until consent ends";
  ends_.network.run(31s);
  EXPECT_FALSE(ends_.b.agent->pair_of(Base::kSocket, gone));
  ASSERT_EQ(ends_.b.valid().size(), 1u);
  EXPECT_EQ(ends_.b.valid()[0].remote, fresh);
}

// A new address on the same socket: the far end learns it from the next request, without a word of signalling.
TEST_F(IceLifetime, MovedSocketIsFoundByItsRequests) {
  connect();
  ends_.a.addresses.v4 = at("203.0.113.201:5000");
  ASSERT_TRUE(probe(1, 4));
  ends_.network.run(200ms);
  EXPECT_EQ(ends_.a.last<ProbeAnswered>()->probe, 1u);
  const auto moved = ends_.b.agent->pair_of(Base::kSocket, at("203.0.113.201:5000"));
  ASSERT_TRUE(moved);
  EXPECT_EQ(ends_.b.last<PeerSendsOn>()->pair, *moved);
}

// All addresses share the socket, and the pair works on from the one that is left.
TEST_F(IceLifetime, PairOutlivesItsAddressIfAnotherIsThere) {
  connect();
  const Endpoint fresh = at("203.0.113.201:5000");
  ends_.a.addresses.v4 = fresh;
  ends_.a.agent->add_local_candidate(ends_.network.now(), CandidateType::kHost, fresh);
  ends_.a.agent->remove_local_candidate(ends_.network.now(), at(kAddressA));
  ends_.network.run(200ms);
  EXPECT_EQ(ends_.a.count<PairLost>(), 0u);
  EXPECT_TRUE(ends_.b.agent->pair_of(Base::kSocket, fresh)) << "checked again at once, and so found by the far end";
}

TEST_F(IceLifetime, OtherAddressThatGoesTakesNothingAlong) {
  connect();
  ends_.a.agent->add_local_candidate(ends_.network.now(), CandidateType::kHost, at("203.0.113.201:5000"));
  ends_.a.agent->remove_local_candidate(ends_.network.now(), at("203.0.113.201:5000"));
  ends_.network.drain();
  EXPECT_EQ(ends_.a.count<PairLost>(), 0u);
}

}  // namespace
}  // namespace higgs::ice

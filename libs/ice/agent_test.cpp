#include "ice/agent.h"

#include <gtest/gtest.h>

#include "ice/testing/ice_ends.h"

namespace higgs::ice {
namespace {

using namespace std::chrono_literals;
using testing::at;
using testing::behind;
using testing::Ends;
using testing::kAddressA;
using testing::kAddressB;
using testing::Nat;
using testing::options_of;

TEST(IceAgent, TwoPublicEndsHearEachOther) {
  Ends ends;
  ends.connect();
  ASSERT_TRUE(ends.both_valid(1s));
  EXPECT_EQ(ends.a.valid()[0].remote, at(kAddressB));
  EXPECT_EQ(ends.b.valid()[0].remote, at(kAddressA));
  EXPECT_EQ(ends.a.last<PairValid>()->round_trip, 20ms);
  EXPECT_EQ(ends.a.agent->pair_of(Base::kSocket, at(kAddressB)), ends.a.valid()[0].id);
  EXPECT_EQ(ends.a.valid()[0].local_type, CandidateType::kHost);
}

struct NatCase {
  Nat a, b;
};
class IceNatPairs : public ::testing::TestWithParam<NatCase> {};

TEST_P(IceNatPairs, OpenWithinASecond) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Ends ends(GetParam().a, GetParam().b, seed);
    ends.network.noise.min_delay = 5ms;
    ends.network.noise.max_delay = 60ms;
    ends.connect();
    EXPECT_TRUE(ends.both_valid(1s)) << seed;
  }
}

// The first checks of the end that hears of the other sooner are lost at the far NAT.
TEST_P(IceNatPairs, OpenWithinASecondOfTheLaterDescription) {
  for (const auto head_start : {50ms, 150ms, 400ms, 900ms}) {
    Ends ends(GetParam().a, GetParam().b);
    ends.network.gather(ends.a);
    ends.network.gather(ends.b);
    for (auto [from, to, delay] :
         {std::tuple(&ends.a, &ends.b, 30ms), std::tuple(&ends.b, &ends.a, 30ms + head_start)}) {
      ends.network.describe_later(*from, *to, delay);
      for (const auto& event : from->events)
        ends.network.later(delay, [&ends, target = to, candidate = std::get<CandidateFound>(event).candidate] {
          target->agent->add_remote_candidate(ends.network.now(), candidate, 1);
        });
    }
    EXPECT_TRUE(ends.both_valid(1030ms + head_start)) << head_start.count();
  }
}

INSTANTIATE_TEST_SUITE_P(All, IceNatPairs,
                         ::testing::Values(NatCase{Nat::kNone, Nat::kSymmetric}, NatCase{Nat::kSymmetric, Nat::kNone},
                                           NatCase{Nat::kFullCone, Nat::kFullCone},
                                           NatCase{Nat::kFullCone, Nat::kSymmetric},
                                           NatCase{Nat::kAddressRestricted, Nat::kAddressRestricted},
                                           NatCase{Nat::kAddressRestricted, Nat::kSymmetric},
                                           NatCase{Nat::kPortRestricted, Nat::kPortRestricted},
                                           NatCase{Nat::kPortRestricted, Nat::kAddressRestricted},
                                           NatCase{Nat::kNone, Nat::kPortRestricted}));

TEST(IceAgent, SymmetricAndPortRestrictedFindNothingAndSaySoOnce) {
  Ends ends(Nat::kSymmetric, Nat::kPortRestricted);
  ends.connect();
  ends.network.run(30s);
  EXPECT_TRUE(ends.a.valid().empty());
  EXPECT_EQ(ends.a.count<NothingFound>(), 1u);
  EXPECT_EQ(ends.b.count<NothingFound>(), 1u);
}

TEST(IceAgent, NoCandidatesAtAllIsNothingFound) {
  Ends ends;
  ends.network.gather(ends.a);
  ends.network.describe(ends.b, ends.a);
  ends.network.run(1s);
  EXPECT_EQ(ends.a.count<NothingFound>(), 0u) << "some may still come";
  ends.a.agent->end_of_remote_candidates(ends.network.now(), 1);
  ends.network.drain();
  EXPECT_EQ(ends.a.count<NothingFound>(), 1u);
}

TEST(IceAgent, NetworkThatLosesDoublesAndReordersOnlyDelays) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    Ends ends(Nat::kPortRestricted, Nat::kPortRestricted, seed);
    ends.network.noise = {.loss = 0.3, .duplicate = 0.2, .min_delay = 5ms, .max_delay = 150ms};
    ends.connect();
    EXPECT_TRUE(ends.both_valid(8s)) << seed;
    ends.network.run(5s);
    EXPECT_EQ(ends.a.valid().size(), 1u) << seed;
    EXPECT_EQ(ends.b.valid().size(), 1u) << seed;
    EXPECT_EQ(ends.a.agent->counters().bad_integrity, 0u);
  }
}

TEST(IceAgent, Ipv6IsTriedFirst) {
  auto of_a = behind(Nat::kNone, 101), of_b = behind(Nat::kNone, 102);
  of_a.v6 = at("[2001:db8:a::2]:5000");
  of_b.v6 = at("[2001:db8:b::2]:5000");
  Ends ends(of_a, of_b);
  ends.network.gather(ends.a);
  ends.network.gather(ends.b);
  // Told in the wrong order, before the description.
  for (const auto endpoint : {*of_b.v4, *of_b.v6})
    EXPECT_TRUE(ends.a.agent->add_remote_candidate(
        ends.network.now(),
        {CandidateType::kHost, endpoint, candidate_priority(CandidateType::kHost, endpoint.address), "1"}, 1));
  ends.network.describe(ends.b, ends.a);
  ends.network.describe(ends.a, ends.b);
  ends.network.run(1s);
  EXPECT_TRUE(ends.a.sent.at(0).to.address.is_v6());
  ASSERT_EQ(ends.a.valid().size(), 2u) << "the other family is there too";
  const auto* first = std::get_if<PairValid>(&*std::ranges::find_if(
      ends.a.events, [](const Event& event) { return std::holds_alternative<PairValid>(event); }));
  EXPECT_TRUE(first->pair.remote.address.is_v6());
  for (const auto& pair : ends.b.valid()) EXPECT_EQ(pair.remote_type, CandidateType::kPeerReflexive);
}

TEST(IceAgent, PairsAreOfOneFamily) {
  auto of_b = behind(Nat::kNone, 102);
  of_b.v4.reset();
  of_b.v6 = at("[2001:db8:b::2]:5000");
  Ends ends(behind(Nat::kNone, 101), of_b);
  ends.connect();
  ends.network.run(5s);
  EXPECT_EQ(ends.a.requests() + ends.b.requests(), 0u);
}

TEST(IceAgent, PeerReflexiveCandidatesOfBothEnds) {
  Ends ends(Nat::kSymmetric, Nat::kNone);
  ends.connect();
  ASSERT_TRUE(ends.both_valid(1s));
  ends.network.run(1s);
  ASSERT_EQ(ends.a.valid().size(), 1u);
  EXPECT_EQ(ends.a.valid()[0].local_type, CandidateType::kPeerReflexive);
  EXPECT_EQ(ends.a.valid()[0].remote_type, CandidateType::kHost);
  ASSERT_EQ(ends.b.valid().size(), 1u);
  EXPECT_EQ(ends.b.valid()[0].remote_type, CandidateType::kPeerReflexive);
  EXPECT_EQ(ends.b.valid()[0].remote.address, ends.a.addresses.outside);
}

TEST(IceAgent, ServerReflexiveLocalCandidatesShareTheirBase) {
  Ends ends(Nat::kPortRestricted, Nat::kPortRestricted);
  ends.connect();
  ASSERT_TRUE(ends.both_valid(1s));
  EXPECT_EQ(ends.a.valid()[0].local_type, CandidateType::kServerReflexive);
  // One pair per remote endpoint, and the private host candidate of the far end is not tried.
  EXPECT_EQ(ends.a.destinations(), std::set{ends.b.reflexive()});
}

TEST(IceAgent, ChecksThatComeBeforeTheDescriptionAreRemembered) {
  Ends ends;
  ends.network.gather(ends.a);
  ends.network.gather(ends.b);
  ends.network.describe(ends.b, ends.a);
  ASSERT_TRUE(ends.a.agent->add_remote_candidate(ends.network.now(),
                                                 {CandidateType::kHost, at(kAddressB), 2130706431, "1"}, 1));
  ends.network.run(300ms);
  EXPECT_EQ(ends.a.valid().size(), 1u) << "answered without a description";
  EXPECT_EQ(ends.b.requests(), 0u);
  ends.network.describe(ends.a, ends.b);
  EXPECT_EQ(ends.b.requests(), 1u) << "checked back at once";
  EXPECT_TRUE(ends.both_valid(100ms));
}

TEST(IceAgent, CandidatesAndTheirEndMayComeBeforeTheDescription) {
  Ends ends;
  ends.network.gather(ends.a);
  auto& agent = *ends.a.agent;
  const auto now = ends.network.now();
  EXPECT_TRUE(agent.add_remote_candidate(now, {CandidateType::kHost, at("203.0.113.9:1"), 1, "1"}, 1));
  EXPECT_TRUE(agent.add_remote_candidate(now, {CandidateType::kHost, at("203.0.113.8:1"), 1, "1"}, 2));
  EXPECT_FALSE(agent.add_remote_candidate(now, {CandidateType::kHost, at("203.0.113.7:1"), 1, "1"}, 1));
  agent.end_of_remote_candidates(now, 2);
  agent.set_remote_description(now, {2, "abcdefgh", "abcdefghijklmnopqrstuvwx"});
  ends.network.run(20s);
  EXPECT_EQ(ends.a.destinations(), std::set{at("203.0.113.8:1")});
  EXPECT_EQ(ends.a.count<NothingFound>(), 1u);
  // Of an older generation nothing counts.
  EXPECT_FALSE(agent.add_remote_candidate(ends.network.now(), {CandidateType::kHost, at("203.0.113.7:1"), 1, "1"}, 1));
  agent.set_remote_description(ends.network.now(), {1, "oldoldol", "abcdefghijklmnopqrstuvwx"});
  EXPECT_EQ(agent.remote_description()->ufrag, "abcdefgh");
}

TEST(IceAgent, PredictedPortOfASymmetricNatIsFound) {
  Ends ends(Nat::kSymmetric, Nat::kPortRestricted);
  ends.network.gather(ends.a);
  ends.network.gather(ends.b);
  std::vector<Endpoint> next;
  for (std::uint16_t step = 1; step <= 8; ++step)
    next.push_back({ends.a.addresses.outside, static_cast<std::uint16_t>(ends.a.reflexive().port + step)});
  ends.network.signal(ends.a, ends.b, 30ms);
  ends.network.later(40ms, [&] { ends.b.agent->add_predicted_candidates(ends.network.now(), next); });
  EXPECT_TRUE(ends.both_valid(2s));
  EXPECT_EQ(ends.b.sent.at(0).to, ends.a.reflexive()) << "guesses are tried last";
}

TEST(IceAgent, RelayedCandidateCarriesWhatNatsForbid) {
  auto of_a = behind(Nat::kSymmetric, 101);
  of_a.relayed = at("203.0.113.10:50000");
  Ends ends(of_a, behind(Nat::kSymmetric, 102));
  ends.connect();
  ASSERT_TRUE(ends.both_valid(2s));
  ends.network.run(1s);
  ASSERT_EQ(ends.a.valid().size(), 1u);
  EXPECT_EQ(ends.a.valid()[0].base, Base::kTurn);
  EXPECT_EQ(ends.a.valid()[0].local_type, CandidateType::kRelayed);
  ASSERT_EQ(ends.b.valid().size(), 1u);
  EXPECT_EQ(ends.b.valid()[0].base, Base::kSocket);
  EXPECT_EQ(ends.b.valid()[0].remote_type, CandidateType::kRelayed);
  EXPECT_EQ(ends.b.valid()[0].remote, *of_a.relayed);
  ends.a.agent->remove_local_candidate(ends.network.now(), *of_a.relayed);
  ends.network.drain();
  EXPECT_TRUE(ends.a.valid().empty()) << "the allocation is gone";
}

class IceRoles : public ::testing::TestWithParam<Role> {};

TEST_P(IceRoles, ConflictIsSettled) {
  unsigned first_stayed = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Ends ends(behind(Nat::kPortRestricted, 101), behind(Nat::kPortRestricted, 102), seed, options_of(GetParam()),
              options_of(GetParam()));
    ends.network.noise = {.loss = 0.1, .duplicate = 0.1, .min_delay = 5ms, .max_delay = 60ms};
    ends.connect();
    EXPECT_TRUE(ends.both_valid(4s)) << seed;
    ends.network.run(6s);
    EXPECT_NE(ends.a.agent->role(), ends.b.agent->role()) << seed;
    EXPECT_EQ(ends.a.count<RoleChanged>() + ends.b.count<RoleChanged>(), 1u) << seed;
    EXPECT_GT(ends.a.agent->counters().role_conflicts + ends.b.agent->counters().role_conflicts, 0u);
    if (ends.a.agent->role() == GetParam()) ++first_stayed;
  }
  EXPECT_GT(first_stayed, 5u) << "chance decides";
  EXPECT_LT(first_stayed, 35u);
}

INSTANTIATE_TEST_SUITE_P(Both, IceRoles, ::testing::Values(Role::kControlling, Role::kControlled));

}  // namespace
}  // namespace higgs::ice

#include "ice/candidate.h"

#include <gtest/gtest.h>

#include "ice/budget.h"
#include "ice/replay_filter.h"
#include "ice/special_range.h"

namespace higgs::ice {
namespace {

using namespace std::chrono_literals;

TEST(IceCandidate, PriorityOrdersByTypeThenFamily) {
  const auto v4 = *IpAddress::parse("203.0.113.1"), v6 = *IpAddress::parse("2001:db8::1");
  const CandidateType order[] = {CandidateType::kHost, CandidateType::kPeerReflexive, CandidateType::kPortMapped,
                                 CandidateType::kServerReflexive, CandidateType::kRelayed};
  std::uint32_t last = ~0u;
  for (const auto type : order) {
    for (const auto& address : {v6, v4}) {
      EXPECT_LT(candidate_priority(type, address, 0), last);
      last = candidate_priority(type, address, 0);
    }
  }
  EXPECT_EQ(candidate_priority(CandidateType::kHost, v6, 0x7fff), 2130706431u) << "RFC 8445, 5.1.2.1: the highest";
  EXPECT_LT(candidate_priority(CandidateType::kHost, v4, 1'000'000), candidate_priority(CandidateType::kHost, v6));
}

TEST(IceCandidate, PairPriorityIsTheFormulaOfTheRfc) {
  EXPECT_EQ(pair_priority(1, 2), (1ull << 32) + 4);
  EXPECT_EQ(pair_priority(2, 1), (1ull << 32) + 5);
  EXPECT_EQ(pair_priority(3, 3), (3ull << 32) + 6);
}

TEST(IceSpecialRange, PublicAddressesAreOrdinary) {
  for (const auto* text :
       {"203.0.113.1", "8.8.8.8", "11.0.0.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "192.0.2.1",
        "198.51.100.1", "198.17.255.255", "223.255.255.255", "2001:db8::1", "2001:4860:4860::8888", "2a00::1"})
    EXPECT_FALSE(is_special(*IpAddress::parse(text))) << text;
}

TEST(IceReplayFilter, ForgetsTheOldestAndNothingElse) {
  ReplayFilter filter;
  const Endpoint here{*IpAddress::parse("203.0.113.1"), 1}, there{*IpAddress::parse("203.0.113.1"), 2};
  const auto id = [](std::uint32_t number) {
    stun::TransactionId out{};
    store_be(out.data(), number);
    return out;
  };
  for (std::uint32_t i = 0; i < ReplayFilter::kRemembered; ++i)
    EXPECT_EQ(filter.note(id(i), 0, here), ReplayFilter::Seen::kNever);
  EXPECT_EQ(filter.note(id(0), 0, here), ReplayFilter::Seen::kFromHere);
  EXPECT_EQ(filter.note(id(0), 0, there), ReplayFilter::Seen::kFromElsewhere);
  EXPECT_EQ(filter.note(id(0), 1, here), ReplayFilter::Seen::kFromElsewhere);
  EXPECT_EQ(filter.note(id(100'000), 0, here), ReplayFilter::Seen::kNever);
  EXPECT_EQ(filter.note(id(1), 0, there), ReplayFilter::Seen::kFromElsewhere);
  EXPECT_EQ(filter.note(id(0), 0, there), ReplayFilter::Seen::kNever) << "the oldest";
}

TEST(IceBudget, ProbesMayComeTogetherChecksMayNot) {
  const Instant start(1000s);
  Budget budget(start, 40, 16);
  for (int i = 0; i < 40; ++i) {
    EXPECT_LE(budget.next_probe(), start);
    budget.spend(start);
    EXPECT_EQ(budget.next_check(), i == 39 ? start + 1s : start + 25ms);
  }
  EXPECT_EQ(budget.next_probe(), start + 1s);
}

TEST(IceBudget, TheLastDestinationIsNotForPeerReflexiveOnes) {
  Budget budget(Instant(1000s), 40, 16);
  const auto number = [](unsigned port) {
    return Endpoint{*IpAddress::parse("203.0.113.1"), static_cast<std::uint16_t>(port)};
  };
  for (unsigned i = 1; i <= 15; ++i) EXPECT_TRUE(budget.admit(number(i), true, true)) << i;
  EXPECT_FALSE(budget.admit(number(16), true, true));
  EXPECT_TRUE(budget.admit(number(16), true));
}

TEST(IceBudget, DestinationsOfAnAttempt) {
  const Instant start(1000s);
  Budget budget(start, 40, 4);
  const auto number = [](std::uint16_t port) { return Endpoint{*IpAddress::parse("203.0.113.1"), port}; };
  const Endpoint used[] = {number(1)};
  budget.begin_attempt(start, used);
  EXPECT_TRUE(budget.admit(number(1), false));
  EXPECT_TRUE(budget.admit(number(2), false));
  EXPECT_FALSE(budget.admit(number(3), false)) << "the last two are for proven ones";
  EXPECT_TRUE(budget.admit(number(3), true));
  EXPECT_TRUE(budget.admit(number(4), true));
  EXPECT_FALSE(budget.admit(number(5), true));
  EXPECT_TRUE(budget.admit(number(2), false));
  for (int i = 0; i < 3; ++i) budget.begin_attempt(start, {});
  EXPECT_FALSE(budget.renewal());
  EXPECT_TRUE(budget.admit(number(5), false));
  budget.begin_attempt(start + 1s, {});
  ASSERT_EQ(budget.renewal(), start + 10s) << "the fifth attempt in a row waits";
  EXPECT_TRUE(budget.admit(number(5), false)) << "and goes on with the destinations of the last";
  EXPECT_TRUE(budget.admit(number(6), false));
  EXPECT_FALSE(budget.admit(number(7), false));
  budget.begin_attempt(start + 10s, {});
  EXPECT_FALSE(budget.renewal());
  EXPECT_TRUE(budget.admit(number(7), false));
}

}  // namespace
}  // namespace higgs::ice

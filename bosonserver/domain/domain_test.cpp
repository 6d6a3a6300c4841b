#include <set>

#include <gtest/gtest.h>

#include "bosonserver/domain/address_allocation.h"
#include "bosonserver/domain/admission.h"
#include "bosonserver/domain/distance.h"
#include "bosonserver/domain/liveness.h"
#include "bosonserver/domain/lockout.h"
#include "bosonserver/domain/route_scoring.h"

namespace higgs::boson {
namespace {

TEST(Admission, FollowsThePolicy) {
  using Mode = AdmissionPolicy::Mode;
  const crypto::Ed25519PublicKey known{{std::byte{1}}}, other{{std::byte{2}}};
  const auto inside = *IpAddress::parse("192.0.2.7"), outside = *IpAddress::parse("198.51.100.1");
  const auto mapped = *IpAddress::parse("::ffff:192.0.2.7");
  AdmissionPolicy policy{Mode::kOpen, {*IpPrefix::parse("192.0.2.0/24")}, {known}};
  EXPECT_EQ(decide_admission(policy, other, outside), AdmissionDecision::kApprove);
  policy.mode = Mode::kApproval;
  EXPECT_EQ(decide_admission(policy, known, inside), AdmissionDecision::kPend);
  policy.mode = Mode::kAllowlist;
  EXPECT_EQ(decide_admission(policy, other, inside), AdmissionDecision::kApprove);
  EXPECT_EQ(decide_admission(policy, other, mapped), AdmissionDecision::kApprove);
  EXPECT_EQ(decide_admission(policy, known, outside), AdmissionDecision::kApprove);
  EXPECT_EQ(decide_admission(policy, other, outside), AdmissionDecision::kRefuse);
}

TEST(AddressAllocation, TakesPrivatePrefixesOnly) {
  for (const auto* good : {"10.77.0.0/16", "172.16.0.0/12", "192.168.5.0/30", "100.64.0.0/10", "fd00:1::/64"})
    EXPECT_TRUE(acceptable_tunnel_prefix(*IpPrefix::parse(good))) << good;
  for (const auto* bad : {"0.0.0.0/0", "8.8.8.0/24", "10.0.0.0/7", "192.168.0.0/31", "172.0.0.0/8", "2001:db8::/64",
                          "fe80::/64", "::/0", "fd00::/127", "169.254.0.0/16", "127.0.0.0/8"})
    EXPECT_FALSE(acceptable_tunnel_prefix(*IpPrefix::parse(bad))) << bad;
}

TEST(AddressAllocation, GivesEveryUsableAddressOnceAndThenNone) {
  SeededRandom random(1);
  const auto prefix = *IpPrefix::parse("10.1.0.0/28");
  std::set<IpAddress> taken;
  while (const auto address = allocate_address(prefix, taken, random)) {
    EXPECT_TRUE(prefix.contains(*address));
    EXPECT_TRUE(taken.insert(*address).second);
  }
  EXPECT_EQ(taken.size(), 13u);
  for (const auto* reserved : {"10.1.0.0", "10.1.0.1", "10.1.0.15"})
    EXPECT_FALSE(taken.contains(*IpAddress::parse(reserved))) << reserved;
  EXPECT_EQ(allocate_address(*IpPrefix::parse("10.1.0.0/31"), {}, random), std::nullopt);
}

TEST(AddressAllocation, WorksForIpv6AndSpreads) {
  SeededRandom random(1);
  const auto prefix = *IpPrefix::parse("fd00:1:2:3::/64");
  std::set<IpAddress> taken;
  for (int i = 0; i < 100; ++i) taken.insert(*allocate_address(prefix, taken, random));
  EXPECT_EQ(taken.size(), 100u);
  for (const auto& address : taken) EXPECT_TRUE(prefix.contains(address));
}

TEST(LockoutRule, DoublesAndForgets) {
  const LockoutPolicy policy;
  Lockout state;
  for (int i = 0; i < 5; ++i) state = after_failure(state, policy, 1'000);
  EXPECT_EQ(locked_for(state, 1'000), 0);
  state = after_failure(state, policy, 1'000);
  EXPECT_EQ(locked_for(state, 1'000), 2);
  state = after_failure(state, policy, 1'010);
  EXPECT_EQ(locked_for(state, 1'010), 4);
  EXPECT_EQ(locked_for(state, 1'014), 0);
  for (int i = 0; i < 100; ++i) state = after_failure(state, policy, 1'020);
  EXPECT_EQ(locked_for(state, 1'020), 900);
  state = after_failure(state, policy, 1'020 + 3'601);
  EXPECT_EQ(state.failures, 1u);
}

TEST(Liveness, ThreeMissedHeartbeatsOrOneWithoutALink) {
  NodeRecord node;
  node.admission = NodeAdmission::kApproved;
  node.status = api::NodeStatus::kOnline;
  node.heartbeat_interval = 30;
  node.last_seen = 1'000;
  EXPECT_EQ(current_status(node, true, 1'095), api::NodeStatus::kOnline);
  EXPECT_EQ(current_status(node, true, 1'096), api::NodeStatus::kOffline);
  EXPECT_EQ(current_status(node, false, 1'035), api::NodeStatus::kOnline);
  EXPECT_EQ(current_status(node, false, 1'036), api::NodeStatus::kOffline);
  node.admission = NodeAdmission::kBanned;
  EXPECT_EQ(current_status(node, true, 1'000), api::NodeStatus::kBanned);
  node.admission = NodeAdmission::kApproved;
  node.status = api::NodeStatus::kOffline;
  EXPECT_EQ(current_status(node, true, 1'000), api::NodeStatus::kOffline);
}

class RouteScoring : public ::testing::Test {
 protected:
  RouteCandidate& add(double latency) {
    RouteCandidate node;
    node.id = NodeId(Uuid::random(random_));
    node.country = "DE";
    node.region = "Berlin";
    node.capabilities = {10, {100, 100}, true, true};
    node.metrics.latency = latency;
    nodes_.push_back(node);
    return nodes_.back();
  }
  Ranking rank() { return rank_routes(nodes_, query_, {}, random_); }

  SeededRandom random_{9};
  std::vector<RouteCandidate> nodes_;
  RouteQuery query_;
};

TEST_F(RouteScoring, OrdersByEveryPartOfTheCost) {
  const auto worse = [&](auto change) {
    nodes_.clear();
    const auto good = add(20).id;
    change(add(20));
    const auto routes = rank().routes;
    return routes.size() == 2 && routes.front().id == good && routes[1].cost > routes[0].cost;
  };
  EXPECT_TRUE(worse([](auto& n) { n.metrics.latency = 200; }));
  EXPECT_TRUE(worse([](auto& n) { n.metrics.bandwidth.down = 90; }));
  EXPECT_TRUE(worse([](auto& n) { n.metrics.packet_loss = 5; }));
  EXPECT_TRUE(worse([](auto& n) { n.sessions = 9; }));
  EXPECT_TRUE(worse([](auto& n) { n.metrics.cpu_usage = 95; }));
  EXPECT_TRUE(worse([](auto& n) { n.nat_type = api::NatType::kUdpBlocked; }));
  EXPECT_TRUE(worse([](auto& n) { n.status = api::NodeStatus::kDegraded; }));
  EXPECT_TRUE(worse([](auto& n) { n.relay_link_up = false; }));
}

TEST_F(RouteScoring, TheBestAreKeptAndEqualsByLot) {
  for (int i = 0; i < 20; ++i) add(400);
  std::set<NodeId> good, kept;
  for (int i = 0; i < 3; ++i) good.insert(add(10).id);
  for (int round = 0; round < 50; ++round) {
    RouteRanker ranker(query_, {});
    for (const auto& node : nodes_) ranker.add(node);
    const auto routes = ranker.take(5, random_).routes;
    ASSERT_EQ(routes.size(), 5u);
    for (std::size_t i = 0; i < routes.size(); ++i) {
      EXPECT_EQ(good.contains(routes[i].id), i < good.size()) << "the best come first";
      kept.insert(routes[i].id);
    }
  }
  EXPECT_EQ(kept.size(), nodes_.size()) << "each of the others has its turn";
}

TEST(Distance, IsThatOfTheGreatCircle) {
  const api::Coordinates berlin{52.52, 13.405}, new_york{40.7128, -74.006}, sydney{-33.8688, 151.2093};
  EXPECT_NEAR(distance_km(berlin, new_york), 6385, 5);
  EXPECT_NEAR(distance_km(new_york, berlin), 6385, 5);
  EXPECT_NEAR(distance_km(berlin, sydney), 16095, 20);
  EXPECT_EQ(distance_km(berlin, berlin), 0);
  EXPECT_NEAR(distance_km({0, 179.9}, {0, -179.9}), 22.2, 0.1) << "over the date line";
  EXPECT_NEAR(distance_km({90, 0}, {-90, 77}), 20015, 1);
}

TEST(Distance, GivesTheTimeThatPacketsUsuallyTake) {
  EXPECT_NEAR(round_trip_over_ms(0), 10, 0.01);
  const auto over_the_atlantic = round_trip_over_ms(6385);
  EXPECT_GT(over_the_atlantic, 80) << "measured between Berlin and New York: 80 to 110 ms";
  EXPECT_LT(over_the_atlantic, 145);
}

TEST_F(RouteScoring, LatencyIsTheWholeWayWhereMeasuredAndTheDistanceWhereNot) {
  query_.client_coordinates = {52.52, 13.405};
  auto& node = add(20);
  node.coordinates = {52.0, 13.0};
  EXPECT_NEAR(*latency_of(node, query_), 11.3, 0.2) << "the way to the client is unknown";
  query_.client_latency = 30;
  EXPECT_EQ(latency_of(node, query_), 50) << "by way of the server";
  node.metrics.latency = 0;
  EXPECT_NEAR(*latency_of(node, query_), 11.3, 0.2) << "not measured yet";
  node.coordinates.reset();
  EXPECT_EQ(latency_of(node, query_), std::nullopt);
  node.metrics.latency = 20;
  query_.client_latency.reset();
  EXPECT_EQ(latency_of(node, query_), 20);
}

TEST_F(RouteScoring, TheNearerOfTwoUnmeasuredNodesComesFirst) {
  query_.client_coordinates = {52.52, 13.405};
  add(0).coordinates = {40.7, -74.0};
  add(0);  // nowhere
  const auto near = add(0).id;
  nodes_.back().coordinates = {48.9, 2.4};
  const auto routes = rank().routes;
  ASSERT_EQ(routes.size(), 3u);
  EXPECT_EQ(routes[0].id, near);
  EXPECT_EQ(routes[1].id, nodes_[0].id);
  EXPECT_EQ(routes[2].latency, 0) << "what is not known is not told";
  query_.requirements.max_latency = 60;
  EXPECT_EQ(rank().ruled_out.at("latency"), 1u);
}

TEST_F(RouteScoring, ALocationIsARegionOrACity) {
  add(20).city = "Potsdam";
  query_.requirements.preferred_location = "Potsdam";
  EXPECT_EQ(rank().routes.size(), 1u);
  query_.requirements.preferred_location = "Berlin";
  EXPECT_EQ(rank().routes.size(), 1u);
  query_.requirements.preferred_location = "Bonn";
  EXPECT_TRUE(rank().routes.empty());
}

TEST_F(RouteScoring, SaysWhereADirectPathIsLikely) {
  using api::NatType;
  const auto node = add(20).id;
  const auto direct = [&](NatType client, NatType far) {
    query_.client_nat = client;
    nodes_.front().nat_type = far;
    const auto routes = rank().routes;
    return routes.size() == 1 && routes.front().id == node && routes.front().direct;
  };
  EXPECT_TRUE(direct(NatType::kPortRestricted, NatType::kPortRestricted));
  EXPECT_FALSE(direct(NatType::kSymmetric, NatType::kPortRestricted));
  EXPECT_FALSE(direct(NatType::kUnknown, NatType::kOpen));
  EXPECT_FALSE(direct(NatType::kOpen, NatType::kUdpBlocked));
}

TEST_F(RouteScoring, SaysWhatRuledOutHowMany) {
  add(20).country = "FR";
  add(20).status = api::NodeStatus::kOffline;
  add(900);
  add(20).metrics.bandwidth.down = 99;
  add(20).sessions = 10;
  add(20).capabilities.natting = false;
  add(20).status = api::NodeStatus::kBanned;
  add(20).region = "Bonn";
  query_.requirements = {50.0, 100.0, "Berlin", "DE"};
  const auto ranking = rank();
  EXPECT_TRUE(ranking.routes.empty());
  const std::map<std::string, std::uint32_t> expected = {{"country", 1},      {"offline", 1}, {"latency", 1},
                                                         {"bandwidth", 1},    {"full", 1},    {"no-exit", 1},
                                                         {"not-admitted", 1}, {"location", 1}};
  EXPECT_EQ(ranking.ruled_out, expected);
}

TEST_F(RouteScoring, ATargetExcludesTheOthers) {
  add(20);
  query_.target = add(400).id;
  const auto ranking = rank();
  ASSERT_EQ(ranking.routes.size(), 1u);
  EXPECT_EQ(ranking.routes[0].id, *query_.target);
  EXPECT_EQ(ranking.ruled_out.at("other-node"), 1u);
}

TEST_F(RouteScoring, EqualsTakeTurns) {
  for (int i = 0; i < 4; ++i) add(20);
  add(300);
  std::map<NodeId, int> first;
  for (int i = 0; i < 400; ++i) ++first[rank().routes.front().id];
  EXPECT_EQ(first.size(), 4u);
  for (const auto& [id, count] : first) EXPECT_GT(count, 50);
  EXPECT_EQ(rank().routes.back().latency, 300);
}

TEST(NatDifficulty, SymmetricMeetsOnlyOpenOnes) {
  using api::NatType;
  EXPECT_EQ(nat_difficulty(NatType::kSymmetric, NatType::kSymmetric), 1);
  EXPECT_EQ(nat_difficulty(NatType::kSymmetric, NatType::kPortRestricted), 1);
  EXPECT_EQ(nat_difficulty(NatType::kPortRestricted, NatType::kSymmetric), 1);
  EXPECT_EQ(nat_difficulty(NatType::kSymmetric, NatType::kRestrictedCone), 0);
  EXPECT_EQ(nat_difficulty(NatType::kPortRestricted, NatType::kPortRestricted), 0);
  EXPECT_EQ(nat_difficulty(NatType::kUnknown, NatType::kOpen), 0.5);
}

}  // namespace
}  // namespace higgs::boson

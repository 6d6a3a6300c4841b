#include "bosonserver/api/heartbeats.h"

#include <set>

#include <gtest/gtest.h>

#include "bosonserver/store/testing/counting_store.h"
#include "bosonserver/store/testing/records.h"

namespace higgs::boson {
namespace {

using std::chrono::seconds;

class HeartbeatsTest : public ::testing::Test {
 protected:
  HeartbeatsTest() { node_ = add(); }

  NodeId add() {
    const auto node = testing::make_node(random_);
    if (!store_->register_node(node)) throw std::runtime_error("cannot register");
    return node.id;
  }
  Result<HeartbeatOutcome> beat(NodeId node, std::int64_t time, api::NodeStatus status = api::NodeStatus::kOnline,
                                bool alone = false) {
    HeartbeatRecord heartbeat{node, status, {}, *IpAddress::parse("192.0.2.9"), time};
    heartbeat.metrics.cpu_usage = static_cast<double>(time % 100);
    return heartbeats_.record(heartbeat, alone, now_);
  }
  /// Calls of the store that `act` makes.
  template <class F>
  unsigned calls_of(F act) {
    const unsigned before = store_.calls;
    act();
    return store_.calls - before;
  }
  std::int64_t last_seen(NodeId node) { return store_->node(node)->last_seen; }

  SeededRandom random_{7};
  testing::CountingStore store_;
  std::vector<NodeId> changed_;
  Heartbeats heartbeats_{*store_, [this](NodeId node) { changed_.push_back(node); }};
  Instant now_{seconds(1000)};
  NodeId node_;
};

TEST_F(HeartbeatsTest, TheFirstGoesToTheStoreTheNextOnesTogether) {
  std::vector<NodeId> nodes{node_};
  while (nodes.size() < kHeartbeatBatch) nodes.push_back(add());
  for (const auto& node : nodes) EXPECT_GT(calls_of([&] { ASSERT_TRUE(beat(node, 200)); }), 0u);
  EXPECT_EQ(last_seen(node_), 200);
  for (const auto& node : nodes) EXPECT_EQ(calls_of([&] { ASSERT_TRUE(beat(node, 230)); }), 0u);
  EXPECT_EQ(heartbeats_.stats().waiting, nodes.size());
  EXPECT_EQ(last_seen(node_), 200);
  EXPECT_EQ(calls_of([&] { EXPECT_TRUE(heartbeats_.flush(now_)); }), 1u);
  for (const auto& node : nodes) {
    EXPECT_EQ(last_seen(node), 230);
    EXPECT_EQ(store_->node(node)->metrics.cpu_usage, 30);
  }
  EXPECT_EQ(heartbeats_.stats().waiting, 0u);
  EXPECT_TRUE(changed_.empty());
}

TEST_F(HeartbeatsTest, AnotherStatusIsInTheStoreBeforeItsAnswer) {
  ASSERT_TRUE(beat(node_, 200));
  ASSERT_TRUE(beat(node_, 210));
  ASSERT_TRUE(beat(node_, 220, api::NodeStatus::kOffline));
  EXPECT_EQ(store_->node(node_)->status, api::NodeStatus::kOffline);
  EXPECT_EQ(changed_, std::vector{node_});
  EXPECT_TRUE(heartbeats_.flush(now_));
  EXPECT_EQ(store_->node(node_)->status, api::NodeStatus::kOffline) << "what waited is older";
  EXPECT_EQ(last_seen(node_), 220);
}

TEST_F(HeartbeatsTest, WhatCarriesResultsGoesToTheStore) {
  ASSERT_TRUE(beat(node_, 200));
  EXPECT_GT(calls_of([&] { ASSERT_TRUE(beat(node_, 210, api::NodeStatus::kOnline, true)); }), 0u);
}

TEST_F(HeartbeatsTest, ABanThatWasToldCountsAtOnce) {
  ASSERT_TRUE(beat(node_, 200));
  ASSERT_TRUE(store_->set_node_admission(node_, NodeAdmission::kBanned));
  heartbeats_.forget(node_);
  EXPECT_EQ(beat(node_, 210)->admission, NodeAdmission::kBanned);
  EXPECT_EQ(beat(node_, 220)->admission, NodeAdmission::kBanned) << "the banned are not known";
  EXPECT_EQ(last_seen(node_), 200);
}

TEST_F(HeartbeatsTest, ABanThatWasNotToldIsFoundByTheNextWrite) {
  ASSERT_TRUE(beat(node_, 200));
  ASSERT_TRUE(store_->set_node_admission(node_, NodeAdmission::kBanned));
  ASSERT_TRUE(beat(node_, 210));
  EXPECT_TRUE(heartbeats_.flush(now_));
  EXPECT_EQ(last_seen(node_), 200);
  EXPECT_EQ(beat(node_, 220)->admission, NodeAdmission::kBanned);
}

TEST_F(HeartbeatsTest, AnActionThatWasNotToldIsFoundByTheNextWrite) {
  ASSERT_TRUE(beat(node_, 200));
  ASSERT_TRUE(store_->add_action({"a", node_, api::ActionType::kRestart, "{}", 100}));
  EXPECT_FALSE(beat(node_, 210)->actions_wait);
  EXPECT_TRUE(heartbeats_.flush(now_));
  EXPECT_EQ(last_seen(node_), 210);
  EXPECT_TRUE(beat(node_, 220)->actions_wait);
}

TEST_F(HeartbeatsTest, WhoWasTakenForSilentMeanwhileIsBackWithAllOthers) {
  std::vector<NodeId> nodes{node_};
  while (nodes.size() < kHeartbeatBatch) nodes.push_back(add());
  for (const auto& node : nodes) {
    ASSERT_TRUE(beat(node, 200));
    ASSERT_TRUE(*store_->set_node_offline(node, 200));
  }
  for (const auto& node : nodes) EXPECT_EQ(calls_of([&] { ASSERT_TRUE(beat(node, 230)); }), 0u);
  EXPECT_EQ(calls_of([&] { EXPECT_TRUE(heartbeats_.flush(now_)); }), 2u);
  for (const auto& node : nodes) EXPECT_EQ(store_->node(node)->status, api::NodeStatus::kOnline);
  EXPECT_EQ(std::set<NodeId>(changed_.begin(), changed_.end()), std::set<NodeId>(nodes.begin(), nodes.end()))
      << "and everybody is told";
}

TEST_F(HeartbeatsTest, ANewNodeIsKnownFromItsFirst) {
  ASSERT_TRUE(*store_->set_node_offline(node_, 200));  // as one is that has just registered
  ASSERT_TRUE(beat(node_, 210));
  EXPECT_EQ(changed_, std::vector{node_});
  EXPECT_EQ(calls_of([&] { ASSERT_TRUE(beat(node_, 240)); }), 0u);
}

TEST_F(HeartbeatsTest, NothingIsLostWhileTheStoreIsAway) {
  ASSERT_TRUE(beat(node_, 200));
  store_.away = true;
  EXPECT_TRUE(beat(node_, 230));
  EXPECT_FALSE(heartbeats_.flush(now_));
  now_ += kHeartbeatTrust - seconds(1);
  EXPECT_TRUE(beat(node_, 239)) << "on trust";
  now_ += seconds(1);
  EXPECT_EQ(beat(node_, 240).error(), StoreError::kUnavailable) << "for so long and no longer";
  store_.away = false;
  EXPECT_TRUE(heartbeats_.flush(now_));
  EXPECT_EQ(last_seen(node_), 239) << "what was answered is kept, what was refused is not";
  EXPECT_TRUE(beat(node_, 250));
  EXPECT_EQ(calls_of([&] { EXPECT_TRUE(beat(node_, 260)); }), 0u);
}

TEST_F(HeartbeatsTest, WhatWasAnsweredInTheGraceIsKept) {
  ASSERT_TRUE(beat(node_, 200));
  store_.away = true;
  heartbeats_.forget(node_);
  EXPECT_FALSE(beat(node_, 900));
  heartbeats_.keep({node_, api::NodeStatus::kOnline, {}, {}, 900});
  EXPECT_FALSE(heartbeats_.flush(now_));
  store_.away = false;
  EXPECT_TRUE(heartbeats_.flush(now_));
  EXPECT_EQ(last_seen(node_), 900);
}

TEST_F(HeartbeatsTest, MemoryEnds) {
  ASSERT_TRUE(beat(node_, 200));
  now_ += kHeartbeatMemory - seconds(1);
  EXPECT_EQ(calls_of([&] { ASSERT_TRUE(beat(node_, 210)); }), 0u);
  EXPECT_TRUE(heartbeats_.flush(now_));
  now_ += seconds(1);
  EXPECT_GT(calls_of([&] { ASSERT_TRUE(beat(node_, 220)); }), 0u);
}

TEST_F(HeartbeatsTest, StrangersAreNotKnown) {
  EXPECT_EQ(beat(NodeId(), 200).error(), StoreError::kNotFound);
  EXPECT_EQ(beat(NodeId(), 210).error(), StoreError::kNotFound);
}

}  // namespace
}  // namespace higgs::boson

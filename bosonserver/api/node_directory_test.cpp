#include "bosonserver/api/node_directory.h"

#include <future>

#include <gtest/gtest.h>

#include "bosonserver/store/testing/counting_store.h"
#include "bosonserver/store/testing/records.h"

namespace higgs::boson {
namespace {

using std::chrono::seconds;

struct Servers final : ClusterView {
  std::vector<ServerEntry> others() const override { return list; }
  bool lives(ServerId) const override { return false; }
  ServerEntry self() const override { return {}; }
  std::vector<ServerEntry> list;
};

class NodeDirectoryTest : public ::testing::Test {
 protected:
  NodeId add() {
    const auto node = testing::make_node(random_);
    if (!store_->register_node(node)) throw std::runtime_error("cannot register");
    return node.id;
  }
  std::size_t count() { return (*directory_.nodes(now_))->size(); }
  NodeRecord seen(NodeId id) {
    const auto nodes = *directory_.nodes(now_);
    const auto* const found = NodeDirectory::find(*nodes, id);
    if (!found) throw std::runtime_error("no such node");
    return *found;
  }
  void pass(seconds time) {
    now_.monotonic += time;
    now_.wall += time;
  }
  template <class F>
  unsigned calls_of(F act) {
    const unsigned before = store_.calls;
    act();
    return store_.calls - before;
  }

  SeededRandom random_{7};
  testing::CountingStore store_;
  Servers servers_;
  NodeDirectory directory_{*store_, servers_};
  Now now_{Instant(seconds(1000)), from_unix_seconds(1'000'000)};
};

TEST_F(NodeDirectoryTest, IsReadOnceAndThenOnlyWhatChanged) {
  std::vector<NodeId> ids;
  for (int i = 0; i < 70; ++i) ids.push_back(add());
  EXPECT_EQ(calls_of([&] { EXPECT_EQ(count(), 70u); }), 1u);
  pass(seconds(3600));
  EXPECT_EQ(calls_of([&] { EXPECT_EQ(count(), 70u); }), 0u);
  ids.push_back(add());
  ASSERT_TRUE(store_->set_node_admission(ids[0], NodeAdmission::kBanned));
  EXPECT_EQ(count(), 70u) << "nobody has told it yet";
  directory_.forget(ids[0]);
  directory_.forget(ids.back());
  EXPECT_EQ(calls_of([&] { EXPECT_EQ(count(), 71u); }), 1u);
  EXPECT_EQ(seen(ids[0]).admission, NodeAdmission::kBanned);
  const auto nodes = *directory_.nodes(now_);
  EXPECT_TRUE(std::is_sorted(nodes->begin(), nodes->end(), [](const auto& a, const auto& b) { return a->id < b->id; }));
}

TEST_F(NodeDirectoryTest, AReplicaHasToCatchUpBeforeAllIsRead) {
  add();
  EXPECT_EQ(count(), 1u);
  store_.catch_ups = 0;
  directory_.forget();
  store_.before_call = [&] { EXPECT_EQ(store_.catch_ups, 1u) << "what was missed may be missing there"; };
  EXPECT_EQ(calls_of([&] { EXPECT_EQ(count(), 1u); }), 1u);
  servers_.list.emplace_back();
  pass(kPulseInterval);
  EXPECT_EQ(calls_of([&] { EXPECT_EQ(count(), 1u); }), 1u) << "heartbeats are replaced by the next";
}

TEST_F(NodeDirectoryTest, AReplicaThatIsBehindTakesNothingBack) {
  servers_.list.emplace_back();
  const auto id = add();
  const auto time = unix_seconds(now_.wall);
  ASSERT_TRUE(store_->record_heartbeat(id, api::NodeStatus::kOnline, {}, {}, time));
  EXPECT_EQ(count(), 1u);
  // An event told that it is silent, and the store is read as it was before.
  ASSERT_TRUE(store_->set_node_offline(id, time));
  directory_.forget(id);
  EXPECT_EQ(seen(id).status, api::NodeStatus::kOffline);
  ASSERT_TRUE(store_->record_heartbeat(id, api::NodeStatus::kOnline, {}, {}, time));
  pass(kPulseInterval);
  EXPECT_EQ(seen(id).status, api::NodeStatus::kOffline);
}

TEST_F(NodeDirectoryTest, HeartbeatsThatComeLateAreNotMissed) {
  servers_.list.emplace_back();
  const auto id = add(), late = add();
  EXPECT_EQ(count(), 2u);
  const auto beat = [&](NodeId node, std::int64_t time, int usage) {
    api::HeartbeatMetrics metrics;
    metrics.cpu_usage = usage;
    ASSERT_TRUE(store_->record_heartbeat(node, api::NodeStatus::kOnline, metrics, {}, time));
  };
  pass(seconds(20));
  const auto then = unix_seconds(now_.wall);
  beat(id, then - 9, 1);  // a replica that is nine seconds behind
  EXPECT_EQ(seen(id).metrics.cpu_usage, 1);
  pass(kPulseInterval);
  beat(late, then - 9, 2);
  EXPECT_EQ(seen(late).metrics.cpu_usage, 2);
}

TEST_F(NodeDirectoryTest, HeartbeatsOfAServerWhoseClockIsBehindAreNotMissed) {
  servers_.list.emplace_back();
  const auto id = add(), behind = add();
  EXPECT_EQ(count(), 2u);
  pass(seconds(60));
  const auto beat = [&](NodeId node, std::int64_t time, int usage) {
    api::HeartbeatMetrics metrics;
    metrics.cpu_usage = usage;
    ASSERT_TRUE(store_->record_heartbeat(node, api::NodeStatus::kOnline, metrics, {}, time));
  };
  beat(id, unix_seconds(now_.wall), 1);
  EXPECT_EQ(seen(id).metrics.cpu_usage, 1);
  beat(behind, unix_seconds(now_.wall - kServerSilence), 2);
  pass(kPulseInterval);
  EXPECT_EQ(seen(behind).metrics.cpu_usage, 2) << "as far behind as a server of the cluster may be";
}

TEST_F(NodeDirectoryTest, WhoIsGoneIsGone) {
  const auto id = add();
  add();
  EXPECT_EQ(count(), 2u);
  ASSERT_TRUE(store_->purge({.silent_nodes = 0}, 10'000'000));
  directory_.forget(id);
  EXPECT_EQ(count(), 1u);
  directory_.forget();
  EXPECT_EQ(count(), 0u);
}

TEST_F(NodeDirectoryTest, HeartbeatsOfThisServerNeedNoStore) {
  const auto id = add();
  EXPECT_EQ(count(), 1u);
  HeartbeatRecord heartbeat{id, api::NodeStatus::kOnline, {}, *IpAddress::parse("192.0.2.77"), 999'990};
  heartbeat.metrics.cpu_usage = 42;
  heartbeat.status = api::NodeStatus::kDegraded;
  directory_.heard(heartbeat);
  pass(kDirectoryAge);
  EXPECT_EQ(calls_of([&] { EXPECT_EQ(seen(id).metrics.cpu_usage, 42); }), 0u);
  EXPECT_EQ(seen(id).last_seen, 999'990);
  EXPECT_EQ(seen(id).address, heartbeat.address);
  EXPECT_EQ(seen(id).status, api::NodeStatus::kDegraded);
  directory_.forget(id);
  EXPECT_EQ(seen(id).last_seen, 999'990) << "the store has not heard of it yet";
}

TEST_F(NodeDirectoryTest, HeartbeatsOfOtherServersAreReadFromTheStore) {
  const auto id = add(), quiet = add();
  EXPECT_EQ(count(), 2u);
  api::HeartbeatMetrics metrics;
  metrics.cpu_usage = 42;
  pass(seconds(30));
  ASSERT_TRUE(store_->record_heartbeat(id, api::NodeStatus::kOnline, metrics, {}, unix_seconds(now_.wall)));
  EXPECT_NE(seen(id).metrics.cpu_usage, 42) << "there is no other server";
  servers_.list.emplace_back();
  pass(kPulseInterval);
  EXPECT_EQ(seen(id).metrics.cpu_usage, 42);
  EXPECT_EQ(seen(quiet).metrics.cpu_usage, 0);
}

TEST_F(NodeDirectoryTest, AStoreThatTakesItsTimeHoldsUpOneReader) {
  add();
  EXPECT_EQ(count(), 1u);
  const auto id = add();
  directory_.forget(id);
  std::promise<void> asked, answer;
  store_.before_call = [&, once = std::make_shared<std::once_flag>()] {
    std::call_once(*once, [&] {
      asked.set_value();
      answer.get_future().wait();
    });
  };
  auto first = std::async(std::launch::async, [&] { return count(); });
  asked.get_future().wait();
  EXPECT_EQ(count(), 1u) << "as it was";
  answer.set_value();
  EXPECT_EQ(first.get(), 2u);
  EXPECT_EQ(count(), 2u);
}

TEST_F(NodeDirectoryTest, WhatCouldNotBeReadIsReadLater) {
  const auto id = add();
  store_.away = true;
  EXPECT_EQ(directory_.nodes(now_).error(), StoreError::kUnavailable);
  store_.away = false;
  EXPECT_EQ(count(), 1u);
  ASSERT_TRUE(store_->set_node_admission(id, NodeAdmission::kBanned));
  directory_.forget(id);
  store_.away = true;
  EXPECT_EQ(directory_.nodes(now_).error(), StoreError::kUnavailable);
  store_.away = false;
  EXPECT_EQ(seen(id).admission, NodeAdmission::kBanned);
}

}  // namespace
}  // namespace higgs::boson

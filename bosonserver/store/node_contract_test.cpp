// What every store must do for nodes and their actions, run as store_contract_test.cpp is.
#include <set>

#include <gtest/gtest.h>

#include "bosonserver/store/testing/store_contract.h"

namespace higgs::boson {
namespace {

TEST_P(StoreContract, ANodeIsKeptWhole) {
  const auto node = make_node();
  ASSERT_TRUE(store_->register_node(node));
  store_.reset();
  store_ = subject_->open();
  const auto found = store_->node(node.id);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->key_certificate, node.key_certificate);
  EXPECT_EQ(found->tunnel_prefixes, node.tunnel_prefixes);
  EXPECT_EQ(found->address, node.address);
  EXPECT_EQ(found->location->region, "Berlin");
  EXPECT_EQ(found->capabilities.max_connections, 10u);
  EXPECT_EQ(found->shown_status(), api::NodeStatus::kOnline);
  EXPECT_EQ(store_->node(NodeId()).error(), StoreError::kNotFound);
}

TEST_P(StoreContract, ANodeReplacesOnlyItselfAndOnlyForward) {
  const auto identity = crypto::make_ed25519_key(random_);
  const auto key1 = crypto::public_key_of(crypto::make_private_key(random_));
  const auto key2 = crypto::public_key_of(crypto::make_private_key(random_));
  auto node = make_node(identity, key1, 5);
  node.admission = NodeAdmission::kPending;
  ASSERT_TRUE(store_->register_node(node));
  ASSERT_TRUE(store_->set_node_admission(node.id, NodeAdmission::kApproved));

  auto again = make_node(identity, key1, 5);
  again.admission = NodeAdmission::kPending;
  again.registered_at = 900;
  const auto kept = store_->register_node(again);
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->admission, NodeAdmission::kApproved) << "an approval is not asked for twice";
  EXPECT_EQ(kept->registered_at, 100);

  EXPECT_EQ(store_->register_node(make_node(identity, key1, 4)).error(), StoreError::kStaleSequence);
  EXPECT_EQ(store_->register_node(make_node(identity, key2, 5)).error(), StoreError::kStaleSequence);
  EXPECT_TRUE(store_->register_node(make_node(identity, key2, 6)));
  EXPECT_EQ(store_->node(node.id)->wireguard_key, key2);

  const auto stranger = crypto::make_ed25519_key(random_);
  EXPECT_EQ(store_->register_node(make_node(stranger, key2, 1)).error(), StoreError::kKeyTaken);
  auto impostor = make_node(stranger, key1, 9);
  impostor.id = node.id;
  EXPECT_EQ(store_->register_node(impostor).error(), StoreError::kIdentityTaken);
  EXPECT_EQ(store_->node(node.id)->identity_key, node.identity_key);
}

TEST_P(StoreContract, HeartbeatsAndStatus) {
  const auto node = make_node();
  ASSERT_TRUE(store_->register_node(node));
  api::HeartbeatMetrics metrics;
  metrics.active_connections = 3;
  const auto beat = [&](NodeId id, api::NodeStatus status, std::int64_t now) {
    return store_->record_heartbeat(id, status, metrics, *IpAddress::parse("192.0.2.9"), now);
  };
  auto outcome = beat(node.id, api::NodeStatus::kDegraded, 150);
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->status_changed);
  EXPECT_FALSE(outcome->actions_wait);
  EXPECT_EQ(outcome->heartbeat_interval, node.heartbeat_interval);
  EXPECT_FALSE(beat(node.id, api::NodeStatus::kDegraded, 150)->status_changed);
  auto found = store_->node(node.id);
  EXPECT_EQ(found->status, api::NodeStatus::kDegraded);
  EXPECT_EQ(found->metrics.active_connections, 3u);
  EXPECT_EQ(found->last_seen, 150);
  ASSERT_TRUE(store_->add_action({"a", node.id, api::ActionType::kRestart, "{}", 100}));
  outcome = beat(node.id, api::NodeStatus::kOnline, 160);
  EXPECT_TRUE(outcome->status_changed && outcome->actions_wait);
  ASSERT_TRUE(store_->set_node_admission(node.id, NodeAdmission::kBanned));
  EXPECT_EQ(store_->node(node.id)->shown_status(), api::NodeStatus::kBanned);
  EXPECT_EQ(beat(node.id, api::NodeStatus::kDegraded, 170)->admission, NodeAdmission::kBanned);
  EXPECT_EQ(store_->node(node.id)->last_seen, 160) << "the banned are not heard";
  EXPECT_EQ(beat(NodeId(), api::NodeStatus::kOnline, 1).error(), StoreError::kNotFound);
}

TEST_P(StoreContract, AnOlderHeartbeatChangesNothing) {
  const auto node = add_node();
  ASSERT_TRUE(store_->record_heartbeat(node, api::NodeStatus::kOnline, {}, *IpAddress::parse("192.0.2.7"), 120));
  for (const auto status : {api::NodeStatus::kOnline, api::NodeStatus::kDegraded}) {
    const auto late = store_->record_heartbeat(node, status, {}, *IpAddress::parse("192.0.2.8"), 119);
    ASSERT_TRUE(late);
    EXPECT_EQ(late->admission, NodeAdmission::kApproved);
    const auto kept = store_->node(node);
    EXPECT_EQ(kept->status, api::NodeStatus::kOnline);
    EXPECT_EQ(kept->address, *IpAddress::parse("192.0.2.7"));
    EXPECT_EQ(kept->last_seen, 120);
  }
  EXPECT_TRUE(store_->record_heartbeat(node, api::NodeStatus::kDegraded, {}, {}, 120));
  EXPECT_EQ(store_->node(node)->status, api::NodeStatus::kDegraded) << "of the same second: the later one";
}

TEST_P(StoreContract, HeartbeatsAreRecordedTogether) {
  std::vector<HeartbeatRecord> heartbeats;
  std::set<NodeId> usual;
  for (std::size_t i = 0; i < kHeartbeatBatch + 6; ++i) {
    const auto node = make_node();
    ASSERT_TRUE(store_->register_node(node));
    heartbeats.push_back({node.id, api::NodeStatus::kOnline, {}, *IpAddress::parse("192.0.2.9"), 150});
    heartbeats.back().metrics.active_connections = static_cast<std::uint32_t>(i);
    usual.insert(node.id);
  }
  const auto banned = heartbeats[0].node, other = heartbeats[1].node, newer = heartbeats[2].node,
             asked = heartbeats[3].node;
  ASSERT_TRUE(store_->set_node_admission(banned, NodeAdmission::kBanned));
  ASSERT_TRUE(store_->record_heartbeat(other, api::NodeStatus::kDegraded, {}, {}, 140));
  ASSERT_TRUE(store_->record_heartbeat(newer, api::NodeStatus::kOnline, {}, {}, 160));
  ASSERT_TRUE(store_->add_action({"a", asked, api::ActionType::kRestart, "{}", 100}));
  for (const auto& id : {banned, newer, asked}) usual.erase(id);
  heartbeats.push_back({NodeId(), api::NodeStatus::kOnline, {}, {}, 150});
  const auto recorded = store_->record_heartbeats(heartbeats);
  ASSERT_TRUE(recorded);
  EXPECT_EQ(std::set<NodeId>(recorded->settled.begin(), recorded->settled.end()), usual);
  EXPECT_EQ(recorded->moved, std::vector{other});
  EXPECT_EQ(store_->node(banned)->last_seen, 100);
  EXPECT_EQ(store_->node(other)->status, api::NodeStatus::kOnline);
  EXPECT_EQ(store_->node(other)->last_seen, 150);
  EXPECT_EQ(store_->node(newer)->last_seen, 160);
  EXPECT_EQ(store_->node(asked)->last_seen, 150) << "it was heard of";
  const auto last = store_->node(heartbeats[kHeartbeatBatch + 5].node);
  EXPECT_EQ(last->last_seen, 150);
  EXPECT_EQ(last->metrics.active_connections, kHeartbeatBatch + 5);
  EXPECT_EQ(last->address, *IpAddress::parse("192.0.2.9"));
  EXPECT_TRUE(store_->record_heartbeats({})->settled.empty());

  std::set<NodeId> heard;
  std::optional<NodeId> after;
  for (std::size_t page = 10; page == 10;) {
    const auto part = store_->heard_since(150, after, 10);
    ASSERT_TRUE(part);
    page = part->size();
    for (const auto& one : *part) {
      heard.insert(one.node);
      after = one.node;
      EXPECT_GE(one.time, 150);
    }
  }
  EXPECT_EQ(heard.size(), kHeartbeatBatch + 5) << "not the banned";
}

TEST_P(StoreContract, NodesAreReadByTheirIds) {
  std::vector<NodeId> ids;
  for (int i = 0; i < 70; ++i) {
    const auto node = make_node();
    ASSERT_TRUE(store_->register_node(node));
    ids.push_back(node.id);
  }
  EXPECT_TRUE(store_->nodes_by_id({})->empty());
  EXPECT_EQ(store_->nodes_by_id({NodeId()})->size(), 0u);
  EXPECT_EQ(store_->nodes_by_id({ids[5]})->front().id, ids[5]);
  std::set<NodeId> found;
  for (const auto& node : *store_->nodes_by_id(ids)) found.insert(node.id);
  EXPECT_EQ(found, std::set<NodeId>(ids.begin(), ids.end()));
}

TEST_P(StoreContract, SilentNodesAreFoundUnlessTheySpeak) {
  auto early = make_node(), late = make_node(), patient = make_node(), banned = make_node();
  early.last_seen = 100;
  late.last_seen = 110;
  patient.last_seen = 100;
  patient.heartbeat_interval = 60;
  for (const auto* node : {&late, &early, &patient, &banned}) ASSERT_TRUE(store_->register_node(*node));
  ASSERT_TRUE(store_->set_node_admission(banned.id, NodeAdmission::kBanned));
  EXPECT_TRUE(store_->silent_nodes(130, 1, 10)->empty());
  const auto silent = store_->silent_nodes(141, 1, 10);
  ASSERT_EQ(silent->size(), 2u);
  EXPECT_EQ(silent->front().id, early.id) << "the longest silent first";
  EXPECT_EQ(store_->silent_nodes(141, 1, 1)->size(), 1u);
  EXPECT_EQ(store_->silent_nodes(191, 3, 10)->size(), 1u);

  EXPECT_TRUE(*store_->set_node_offline(early.id, 100));
  EXPECT_FALSE(*store_->set_node_offline(early.id, 100)) << "it is already";
  ASSERT_TRUE(store_->record_heartbeat(late.id, api::NodeStatus::kOnline, {}, {}, 150));
  EXPECT_FALSE(*store_->set_node_offline(late.id, 110)) << "it has spoken meanwhile";
  EXPECT_EQ(store_->node(late.id)->status, api::NodeStatus::kOnline);
  EXPECT_EQ(store_->node(early.id)->status, api::NodeStatus::kOffline);
}

TEST_P(StoreContract, NodesAreCountedAsTheyAreShown) {
  auto offline = make_node(), pending = make_node(), banned = make_node();
  offline.status = api::NodeStatus::kOffline;
  pending.admission = NodeAdmission::kPending;
  for (const auto& node : {offline, pending, banned, make_node(), make_node()})
    ASSERT_TRUE(store_->register_node(node));
  ASSERT_TRUE(store_->set_node_admission(banned.id, NodeAdmission::kBanned));
  using enum api::NodeStatus;
  EXPECT_EQ(*store_->nodes_by_status(),
            (std::map<api::NodeStatus, std::size_t>{{kOnline, 2}, {kOffline, 1}, {kPending, 1}, {kBanned, 1}}));
}

TEST_P(StoreContract, NodesArePaged) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(store_->register_node(make_node()));
  const auto first = store_->nodes(std::nullopt, 3);
  ASSERT_EQ(first->size(), 3u);
  const auto second = store_->nodes(first->back().id, 3);
  ASSERT_EQ(second->size(), 2u);
  EXPECT_LT(first->back().id, second->front().id);
}

TEST_P(StoreContract, ActionsWaitUntilTheyAreAnswered) {
  const auto node = make_node();
  ASSERT_TRUE(store_->register_node(node));
  ASSERT_TRUE(store_->add_action({"a1", node.id, api::ActionType::kRestart, "{}", 100}));
  ASSERT_EQ(store_->pending_actions(node.id)->size(), 1u);
  EXPECT_EQ(store_->pending_actions(node.id)->front().type, api::ActionType::kRestart);
  EXPECT_EQ(store_->finish_action(NodeId(), "a1", true, "", 120).error(), StoreError::kNotFound) << "another's action";
  ASSERT_TRUE(store_->finish_action(node.id, "a1", true, "done", 120));
  EXPECT_TRUE(store_->pending_actions(node.id)->empty());
  EXPECT_EQ(store_->finish_action(node.id, "a1", true, "", 120).error(), StoreError::kNotFound);
  for (std::size_t i = 0; i < kMaxPendingActions; ++i)
    ASSERT_TRUE(store_->add_action({"b" + std::to_string(i), node.id, api::ActionType::kRestart, "{}", 100}));
  EXPECT_EQ(store_->add_action({"c", node.id, api::ActionType::kRestart, "{}", 100}).error(), StoreError::kFull);
  EXPECT_EQ(store_->add_action({"d", NodeId(), api::ActionType::kRestart, "{}", 100}).error(), StoreError::kNotFound);
}

TEST_P(StoreContract, ActionsComeInTheOrderInWhichTheyWereQueued) {
  const auto node = make_node();
  ASSERT_TRUE(store_->register_node(node));
  const std::vector<std::string> ids{"d", "a", "c", "b"};
  for (const auto& id : ids)
    ASSERT_TRUE(store_->add_action({id, node.id, api::ActionType::kUpdateConfig, "{}", 100}));  // in one second
  std::vector<std::string> found;
  const auto pending = store_->pending_actions(node.id);
  for (const auto& action : *pending) found.push_back(action.id);
  EXPECT_EQ(found, ids);
}

TEST_P(StoreContract, ANodesServerIsTheLatestThatSaidSo) {
  const auto node = make_node();
  const ServerId first(Uuid::random(random_)), second(Uuid::random(random_));
  EXPECT_EQ(store_->set_node_server(node.id, first).error(), StoreError::kNotFound);
  ASSERT_TRUE(store_->register_node(node));
  EXPECT_EQ(store_->node(node.id)->server, std::nullopt);
  ASSERT_TRUE(store_->set_node_server(node.id, first));
  ASSERT_TRUE(store_->set_node_server(node.id, second));
  ASSERT_TRUE(store_->clear_node_server(node.id, first));
  EXPECT_EQ(store_->node(node.id)->server, second) << "it had moved on before";
  EXPECT_EQ(store_->register_node(node)->server, second) << "registering again leaves the link alone";
  EXPECT_EQ(store_->nodes(std::nullopt, 10)->front().server, second);
  ASSERT_TRUE(store_->clear_nodes_of_server(first));
  EXPECT_EQ(store_->node(node.id)->server, second);
  ASSERT_TRUE(store_->clear_nodes_of_server(second));
  EXPECT_EQ(store_->node(node.id)->server, std::nullopt);
}

}  // namespace
}  // namespace higgs::boson

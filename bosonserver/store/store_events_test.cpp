// What stores tell of their changes, whichever database they use.
#include "bosonserver/store/store_events.h"

#include <gtest/gtest.h>

#include "bosonserver/store/local_notifier.h"
#include "bosonserver/store/testing/event_log.h"
#include "bosonserver/store/testing/store_contract.h"

namespace higgs::boson {
namespace {

using EventKind = StoreEvent::Kind;
using testing::EventLog;

TEST(StoreEventsTest, TravelAsText) {
  SeededRandom random(1);
  StoreEvent event{EventKind::kSessionsEnded, {}, "ended"};
  EXPECT_EQ(encode_event(event), "sessions-ended ended");
  EXPECT_EQ(decode_event(encode_event({EventKind::kKeysChanged})), StoreEvent{EventKind::kKeysChanged});
  for (std::size_t i = 0; i < kMaxStoreEventIds; ++i) event.ids.push_back(Uuid::random(random));
  event.detail = std::string(kMaxStoreEventDetail, 'x');
  const auto text = encode_event(event);
  EXPECT_LT(text.size(), 8000u) << "PostgreSQL carries no more";
  EXPECT_EQ(decode_event(text), event);
  EXPECT_FALSE(decode_event(text + " " + event.ids[0].to_string())) << "too many";
  event.detail = "no word, by no means";
  EXPECT_EQ(decode_event(encode_event(event))->detail, "");
}

TEST(StoreEventsTest, NothingElseIsOne) {
  for (const std::string bad :
       {"", " ", "keys-changed", "keys-changed  ", "keys-changed x y", "Keys-changed -", "resync -", "nodes-banned - ,",
        "nodes-banned -  ", "sessions-ended ended 00000000-0000-0000-0000-00000000000",
        "sessions-ended ended  00000000-0000-0000-0000-000000000000", "sessions-ended Ended",
        "sessions-ended ended 00000000-0000-0000-0000-000000000000,"})
    EXPECT_FALSE(decode_event(bad)) << bad;
  EXPECT_FALSE(decode_event("keys-changed " + std::string(kMaxStoreEventDetail + 1, 'x')));
}

TEST_P(StoreContract, TellsWhatChanged) {
  auto node = make_node();
  const auto session = make_session(add_user("alice"), node.id, "10.1.0.2");
  const auto other = subject_->open();
  EventLog log(*store_);
  // On PostgreSQL by another server.
  Store& writer = dynamic_cast<SqliteSubject*>(subject_.get()) != nullptr ? *store_ : *other;
  const auto told = [&](EventKind kind, auto id, const std::string& detail = {}) {
    EXPECT_EQ(log.next(), (StoreEvent{kind, {id.value()}, detail}));
  };
  ASSERT_TRUE(writer.register_node(node));
  told(EventKind::kNodesChanged, node.id);
  ASSERT_TRUE(writer.record_heartbeat(node.id, api::NodeStatus::kOnline, {}, {}, 110));
  ASSERT_TRUE(writer.record_heartbeat(node.id, api::NodeStatus::kDegraded, {}, {}, 120));
  told(EventKind::kNodesMoved, node.id);
  ASSERT_TRUE(*writer.set_node_offline(node.id, 120));
  told(EventKind::kNodesMoved, node.id);
  EXPECT_FALSE(*writer.set_node_offline(node.id, 120));
  ASSERT_TRUE(writer.record_heartbeats({{node.id, api::NodeStatus::kOnline, {}, {}, 130}}));
  told(EventKind::kNodesMoved, node.id);
  ASSERT_TRUE(writer.record_heartbeats({{node.id, api::NodeStatus::kOnline, {}, {}, 140}}));
  ASSERT_TRUE(writer.add_session(session));
  ASSERT_TRUE(*writer.end_session(session.id, "ended", 150));
  told(EventKind::kSessionsEnded, session.id, "ended");
  ASSERT_FALSE(*writer.end_session(session.id, "expired", 160));
  ASSERT_TRUE(writer.set_node_admission(node.id, NodeAdmission::kBanned));
  told(EventKind::kNodesBanned, node.id);
  ASSERT_TRUE(writer.set_node_admission(node.id, NodeAdmission::kApproved));
  told(EventKind::kNodesChanged, node.id);
  node.key_certificate.sequence = 0;
  ASSERT_FALSE(writer.register_node(node));
  ASSERT_TRUE(writer.add_signing_key({"k1", {}, to_bytes(as_bytes("sealed")), 100}));
  EXPECT_EQ(log.next(), StoreEvent{EventKind::kKeysChanged}) << "and of what failed nothing was told";
  ASSERT_TRUE(writer.remove_signing_key("k1"));
  EXPECT_EQ(log.next(), StoreEvent{EventKind::kKeysChanged});
}

TEST_P(StoreContract, TellsWhoseLoginsAndKeysAreNotWhatTheyWere) {
  const auto user = make_user("alice");
  const auto other = subject_->open();
  EventLog log(*store_);
  Store& writer = dynamic_cast<SqliteSubject*>(subject_.get()) != nullptr ? *store_ : *other;
  const auto told = [&](const char* what) {
    EXPECT_EQ(log.next(), (StoreEvent{EventKind::kUsersChanged, {user.id.value()}})) << what;
  };
  ASSERT_TRUE(writer.add_user(user));
  ASSERT_TRUE(writer.add_refresh_family("f1", user.id, digest("1"), 100, 900));
  ASSERT_TRUE(writer.add_refresh_family("f2", user.id, digest("2"), 100, 900));
  ASSERT_TRUE(writer.rotate_refresh_token(digest("2"), digest("3"), 110, 900));
  ASSERT_TRUE(writer.revoke_refresh_family(digest("1"), 120));
  told("a logout");
  ASSERT_EQ(writer.rotate_refresh_token(digest("2"), digest("4"), 130, 900)->kind, RefreshOutcome::Kind::kReused);
  told("a theft");
  ApiKeyRecord key{"k", user.id, "ci", digest("k"), api::Role::kUser, 100, {}, {}};
  ASSERT_TRUE(writer.add_api_key(key));
  ASSERT_TRUE(writer.remove_api_key(user.id, "k"));
  told("a key that is gone");
  ASSERT_TRUE(writer.change_password(user.id, user.password_hash, "$argon2id$y", true, 140));
  told("another password");
  ASSERT_TRUE(writer.change_user(user.id, {.disabled = true}, 150));
  told("a ban");
  ASSERT_TRUE(writer.remove_user(user.id, 160));
  told("the end");
}

TEST_P(StoreContract, TellsOfManySessionsInFewEvents) {
  const auto user = add_user("alice");
  const auto node = add_node();
  std::set<Uuid> expected, heard;
  for (std::size_t i = 0; i < kMaxStoreEventIds + 10; ++i) {
    const auto session = make_session(user, node, "10.1." + std::to_string(i / 200) + "." + std::to_string(i % 200));
    ASSERT_TRUE(store_->add_session(session));
    expected.insert(session.id.value());
  }
  EventLog log(*store_);
  ASSERT_EQ(store_->end_sessions_of_node(node, "banned", 150)->size(), expected.size());
  for (int i = 0; i < 2; ++i) {
    const auto event = log.next();
    EXPECT_EQ(event.detail, "banned");
    heard.insert(event.ids.begin(), event.ids.end());
  }
  EXPECT_EQ(heard, expected);
}

TEST_P(StoreContract, SaysWhatEndedAndWhoIsBanned) {
  const auto user = add_user("alice");
  const auto node = add_node();
  const auto early = make_session(user, node, "10.1.0.2"), late = make_session(user, node, "10.1.0.3");
  const auto standing = make_session(user, node, "10.1.0.4");
  for (const auto& session : {early, late, standing}) ASSERT_TRUE(store_->add_session(session));
  ASSERT_TRUE(store_->end_session(early.id, "ended", 150));
  ASSERT_TRUE(store_->end_session(late.id, "ended", 160));
  EXPECT_EQ(*store_->sessions_ended_since(151, std::nullopt, 10), std::vector{late.id});
  const auto first = store_->sessions_ended_since(100, std::nullopt, 1);
  ASSERT_EQ(first->size(), 1u);
  EXPECT_EQ(store_->sessions_ended_since(100, first->front(), 10)->size(), 1u);
  const auto good = make_node(), bad = make_node();
  for (const auto& one : {good, bad}) ASSERT_TRUE(store_->register_node(one));
  ASSERT_TRUE(store_->set_node_admission(bad.id, NodeAdmission::kBanned));
  EXPECT_EQ(*store_->banned_nodes(std::nullopt, 10), std::vector{bad.id});
  EXPECT_TRUE(store_->banned_nodes(bad.id, 10)->empty());
}

TEST(LocalNotifierTest, WhatAnotherProcessWroteIsAGap) {
  std::mutex mutex;
  std::condition_variable come;
  std::int64_t version = 1;
  int gaps = 0;
  LocalNotifier notifier([&] {
    const std::lock_guard lock(mutex);
    return version;
  });
  const auto listener = notifier.listen([&](const SqlNotification& notification) {
    const std::lock_guard lock(mutex);
    gaps += notification.gap ? 1 : 0;
    come.notify_all();
  });
  std::unique_lock lock(mutex);
  ASSERT_TRUE(come.wait_for(lock, std::chrono::seconds(20), [&] { return gaps == 1; })) << "the one that begins";
  version = 2;
  EXPECT_TRUE(come.wait_for(lock, std::chrono::seconds(20), [&] { return gaps == 2; }));
}

TEST(LocalNotifierTest, TwoStoresOfOneFileHearOfEachOther) {
  SqliteSubject subject;
  const auto mine = subject.open(), others = subject.open();
  EventLog log(*mine);
  ASSERT_TRUE(others->add_user({UserId(), "alice", "x", api::Role::kUser, false, 1}));
  EXPECT_TRUE(log.wait_for_resync());
}

TEST(LocalNotifierTest, ASlowListenerHearsOfAGapAndHoldsUpNobody) {
  LocalNotifier notifier([] { return std::int64_t{0}; });
  std::mutex mutex;
  std::condition_variable come;
  bool go = false;
  std::vector<SqlNotification> heard;
  const auto slow = notifier.listen([&](const SqlNotification& notification) {
    std::unique_lock lock(mutex);
    heard.push_back(notification);
    come.notify_all();
    come.wait(lock, [&] { return go; });
  });
  std::unique_lock lock(mutex);
  come.wait(lock, [&] { return heard.size() == 1; });
  lock.unlock();
  for (std::size_t i = 0; i <= kMaxQueuedNotifications; ++i) notifier.notify("early");
  lock.lock();
  go = true;
  come.notify_all();
  come.wait(lock, [&] { return heard.size() == 2; });
  EXPECT_TRUE(heard[0].gap && heard[1].gap);
  lock.unlock();
  notifier.notify("late");
  lock.lock();
  come.wait(lock, [&] { return heard.size() == 3; });
  EXPECT_EQ(heard[2].text, "late");
}

}  // namespace
}  // namespace higgs::boson

// What every store must do for sessions, run as store_contract_test.cpp is.
#include <set>

#include <gtest/gtest.h>

#include "bosonserver/store/testing/store_contract.h"

namespace higgs::boson {
namespace {

TEST_P(StoreContract, SessionsHoldTheirAddressesWhileTheyLive) {
  const auto node = add_node();
  const auto user = add_user("alice");
  auto session = make_session(user, node, "10.1.0.2");
  session.address6 = IpAddress::parse("fd00::2");
  ASSERT_TRUE(store_->add_session(session));
  EXPECT_EQ(store_->addresses_in_use(node)->size(), 2u);
  EXPECT_EQ(store_->add_session(make_session(user, node, "10.1.0.2")).error(), StoreError::kExists);
  auto same6 = make_session(user, node, "10.1.0.3");
  same6.address6 = IpAddress::parse("fd00::2");
  EXPECT_EQ(store_->add_session(same6).error(), StoreError::kExists);
  EXPECT_TRUE(store_->add_session(make_session(user, add_node(), "10.1.0.2")));
  EXPECT_EQ(*store_->live_sessions_of_user(user), 2u);

  EXPECT_TRUE(*store_->end_session(session.id, "ended", 150));
  EXPECT_FALSE(*store_->end_session(session.id, "expired", 160));
  EXPECT_EQ(store_->session(session.id)->end_reason, "ended");
  EXPECT_TRUE(store_->addresses_in_use(node)->empty());
  EXPECT_TRUE(store_->add_session(make_session(user, node, "10.1.0.2")));
  EXPECT_EQ(*store_->live_sessions(), 2u);
}

TEST_P(StoreContract, ASessionKeyIsNeverUsedTwice) {
  const auto user = add_user("alice");
  const auto first = make_session(user, add_node(), "10.1.0.2");
  ASSERT_TRUE(store_->add_session(first));
  ASSERT_TRUE(store_->end_session(first.id, "ended", 110));
  auto second = make_session(user, add_node(), "10.1.0.9");
  second.wireguard_key = first.wireguard_key;
  EXPECT_EQ(store_->add_session(second).error(), StoreError::kKeyTaken);
}

TEST_P(StoreContract, SessionsExpireUnlessRenewed) {
  const auto user = add_user("alice");
  const auto node = add_node();
  const auto kept = make_session(user, node, "10.1.0.2"), lost = make_session(user, node, "10.1.0.3");
  ASSERT_TRUE(store_->add_session(kept));
  ASSERT_TRUE(store_->add_session(lost));
  ASSERT_TRUE(store_->renew_session(kept.id, 300));
  EXPECT_TRUE(store_->end_expired_sessions(199)->empty());
  EXPECT_EQ(*store_->end_expired_sessions(200), std::vector<SessionId>{lost.id});
  EXPECT_EQ(store_->renew_session(lost.id, 400).error(), StoreError::kNotFound);
  EXPECT_EQ(store_->session(lost.id)->end_reason, "expired");
  EXPECT_EQ(*store_->end_sessions_of_node(node, "banned", 210), std::vector<SessionId>{kept.id});
}

TEST_P(StoreContract, SessionBytesAddUpAndListsRunBackwards) {
  const auto user = add_user("alice");
  const auto node = add_node();
  std::vector<SessionId> ids;
  for (int i = 0; i < 4; ++i) {
    auto session = make_session(user, node, "10.1.0." + std::to_string(i + 2));
    session.started_at = 100 + i / 2;
    ids.push_back(session.id);
    ASSERT_TRUE(store_->add_session(session));
  }
  ASSERT_TRUE(store_->add_session_bytes(ids[0], 10, 1));
  ASSERT_TRUE(store_->add_session_bytes(ids[0], 5, 2));
  EXPECT_EQ(store_->session(ids[0])->bytes_to_node, 15u);
  EXPECT_EQ(store_->session(ids[0])->bytes_to_client, 3u);
  EXPECT_EQ(store_->session(ids[0])->path, "relay");
  ASSERT_TRUE(store_->set_session_path(ids[0], "direct-v4"));
  EXPECT_EQ(store_->session(ids[0])->path, "direct-v4");
  EXPECT_EQ(store_->set_session_path(SessionId(Uuid::random(random_)), "turn").error(), StoreError::kNotFound);
  std::vector<SessionId> seen;
  std::optional<SessionId> before;
  for (;;) {
    const auto page = store_->sessions(before, 3);
    ASSERT_TRUE(page);
    if (page->empty()) break;
    for (const auto& session : *page) seen.push_back(session.id);
    before = page->back().id;
  }
  EXPECT_EQ(seen.size(), 4u);
  EXPECT_EQ(std::set<SessionId>(seen.begin(), seen.end()).size(), 4u);
  EXPECT_EQ(store_->session(seen[0])->started_at, 101);
}

TEST_P(StoreContract, ASessionNeedsAUserALoginAndANodeThatStand) {
  const auto alice = make_user("alice");
  ASSERT_TRUE(store_->add_user(alice));
  ASSERT_TRUE(store_->add_refresh_family("f1", alice.id, digest("t1"), 100, 900));
  const auto node = make_node();
  ASSERT_TRUE(store_->register_node(node));
  int last = 1;
  const auto added = [&](UserId user, NodeId at, const SessionTerms& terms = {}) {
    return store_->add_session(make_session(user, at, "10.1.0." + std::to_string(++last)), terms);
  };
  EXPECT_TRUE(added(alice.id, node.id, {.login = "f1"}));
  EXPECT_EQ(added(UserId(Uuid::random(random_)), node.id).error(), StoreError::kNotFound);
  EXPECT_EQ(added(alice.id, NodeId(Uuid::random(random_))).error(), StoreError::kNotAdmitted);
  EXPECT_EQ(added(alice.id, node.id, {.login = "f2"}).error(), StoreError::kNotFound);
  EXPECT_EQ(added(add_user("bob"), node.id, {.login = "f1"}).error(), StoreError::kNotFound) << "another's";
  ASSERT_TRUE(store_->revoke_refresh_family(digest("t1"), 120));
  EXPECT_EQ(added(alice.id, node.id, {.login = "f1"}).error(), StoreError::kNotFound);
  for (const auto admission : {NodeAdmission::kBanned, NodeAdmission::kPending}) {
    ASSERT_TRUE(store_->set_node_admission(node.id, admission));
    EXPECT_EQ(added(alice.id, node.id).error(), StoreError::kNotAdmitted);
  }
  ASSERT_TRUE(store_->set_node_admission(node.id, NodeAdmission::kApproved));
  EXPECT_TRUE(added(alice.id, node.id));
  ASSERT_TRUE(store_->change_user(alice.id, {.disabled = true}, 130));
  EXPECT_EQ(added(alice.id, node.id).error(), StoreError::kNotFound);
}

TEST_P(StoreContract, WhatEndsAUsersLoginsEndsTheSessions) {
  const auto node = add_node();
  const auto alice = add_user("alice"), bob = add_user("bob");
  const auto other = make_session(bob, node, "10.1.0.99");
  ASSERT_TRUE(store_->add_session(other));
  const auto ends = [&](const char* reason, auto&& change) {
    const auto session = make_session(alice, node, "10.1.0.2");
    ASSERT_TRUE(store_->add_session(session));
    EXPECT_EQ(change(), std::vector{session.id});
    EXPECT_EQ(store_->session(session.id)->end_reason, reason);
  };
  ends("disabled", [&] { return store_->change_user(alice, {.disabled = true}, 110)->ended; });
  EXPECT_TRUE(store_->change_user(alice, {.role = api::Role::kOperator, .disabled = false}, 120)->ended.empty());
  ends("password changed", [&] { return store_->change_user(alice, {.password_hash = "new"}, 130)->ended; });
  ends("password changed", [&] { return *store_->change_password(alice, "new", "newer", true, 140); });
  ends("removed", [&] { return *store_->remove_user(alice, 150); });
  EXPECT_FALSE(store_->session(other.id)->ended_at);
}

TEST_P(StoreContract, ASessionIsNotAddedBehindTheBackOfABan) {
  const auto node = add_node();
  const auto alice = add_user("alice");
  std::vector<SessionRow> sessions;
  for (int i = 0; i < kThreads; ++i) sessions.push_back(make_session(alice, node, "10.1.0." + std::to_string(i + 2)));
  successes([&](int i) {
    if (i != kThreads / 2) return store_->add_session(sessions[static_cast<std::size_t>(i)]).has_value();
    // A loaded machine may be too slow for it at first.
    while (store_->change_user(alice, {.disabled = true}, 110).error() == StoreError::kUnavailable) continue;
    return true;
  });
  ASSERT_TRUE(store_->user_by_id(alice)->disabled);
  EXPECT_EQ(*store_->live_sessions_of_user(alice), 0u);
}

TEST_P(StoreContract, AUserAndANodeHaveNoMoreSessionsThanTheyMayAmongManyThreads) {
  const auto alice = add_user("alice");
  const auto node = add_node(), another = add_node();
  std::vector<SessionRow> sessions;
  for (int i = 0; i < kThreads; ++i) sessions.push_back(make_session(alice, node, "10.1.0." + std::to_string(i + 2)));
  const auto add_all = [&](const SessionTerms& terms, StoreError refusal) {
    return successes([&](int i) {
      const auto added = store_->add_session(sessions[static_cast<std::size_t>(i)], terms);
      EXPECT_TRUE(added || added.error() == refusal || added.error() == StoreError::kUnavailable);
      return added.has_value();
    });
  };
  EXPECT_LE(add_all({.of_user = 3}, StoreError::kTooMany), 3);
  const auto standing = *store_->live_sessions_of_user(alice);
  EXPECT_LE(standing, 3u);
  for (int i = 0; i < kThreads; ++i)
    sessions[static_cast<std::size_t>(i)] = make_session(alice, node, "10.1.1." + std::to_string(i + 2));
  EXPECT_LE(add_all({.of_node = 5}, StoreError::kFull), 5);
  EXPECT_LE(store_->addresses_in_use(node)->size(), 5u);
  EXPECT_TRUE(store_->add_session(make_session(alice, another, "10.1.0.2"), {.of_node = 1}));
  EXPECT_EQ(store_->add_session(make_session(alice, another, "10.1.0.3"), {.of_node = 1}).error(), StoreError::kFull);
  EXPECT_EQ(store_->add_session(make_session(alice, another, "10.1.0.3"), {.of_user = 2}).error(),
            StoreError::kTooMany);
}

}  // namespace
}  // namespace higgs::boson

#include "bosonserver/api/store_grace.h"

#include <gtest/gtest.h>

#include "bosonserver/store/sql_store.h"
#include "bosonserver/store/sqlite_database.h"
#include "bosonserver/store/testing/failing_database.h"
#include "bosonserver/store/testing/records.h"

namespace higgs::boson {
namespace {

using namespace std::chrono_literals;

TEST(RecentMapTest, WhatWasUsedLongestAgoGoesFirst) {
  RecentMap<int, int> map(2);
  map.put(1, 10);
  map.put(2, 20);
  EXPECT_NE(map.find(1), nullptr);
  map.put(3, 30);
  EXPECT_EQ(map.find(2), nullptr);
  EXPECT_EQ(*map.find(1), 10);
  EXPECT_EQ(map.evicted(), 1u);
  map.put(1, 11);
  EXPECT_EQ(*map.find(1), 11);
  EXPECT_EQ(map.size(), 2u);
  map.erase_if([](int value) { return value == 30; });
  EXPECT_EQ(map.size(), 1u);
}

class StoreGraceTest : public ::testing::Test {
 protected:
  StoreGraceTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "higgs-grace-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    auto database = std::make_unique<SqliteDatabase>(directory_ / "store.db");
    database->migrate();
    store_ = std::make_unique<SqlStore>(std::make_unique<testing::FailingDatabase>(std::move(database), away_));
    grace_.emplace(*store_, GraceLimits{2, 2, 2, 2});
    user_ = {UserId(Uuid::random(random_)), "alice", "hash", api::Role::kUser, false, 1};
    EXPECT_TRUE(store_->add_user(user_));
    EXPECT_TRUE(store_->register_node(node_));
    EXPECT_TRUE(store_->add_refresh_family("login", user_.id, {}, 1, 1'000'000));
  }
  ~StoreGraceTest() override {
    grace_.reset();
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  static Now at(std::chrono::seconds time) { return {Instant(time), from_unix_seconds(time.count())}; }
  SessionRow add_session(std::int64_t expires_at) {
    SessionRow session;
    session.id = SessionId(Uuid::random(random_));
    session.user = user_.id;
    session.node = node_.id;
    session.wireguard_key = crypto::public_key_of(crypto::make_private_key(random_));
    session.address4 = IpAddress::v4(++address_);
    session.expires_at = expires_at;
    EXPECT_TRUE(store_->add_session(session));
    return session;
  }

  SeededRandom random_{3};
  std::uint32_t address_ = 0x0a000000;
  std::filesystem::path directory_;
  std::shared_ptr<std::atomic<bool>> away_ = std::make_shared<std::atomic<bool>>(false);
  std::unique_ptr<Store> store_;
  std::optional<StoreGrace> grace_;
  UserRecord user_;
  const NodeRecord node_ = testing::make_node(random_);
};

TEST_F(StoreGraceTest, WhatIsRememberedCountsForFifteenMinutesAndNotLonger) {
  const auto session = add_session(5'000);
  ASSERT_FALSE(grace_->session(session.id, at(1000s))->remembered);
  ASSERT_FALSE(grace_->caller_by_login(user_.id, "login", at(1000s))->remembered);
  *away_ = true;
  const auto last = at(1000s + kStoreGrace - 1s), over = at(1000s + kStoreGrace);
  EXPECT_TRUE(grace_->session(session.id, last)->remembered);
  const auto caller = grace_->caller_by_login(user_.id, "login", last);
  ASSERT_TRUE(caller && caller->remembered && caller->value.login_stands);
  EXPECT_EQ(caller->value.user.password_hash, "") << "nobody logs in by it";
  EXPECT_EQ(grace_->ends_at(last), 1900);
  EXPECT_EQ(grace_->session(session.id, over).error(), StoreError::kUnavailable);
  EXPECT_EQ(grace_->caller_by_login(user_.id, "login", over).error(), StoreError::kUnavailable);
  EXPECT_FALSE(grace_->ends_at(over));
  EXPECT_EQ(grace_->caller_by_login(user_.id, "another", last).error(), StoreError::kUnavailable);
}

TEST_F(StoreGraceTest, AClockThatIsSetBackMakesItNoLonger) {
  const auto session = add_session(5'000);
  ASSERT_TRUE(grace_->session(session.id, at(1000s)));
  *away_ = true;
  const Now set_back{Instant(1000s + kStoreGrace), from_unix_seconds(500)};
  EXPECT_FALSE(grace_->session(session.id, set_back));
}

TEST_F(StoreGraceTest, ARenewalEndsWithTheGraceAndIsWrittenWhenTheStoreIsBack) {
  const auto session = add_session(1'100);
  ASSERT_TRUE(grace_->session(session.id, at(1000s)));
  *away_ = true;
  EXPECT_EQ(*grace_->renew_session(session, 1'000 + 1'800, at(1000s)), 1'900);
  EXPECT_EQ(*grace_->renew_session(session, 1'050, at(1001s)), 1'900) << "it is not shortened";
  EXPECT_EQ(grace_->renew_session(session, 9'000, at(1900s)).error(), StoreError::kUnavailable);
  EXPECT_EQ(grace_->settle(at(1900s)).error(), StoreError::kUnavailable);
  EXPECT_EQ(grace_->stats().unsettled, 1u);
  *away_ = false;
  EXPECT_TRUE(grace_->settle(at(1950s))->empty());
  EXPECT_EQ(store_->session(session.id)->expires_at, 1'900);
  EXPECT_EQ(grace_->stats().unsettled, 0u);
  EXPECT_EQ(grace_->ends_at(at(1950s)), 1950 + 900) << "it begins anew";
}

TEST_F(StoreGraceTest, WhatEndedInTheStoreMeanwhileIsSaidWhenItIsBack) {
  const auto session = add_session(1'100);
  ASSERT_TRUE(grace_->session(session.id, at(1000s)));
  *away_ = true;
  ASSERT_TRUE(grace_->renew_session(session, 2'800, at(1000s)));
  *away_ = false;
  ASSERT_TRUE(store_->end_session(session.id, "banned", 1'001));
  EXPECT_EQ(*grace_->settle(at(1002s)), std::vector{session.id});
  *away_ = true;
  EXPECT_FALSE(grace_->session(session.id, at(1003s)));
}

TEST_F(StoreGraceTest, WhatWasForgottenDoesNotComeBack) {
  const auto session = add_session(5'000);
  const NodeId node(Uuid::random(random_));
  ASSERT_TRUE(grace_->session(session.id, at(1000s)));
  ASSERT_TRUE(grace_->caller_by_login(user_.id, "login", at(1000s)));
  grace_->remember(node, {NodeAdmission::kApproved, 30}, grace_->mark());
  const auto mark = grace_->mark();
  grace_->forget_session(session.id);
  grace_->forget_user(user_.id);
  grace_->forget_node(node);
  // Read before it was forgotten, and remembered after.
  grace_->remember(node, {NodeAdmission::kApproved, 30}, mark);
  *away_ = true;
  EXPECT_FALSE(grace_->session(session.id, at(1001s)));
  EXPECT_FALSE(grace_->caller_by_login(user_.id, "login", at(1001s)));
  EXPECT_FALSE(grace_->remembered_node(node, at(1001s)));
  EXPECT_FALSE(grace_->node(node, at(1001s)));
}

TEST_F(StoreGraceTest, ALoginThatWasSeenEndedIsNotRemembered) {
  ASSERT_TRUE(grace_->caller_by_login(user_.id, "login", at(1000s)));
  ASSERT_TRUE(store_->revoke_refresh_family({}, 1'000));
  ASSERT_FALSE(grace_->caller_by_login(user_.id, "login", at(1001s))->value.login_stands);
  *away_ = true;
  EXPECT_FALSE(grace_->caller_by_login(user_.id, "login", at(1002s)));
}

TEST_F(StoreGraceTest, RemembersNoMoreThanItsLimit) {
  std::vector<SessionRow> sessions;
  for (int i = 0; i < 3; ++i) {
    sessions.push_back(add_session(5'000));
    ASSERT_TRUE(grace_->session(sessions.back().id, at(1000s)));
  }
  *away_ = true;
  EXPECT_FALSE(grace_->session(sessions[0].id, at(1001s)));
  EXPECT_TRUE(grace_->session(sessions[2].id, at(1001s)));
  EXPECT_EQ(grace_->stats().forgotten, 1u);
}

}  // namespace
}  // namespace higgs::boson

// What every store must do for accounts and the audit, run as store_contract_test.cpp is.
#include <atomic>
#include <thread>

#include <SQLiteCpp/SQLiteCpp.h>
#include <gtest/gtest.h>

#include "bosonserver/api/audit_check.h"
#include "bosonserver/store/testing/store_contract.h"

namespace higgs::boson {
namespace {

AuditEntry entry(std::int64_t time, const std::string& actor = "user:a") {
  return {0, time, actor, "192.0.2.1", "login", "a", "ok"};
}

std::uint64_t faults_of(Store& store) { return check_audit(store)->fault_count; }

TEST_P(StoreContract, TheAuditIsAChain) {
  EXPECT_EQ(store_->audit_chain()->head_id, 0);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(store_->add_audit(entry(100 + i)));
  const auto links = store_->audit_links(2, 2);
  ASSERT_TRUE(links);
  ASSERT_EQ(links->size(), 2u);
  EXPECT_EQ(links->front().entry.id, 3);
  EXPECT_EQ(links->back().hash, audit_hash(links->front().hash, links->back().entry));
  EXPECT_EQ(store_->audit_chain()->head_id, 5);
  EXPECT_EQ(faults_of(*store_), 0u);
  store_.reset();
  store_ = subject_->open();
  ASSERT_TRUE(store_->add_audit(entry(200, std::string("user:\xff\0", 7))));
  EXPECT_EQ(faults_of(*store_), 0u) << "it goes on after a restart";
}

TEST_P(StoreContract, TwoServersWriteOneChain) {
  const auto other = subject_->open();
  std::vector<std::thread> threads;
  std::atomic<int> written = 0;
  for (int i = 0; i < 4; ++i) {
    Store& store = i % 2 == 0 ? *store_ : *other;
    threads.emplace_back([&store, &written] {
      for (int n = 0; n < 25; ++n) written += store.add_audit(entry(100)) ? 1 : 0;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(written, 100);
  EXPECT_EQ(store_->audit_chain()->head_id, 100);
  EXPECT_EQ(faults_of(*store_), 0u);
}

TEST_P(StoreContract, APurgeKeepsTheChainWhole) {
  // The clocks of two servers differ: an old entry behind a young one stays until its turn comes.
  for (const std::int64_t time : {100, 110, 900, 120, 910}) ASSERT_TRUE(store_->add_audit(entry(time)));
  Retention retention;
  retention.audit = 500;
  ASSERT_TRUE(store_->purge(retention, 700));
  EXPECT_EQ(store_->audit_links(0, 10)->front().entry.id, 3);
  EXPECT_EQ(store_->audit_chain()->anchor_id, 2);
  EXPECT_EQ(faults_of(*store_), 0u);
  ASSERT_TRUE(store_->purge(retention, 2'000));
  EXPECT_TRUE(store_->audit_links(0, 10)->empty());
  ASSERT_TRUE(store_->add_audit(entry(2'000)));
  EXPECT_EQ(store_->audit_links(0, 10)->front().entry.id, 6);
  EXPECT_EQ(faults_of(*store_), 0u);
}

TEST_P(StoreContract, CallersAreKnownByTheirLogin) {
  auto alice = make_user("alice"), bob = make_user("bob");
  ASSERT_TRUE(store_->add_user(alice));
  ASSERT_TRUE(store_->add_user(bob));
  ASSERT_TRUE(store_->add_refresh_family("f1", alice.id, digest("t1"), 100, 1'000));
  ASSERT_TRUE(store_->add_refresh_family("f2", alice.id, digest("t2"), 100, 1'000));
  EXPECT_TRUE(store_->caller_by_login(alice.id, "f1")->login_stands);
  EXPECT_EQ(store_->caller_by_login(alice.id, "f1")->user.name, "alice");
  EXPECT_FALSE(store_->caller_by_login(bob.id, "f1")->login_stands) << "another's login";
  EXPECT_FALSE(store_->caller_by_login(alice.id, "")->login_stands);
  EXPECT_EQ(store_->caller_by_login(UserId(), "f1").error(), StoreError::kNotFound);
  ASSERT_TRUE(store_->revoke_refresh_family(digest("t1"), 110));
  EXPECT_FALSE(store_->caller_by_login(alice.id, "f1")->login_stands);
  EXPECT_TRUE(store_->caller_by_login(alice.id, "f2")->login_stands);
}

TEST_P(StoreContract, APasswordChangesOnceAndEndsLogins) {
  const auto alice = make_user("alice");
  ASSERT_TRUE(store_->add_user(alice));
  ASSERT_TRUE(store_->add_refresh_family("f1", alice.id, digest("t1"), 100, 1'000));
  ASSERT_TRUE(store_->change_password(alice.id, alice.password_hash, "rehashed", false, 110));
  EXPECT_TRUE(store_->caller_by_login(alice.id, "f1")->login_stands);
  EXPECT_EQ(store_->change_password(alice.id, alice.password_hash, "late", true, 120).error(), StoreError::kNotFound);
  EXPECT_EQ(store_->user_by_id(alice.id)->password_hash, "rehashed");
  ASSERT_TRUE(store_->change_password(alice.id, "rehashed", "new", true, 130));
  EXPECT_FALSE(store_->caller_by_login(alice.id, "f1")->login_stands);
}

TEST_P(StoreContract, ALoginComesTooLateForAnotherPasswordOrADisabledUser) {
  const auto alice = make_user("alice");
  ASSERT_TRUE(store_->add_user(alice));
  ASSERT_TRUE(store_->change_user(alice.id, {.password_hash = "new"}, 110));
  EXPECT_EQ(store_->add_refresh_family("f1", alice.id, digest("t1"), 120, 1'000, alice.password_hash).error(),
            StoreError::kNotFound);
  EXPECT_TRUE(store_->add_refresh_family("f2", alice.id, digest("t2"), 120, 1'000, "new"));
  ASSERT_TRUE(store_->change_user(alice.id, {.disabled = true}, 130));
  EXPECT_EQ(store_->add_refresh_family("f3", alice.id, digest("t3"), 140, 1'000, "new").error(), StoreError::kNotFound);
  ASSERT_TRUE(store_->change_user(alice.id, {.disabled = false}, 150));
  EXPECT_FALSE(store_->caller_by_login(alice.id, "f2")->login_stands);
  EXPECT_FALSE(store_->caller_by_login(alice.id, "f3")->login_stands);
}

TEST_P(StoreContract, AChangeLeavesWhatItDoesNotName) {
  const auto alice = make_user("alice");
  ASSERT_TRUE(store_->add_user(alice));
  ASSERT_TRUE(store_->change_user(alice.id, {.role = api::Role::kOperator}, 110));
  ASSERT_TRUE(store_->change_user(alice.id, {.password_hash = "new"}, 110));
  const auto changed = store_->change_user(alice.id, {.disabled = true}, 110);
  ASSERT_TRUE(changed);
  const auto kept = store_->user_by_id(alice.id);
  EXPECT_EQ(kept->name, "alice");
  EXPECT_EQ(kept->role, api::Role::kOperator);
  EXPECT_EQ(kept->password_hash, "new");
  EXPECT_TRUE(kept->disabled);
  EXPECT_EQ(changed->user.password_hash, "new");
  EXPECT_EQ(store_->change_user(UserId(), {.disabled = true}, 110).error(), StoreError::kNotFound);
}

TEST_P(StoreContract, SomebodyIsLeftToAdminister) {
  std::vector<UserId> admins;
  for (int i = 0; i < kThreads; ++i) {
    auto admin = make_user("root" + std::to_string(i));
    admin.role = api::Role::kAdmin;
    ASSERT_TRUE(store_->add_user(admin));
    admins.push_back(admin.id);
  }
  (void)add_user("alice");
  // A loaded machine may be too slow for some: then more are left.
  EXPECT_LE(successes([&](int i) {
              const auto id = admins[static_cast<std::size_t>(i)];
              if (i % 3 == 0) return store_->remove_user(id, 110).has_value();
              if (i % 3 == 1) return store_->change_user(id, {.disabled = true}, 110).has_value();
              return store_->change_user(id, {.role = api::Role::kUser}, 110).has_value();
            }),
            kThreads - 1);
  std::vector<UserId> left;
  const auto users = store_->users("", 100);
  ASSERT_TRUE(users);
  for (const auto& user : *users)
    if (user.role == api::Role::kAdmin && !user.disabled) left.push_back(user.id);
  ASSERT_FALSE(left.empty());
  for (std::size_t i = 1; i < left.size(); ++i) ASSERT_TRUE(store_->remove_user(left[i], 120));
  EXPECT_EQ(store_->remove_user(left[0], 120).error(), StoreError::kLastAdmin);
  EXPECT_EQ(store_->change_user(left[0], {.disabled = true}, 120).error(), StoreError::kLastAdmin);
  EXPECT_EQ(store_->change_user(left[0], {.role = api::Role::kOperator}, 120).error(), StoreError::kLastAdmin);
  EXPECT_TRUE(store_->change_user(left[0], {.role = api::Role::kAdmin, .disabled = false}, 120));
}

TEST_P(StoreContract, OneTimeCodesAreConfirmedAndThenGoodOnce) {
  const auto alice = make_user("alice");
  EXPECT_EQ(store_->enrol_totp(alice.id, as_bytes("s"), 100).error(), StoreError::kNotFound);
  ASSERT_TRUE(store_->add_user(alice));
  EXPECT_EQ(store_->totp(alice.id).error(), StoreError::kNotFound);
  ASSERT_TRUE(store_->enrol_totp(alice.id, as_bytes("first"), 100));
  ASSERT_TRUE(store_->enrol_totp(alice.id, as_bytes("second"), 101));
  EXPECT_FALSE(store_->totp(alice.id)->confirmed);
  EXPECT_FALSE(*store_->spend_totp_step(alice.id, 5)) << "it is not in force";
  EXPECT_EQ(store_->confirm_totp(alice.id, as_bytes("first"), 7, {}, 102).error(), StoreError::kNotFound);
  ASSERT_TRUE(store_->confirm_totp(alice.id, as_bytes("second"), 7, {digest("r1"), digest("r2")}, 102));
  EXPECT_EQ(store_->confirm_totp(alice.id, as_bytes("second"), 8, {}, 103).error(), StoreError::kNotFound);
  EXPECT_EQ(store_->enrol_totp(alice.id, as_bytes("third"), 104).error(), StoreError::kExists);
  const auto record = store_->totp(alice.id);
  EXPECT_TRUE(record->confirmed);
  EXPECT_EQ(as_text(record->sealed), "second");
  EXPECT_EQ(record->recovery_codes, 2u);

  EXPECT_FALSE(*store_->spend_totp_step(alice.id, 7)) << "it confirmed";
  EXPECT_TRUE(*store_->spend_totp_step(alice.id, 9));
  EXPECT_FALSE(*store_->spend_totp_step(alice.id, 9));
  EXPECT_FALSE(*store_->spend_totp_step(alice.id, 8)) << "an older one";
  EXPECT_TRUE(*store_->spend_recovery_code(alice.id, digest("r1")));
  EXPECT_FALSE(*store_->spend_recovery_code(alice.id, digest("r1")));
  EXPECT_FALSE(*store_->spend_recovery_code(UserId(), digest("r2")));

  ASSERT_TRUE(store_->remove_totp(alice.id));
  EXPECT_EQ(store_->remove_totp(alice.id).error(), StoreError::kNotFound);
  EXPECT_FALSE(*store_->spend_recovery_code(alice.id, digest("r2"))) << "they went along";
  ASSERT_TRUE(store_->enrol_totp(alice.id, as_bytes("again"), 110));
  ASSERT_TRUE(store_->remove_user(alice.id, 900));
  EXPECT_EQ(store_->totp(alice.id).error(), StoreError::kNotFound);
}

TEST_P(StoreContract, ACodeIsGoodOnceAmongManyThreads) {
  const auto alice = make_user("alice");
  ASSERT_TRUE(store_->add_user(alice));
  ASSERT_TRUE(store_->enrol_totp(alice.id, as_bytes("s"), 100));
  ASSERT_TRUE(store_->confirm_totp(alice.id, as_bytes("s"), 7, {}, 101));
  std::atomic<int> taken = 0;
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { taken += *store_->spend_totp_step(alice.id, 9) ? 1 : 0; });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(taken, 1);
}

TEST_P(StoreContract, InvitesAreGoodForANumberAndATime) {
  const InviteRecord invite{"i1", digest("invite"), api::Role::kOperator, "console", 100, 200, 2};
  ASSERT_TRUE(store_->add_invite(invite));
  EXPECT_EQ(store_->invite(digest("invite"), 150)->role, api::Role::kOperator);
  EXPECT_EQ(store_->invite(digest("other"), 150).error(), StoreError::kNotFound);
  EXPECT_EQ(store_->invite(digest("invite"), 200).error(), StoreError::kNotFound);
  const auto alice = store_->redeem_invite(digest("invite"), make_user("alice"), 150);
  ASSERT_TRUE(alice);
  EXPECT_EQ(alice->role, api::Role::kOperator);
  EXPECT_EQ(store_->user_by_name("alice")->role, api::Role::kOperator);
  EXPECT_EQ(store_->redeem_invite(digest("invite"), make_user("alice"), 151).error(), StoreError::kExists);
  EXPECT_EQ(store_->invite(digest("invite"), 152)->uses_left, 1u) << "a name that is taken costs no use";
  EXPECT_EQ(store_->redeem_invite(digest("invite"), make_user("bob"), 200).error(), StoreError::kNotFound);
  ASSERT_TRUE(store_->redeem_invite(digest("invite"), make_user("bob"), 160));
  EXPECT_EQ(store_->redeem_invite(digest("invite"), make_user("carol"), 161).error(), StoreError::kNotFound);
  EXPECT_EQ(store_->user_by_name("carol").error(), StoreError::kNotFound);
  EXPECT_GE(*store_->purge({}, 161), 1u) << "used up";
}

TEST_P(StoreContract, AnInviteIsWorthWhatItsMakerCouldStillGive) {
  auto root = make_user("root");
  root.role = api::Role::kAdmin;
  ASSERT_TRUE(store_->add_user(root));
  auto other = make_user("other");
  other.role = api::Role::kAdmin;
  ASSERT_TRUE(store_->add_user(other));
  ASSERT_TRUE(store_->add_invite({"i1", digest("1"), api::Role::kOperator, "user:root", 100, 200, 9}));
  ASSERT_TRUE(store_->add_invite({"i2", digest("2"), api::Role::kUser, "user:root key:ci", 100, 200, 9}));
  EXPECT_TRUE(store_->redeem_invite(digest("1"), make_user("a"), 150));
  EXPECT_TRUE(store_->redeem_invite(digest("2"), make_user("b"), 150));
  ASSERT_TRUE(store_->change_user(root.id, {.role = api::Role::kUser}, 150));
  EXPECT_EQ(store_->redeem_invite(digest("1"), make_user("c"), 151).error(), StoreError::kNotFound);
  EXPECT_TRUE(store_->redeem_invite(digest("2"), make_user("d"), 151));
  ASSERT_TRUE(store_->change_user(root.id, {.disabled = true}, 160));
  EXPECT_EQ(store_->redeem_invite(digest("2"), make_user("e"), 161).error(), StoreError::kNotFound);
  ASSERT_TRUE(store_->change_user(root.id, {.disabled = false}, 170));
  EXPECT_TRUE(store_->redeem_invite(digest("2"), make_user("e"), 171));
  ASSERT_TRUE(store_->remove_user(root.id, 180));
  EXPECT_EQ(store_->redeem_invite(digest("2"), make_user("f"), 181).error(), StoreError::kNotFound);
}

TEST_P(StoreContract, AnInviteForOneIsForOneAmongManyThreads) {
  ASSERT_TRUE(store_->add_invite({"i1", digest("invite"), api::Role::kUser, "console", 100, 200, 1}));
  std::vector<UserRecord> users;
  for (int i = 0; i < 6; ++i) users.push_back(make_user("user" + std::to_string(i)));
  std::atomic<int> made = 0;
  std::vector<std::thread> threads;
  for (const auto& user : users)
    threads.emplace_back([&, user] { made += store_->redeem_invite(digest("invite"), user, 150) ? 1 : 0; });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(made, 1);
  EXPECT_EQ(store_->users("", 10)->size(), 1u);
}

TEST_P(StoreContract, ApiKeysBelongToTheirUser) {
  const auto alice = make_user("alice"), bob = make_user("bob");
  ApiKeyRecord key{"k1", alice.id, "backup", digest("hk_1"), api::Role::kOperator, 100, 500, std::nullopt};
  EXPECT_EQ(store_->add_api_key(key).error(), StoreError::kNotFound);
  ASSERT_TRUE(store_->add_user(alice));
  ASSERT_TRUE(store_->add_user(bob));
  ASSERT_TRUE(store_->add_api_key(key));
  const auto caller = store_->caller_by_key(digest("hk_1"));
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->user.id, alice.id);
  EXPECT_EQ(caller->key.name, "backup");
  EXPECT_EQ(caller->key.role, api::Role::kOperator);
  EXPECT_EQ(caller->key.expires_at, 500);
  EXPECT_EQ(caller->key.last_used_at, std::nullopt);
  EXPECT_EQ(store_->caller_by_key(digest("hk_2")).error(), StoreError::kNotFound);
  ASSERT_TRUE(store_->record_key_use("k1", 150));
  EXPECT_EQ(store_->api_keys(alice.id)->front().last_used_at, 150);

  key.id = "k2";
  key.digest = digest("hk_2");
  EXPECT_EQ(store_->add_api_key(key).error(), StoreError::kExists) << "one of this name";
  EXPECT_TRUE(store_->api_keys(bob.id)->empty());
  EXPECT_EQ(store_->remove_api_key(bob.id, "k1").error(), StoreError::kNotFound) << "another's";
  ASSERT_TRUE(store_->remove_api_key(alice.id, "k1"));
  EXPECT_EQ(store_->caller_by_key(digest("hk_1")).error(), StoreError::kNotFound);

  for (std::size_t i = 0; i < kMaxApiKeys; ++i) {
    const auto name = "key" + std::to_string(i);
    ASSERT_TRUE(store_->add_api_key({name, alice.id, name, digest(name), api::Role::kUser, 100, {}, {}}));
  }
  EXPECT_EQ(store_->add_api_key(key).error(), StoreError::kFull);
  ASSERT_TRUE(store_->remove_user(alice.id, 900));
  EXPECT_EQ(store_->caller_by_key(digest("key0")).error(), StoreError::kNotFound);
}

TEST_P(StoreContract, TheAllowListHoldsNetworksAndIdentities) {
  const auto identity = crypto::public_key_of_ed25519(crypto::make_ed25519_key(random_));
  const AllowEntry network{"a1", IpPrefix::parse("192.0.2.0/24"), std::nullopt, "the office", "user:root", 100};
  const AllowEntry key{"a2", std::nullopt, identity, "", "user:root", 101};
  ASSERT_TRUE(store_->add_allow_entry(network));
  ASSERT_TRUE(store_->add_allow_entry(key));
  auto again = network;
  again.id = "a3";
  EXPECT_EQ(store_->add_allow_entry(again).error(), StoreError::kExists);
  const auto entries = store_->allow_entries();
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_EQ(entries->front().network, network.network);
  EXPECT_EQ(entries->front().note, "the office");
  EXPECT_EQ(entries->back().identity_key, identity);
  ASSERT_TRUE(store_->remove_allow_entry("a1"));
  EXPECT_EQ(store_->remove_allow_entry("a1").error(), StoreError::kNotFound);
  EXPECT_EQ(store_->allow_entries()->size(), 1u);
}

TEST(SqliteStoreTest, WhatIsDoneToTheAuditBehindTheStoresBackIsFound) {
  const auto forged = [](const std::string& sql) {
    SqliteSubject subject;
    const auto store = subject.open();
    for (int i = 0; i < 6; ++i) EXPECT_TRUE(store->add_audit(entry(100 + i, "user:" + std::to_string(i))));
    SQLite::Database(subject.file().string(), SQLite::OPEN_READWRITE).exec("DROP TRIGGER audit_append_only; " + sql);
    return faults_of(*store);
  };
  EXPECT_EQ(forged(""), 0u);
  EXPECT_EQ(forged("UPDATE audit SET outcome = 'denied' WHERE id = 3"), 1u);
  EXPECT_EQ(forged("UPDATE audit SET hash = x'00' WHERE id = 6"), 2u) << "the entry, and the head";
  EXPECT_EQ(forged("DELETE FROM audit WHERE id = 3"), 1u);
  EXPECT_EQ(forged("DELETE FROM audit WHERE id > 3"), 1u);
  EXPECT_EQ(forged("UPDATE audit SET id = 100 WHERE id = 2; UPDATE audit SET id = 2 WHERE id = 3; "
                   "UPDATE audit SET id = 3 WHERE id = 100"),
            3u);
  EXPECT_EQ(forged("INSERT INTO audit VALUES (0, 1, 'a', '', 'b', 'c', 'ok', x'')"), 1u);
  EXPECT_EQ(forged("INSERT INTO audit VALUES (7, 1, 'a', '', 'b', 'c', 'ok', x'')"), 2u);
}

TEST(SqliteStoreTest, AnAuditFromBeforeTheChainIsKept) {
  SqliteSubject subject;
  subject.open();
  {
    // As the version before left it.
    SQLite::Database old(subject.file().string(), SQLite::OPEN_READWRITE);
    old.exec(
        "DROP TABLE audit_chain; DROP TABLE totp_secrets; DROP TABLE recovery_codes; DROP TABLE invites; "
        "DROP TABLE api_keys; DROP TABLE allow_entries; DROP INDEX nodes_banned; ALTER TABLE audit DROP COLUMN hash; "
        "DROP TABLE relay_usage; DROP TABLE relay_quotas; DROP TABLE servers; DROP INDEX nodes_server; ALTER TABLE "
        "nodes DROP COLUMN server_id; ALTER TABLE "
        "node_actions DROP COLUMN queued; PRAGMA user_version = "
        "1; "
        "INSERT INTO audit (time, actor, address, action, object, outcome) VALUES (1, 'a', '', 'b', 'c', 'ok')");
  }
  const auto store = subject.open();
  ASSERT_TRUE(store->add_audit(entry(100)));
  EXPECT_EQ(store->audit(std::nullopt, 10)->size(), 2u);
  EXPECT_EQ(check_audit(*store)->unchained, 1u);
  EXPECT_EQ(faults_of(*store), 0u);
  Retention retention;
  retention.audit = 50;
  ASSERT_TRUE(store->purge(retention, 120));
  EXPECT_EQ(store->audit(std::nullopt, 10)->size(), 1u);
  EXPECT_EQ(faults_of(*store), 0u);
  SQLite::Database(subject.file().string(), SQLite::OPEN_READWRITE)
      .exec("DROP TRIGGER audit_append_only; UPDATE audit SET outcome = 'denied'");
  EXPECT_EQ(faults_of(*store), 1u) << "what came after is bound";
}

TEST_P(StoreContract, InvitesAreListedAndRemoved) {
  for (const auto* id : {"i2", "i1", "i3"})
    ASSERT_TRUE(store_->add_invite({id, digest(id), api::Role::kUser, "console", 100, 200, 1}));
  ASSERT_TRUE(store_->redeem_invite(digest("i3"), make_user("alice"), 150));
  const auto all = store_->invites("", 10, 150);
  ASSERT_EQ(all->size(), 2u) << "one is used up";
  EXPECT_EQ(all->front().id, "i1");
  EXPECT_EQ(all->front().created_by, "console");
  EXPECT_EQ(store_->invites("i1", 10, 150)->front().id, "i2");
  EXPECT_TRUE(store_->invites("", 10, 200)->empty()) << "too old";
  ASSERT_TRUE(store_->remove_invite("i1"));
  EXPECT_EQ(store_->remove_invite("i1").error(), StoreError::kNotFound);
  EXPECT_EQ(store_->redeem_invite(digest("i1"), make_user("bob"), 150).error(), StoreError::kNotFound);
  EXPECT_EQ(store_->invites("", 10, 150)->size(), 1u);
}

TEST_P(StoreContract, AddsUpWhatUsersSendAndKnowsWhoIsOverQuota) {
  const auto alice = make_user("alice"), bob = make_user("bob");
  for (const auto& user : {alice, bob}) ASSERT_TRUE(store_->add_user(user));
  ASSERT_TRUE(store_->add_relay_usage(202611, {{alice.id, 10}, {bob.id, 5}, {UserId(Uuid::random(random_)), 7}}));
  ASSERT_TRUE(store_->add_relay_usage(202611, {{alice.id, 30}}));
  ASSERT_TRUE(store_->add_relay_usage(202612, {{alice.id, 1}}));
  EXPECT_EQ(store_->relay_account(alice.id, 202611)->used_bytes, 40u);
  EXPECT_EQ(store_->relay_account(alice.id, 202612)->used_bytes, 1u);
  const auto over = [&](std::optional<std::uint64_t> quota) {
    return *store_->users_over_quota(202611, quota, std::nullopt, 10);
  };
  EXPECT_TRUE(over(std::nullopt).empty()) << "nobody is gone who was counted";
  EXPECT_EQ(over(40), std::vector{alice.id});
  EXPECT_TRUE(over(41).empty());
  ASSERT_TRUE(store_->set_relay_quota(bob.id, 5));
  ASSERT_TRUE(store_->set_relay_quota(alice.id, 1'000));
  EXPECT_EQ(over(40), std::vector{bob.id});
  EXPECT_EQ(store_->relay_account(alice.id, 202611)->own_quota_bytes, 1'000u);
  ASSERT_TRUE(store_->set_relay_quota(alice.id, std::nullopt));
  EXPECT_EQ(over(40).size(), 2u);
  EXPECT_EQ(store_->users_over_quota(202611, 40, over(40).front(), 10)->size(), 1u);
  EXPECT_EQ(store_->set_relay_quota(UserId(), 1).error(), StoreError::kNotFound);
  ASSERT_TRUE(store_->remove_user(alice.id, 900));
  EXPECT_EQ(store_->relay_account(alice.id, 202611)->used_bytes, 0u);
}

TEST_P(StoreContract, AddsUpUsageOfManyServersAtOnce) {
  std::vector<RelayUsage> usage;
  for (const auto* name : {"a", "b", "c", "d"}) {
    const auto user = make_user(name);
    ASSERT_TRUE(store_->add_user(user));
    usage.push_back({user.id, 1});
  }
  EXPECT_EQ(successes([&](int i) {
              auto mine = usage;
              std::rotate(mine.begin(), mine.begin() + i % 4, mine.end());
              return store_->add_relay_usage(202611, mine).has_value();
            }),
            kThreads);
  for (const auto& [user, bytes] : usage)
    EXPECT_EQ(store_->relay_account(user, 202611)->used_bytes, static_cast<std::uint64_t>(kThreads));
}

}  // namespace
}  // namespace higgs::boson

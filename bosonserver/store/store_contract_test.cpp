// What every store must do, run against each database.
#include "bosonserver/store/testing/store_contract.h"

#include <atomic>
#include <set>
#include <thread>

#include <gtest/gtest.h>

namespace higgs::boson {
namespace {

TEST_P(StoreContract, UsersAreKeptAcrossARestart) {
  const auto alice = make_user("alice");
  ASSERT_TRUE(store_->add_user(alice));
  store_.reset();
  store_ = subject_->open();
  const auto found = store_->user_by_name("alice");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->id, alice.id);
  EXPECT_EQ(found->password_hash, alice.password_hash);
  EXPECT_EQ(store_->user_by_id(alice.id)->name, "alice");
  EXPECT_EQ(store_->user_by_name("Alice").error(), StoreError::kNotFound);
  EXPECT_TRUE(store_->ping());
}

TEST_P(StoreContract, UserNamesAreUnique) {
  ASSERT_TRUE(store_->add_user(make_user("alice")));
  EXPECT_EQ(store_->add_user(make_user("alice")).error(), StoreError::kExists);
  const auto bob = make_user("rob'); DROP TABLE users; --");
  ASSERT_TRUE(store_->add_user(bob));
  EXPECT_EQ(store_->user_by_id(bob.id)->name, bob.name);
  const auto page = store_->users("alice", 10);
  ASSERT_TRUE(page);
  ASSERT_EQ(page->size(), 1u);
  EXPECT_EQ(page->front().id, bob.id);
  ASSERT_TRUE(store_->remove_user(bob.id, 200));
  EXPECT_EQ(store_->remove_user(bob.id, 200).error(), StoreError::kNotFound);
}

TEST_P(StoreContract, RefreshTokensRotateAndReuseRevokesTheFamily) {
  using Kind = RefreshOutcome::Kind;
  const auto alice = make_user("alice");
  ASSERT_TRUE(store_->add_user(alice));
  ASSERT_TRUE(store_->add_refresh_family("f1", alice.id, digest("t1"), 100, 1'000));
  EXPECT_EQ(store_->rotate_refresh_token(digest("t0"), digest("x"), 110, 1'000)->kind, Kind::kUnknown);
  const auto first = store_->rotate_refresh_token(digest("t1"), digest("t2"), 110, 1'000);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->kind, Kind::kRotated);
  EXPECT_EQ(first->family, "f1");
  EXPECT_EQ(first->user->id, alice.id);
  EXPECT_EQ(store_->rotate_refresh_token(digest("t2"), digest("t3"), 120, 1'000)->kind, Kind::kRotated);
  EXPECT_EQ(store_->rotate_refresh_token(digest("t1"), digest("t4"), 130, 1'000)->kind, Kind::kReused);
  EXPECT_EQ(store_->rotate_refresh_token(digest("t3"), digest("t5"), 140, 1'000)->kind, Kind::kRevoked);
}

TEST_P(StoreContract, RefreshTokensEnd) {
  using Kind = RefreshOutcome::Kind;
  const auto alice = make_user("alice");
  ASSERT_TRUE(store_->add_user(alice));
  ASSERT_TRUE(store_->add_refresh_family("f1", alice.id, digest("t1"), 100, 200));
  EXPECT_EQ(store_->rotate_refresh_token(digest("t1"), digest("t2"), 200, 300)->kind, Kind::kExpired);
  ASSERT_TRUE(store_->add_refresh_family("f2", alice.id, digest("u1"), 100, 200));
  EXPECT_EQ(*store_->revoke_refresh_family(digest("u1"), 110), alice.id);
  EXPECT_EQ(store_->revoke_refresh_family(digest("u9"), 110).error(), StoreError::kNotFound);
  EXPECT_EQ(store_->rotate_refresh_token(digest("u1"), digest("u2"), 120, 300)->kind, Kind::kRevoked);
  ASSERT_TRUE(store_->add_refresh_family("f3", alice.id, digest("v1"), 100, 200));
  ASSERT_TRUE(store_->change_user(alice.id, {.password_hash = "another"}, 130));
  EXPECT_EQ(store_->rotate_refresh_token(digest("v1"), digest("v2"), 140, 300)->kind, Kind::kRevoked);
  ASSERT_TRUE(store_->add_refresh_family("f4", alice.id, digest("w1"), 100, 200));
  ASSERT_TRUE(store_->change_user(alice.id, {.disabled = true}, 150));
  EXPECT_EQ(store_->rotate_refresh_token(digest("w1"), digest("w2"), 160, 300)->kind, Kind::kRevoked);
}

TEST_P(StoreContract, NoncesAreGoodOnceAndForAWhile) {
  ASSERT_TRUE(store_->add_nonce("a", 100, 160));
  ASSERT_TRUE(store_->add_nonce("b", 100, 160));
  EXPECT_TRUE(*store_->consume_nonce("a", 159));
  EXPECT_FALSE(*store_->consume_nonce("a", 159));
  EXPECT_FALSE(*store_->consume_nonce("b", 160));
  EXPECT_FALSE(*store_->consume_nonce("never", 1));
}

TEST_P(StoreContract, ANonceIsGoodOnceAmongManyThreads) {
  ASSERT_TRUE(store_->add_nonce("n", 1, 1'000));
  EXPECT_EQ(successes([&](int) { return *store_->consume_nonce("n", 1); }), 1);
}

TEST_P(StoreContract, OneOfManyThreadsGetsWhatIsUnique) {
  const auto user = add_user("bob");
  const auto node = add_node();
  std::vector<SessionRow> same_address, same_key;
  std::vector<UserRecord> same_name;
  std::vector<NodeRecord> same_node_key;
  const auto key = crypto::public_key_of(crypto::make_private_key(random_));
  for (int i = 0; i < kThreads; ++i) {
    same_address.push_back(make_session(user, node, "10.1.0.2"));
    same_key.push_back(make_session(user, node, "10.1.1." + std::to_string(i + 1)));
    same_key.back().wireguard_key = key;
    same_name.push_back(make_user("alice"));
    same_node_key.push_back(make_node(crypto::make_ed25519_key(random_), key, 1));
  }
  const auto kind_of = [](const auto& result, StoreError expected) {
    // A loaded machine may be too slow for all; never may two succeed.
    EXPECT_TRUE(result || result.error() == expected || result.error() == StoreError::kUnavailable)
        << result.error().message();
    return result.has_value();
  };
  const auto at = [](const auto& list, int i) { return list[static_cast<std::size_t>(i)]; };
  EXPECT_EQ(successes([&](int i) { return kind_of(store_->add_session(at(same_address, i)), StoreError::kExists); }),
            1);
  EXPECT_EQ(successes([&](int i) { return kind_of(store_->add_session(at(same_key, i)), StoreError::kKeyTaken); }), 1);
  EXPECT_EQ(successes([&](int i) { return kind_of(store_->add_user(at(same_name, i)), StoreError::kExists); }), 1);
  EXPECT_EQ(
      successes([&](int i) { return kind_of(store_->register_node(at(same_node_key, i)), StoreError::kKeyTaken); }), 1);
}

TEST_P(StoreContract, ATokenIsSpentByOneOfManyThreads) {
  using Kind = RefreshOutcome::Kind;
  const auto alice = make_user("alice");
  ASSERT_TRUE(store_->add_user(alice));
  ASSERT_TRUE(store_->add_refresh_family("f1", alice.id, digest("t"), 100, 1'000));
  EXPECT_EQ(successes([&](int i) {
              const auto outcome = store_->rotate_refresh_token(digest("t"), digest(std::to_string(i)), 110, 1'000);
              return outcome && outcome->kind == Kind::kRotated;
            }),
            1);
  EXPECT_NE(store_->rotate_refresh_token(digest("t"), digest("x"), 110, 1'000)->kind, Kind::kRotated);
}

TEST_P(StoreContract, NoFailureIsLostAmongManyThreads) {
  const auto more = [](const Lockout& before) { return Lockout{before.failures + 1, 100, 130}; };
  const auto counted = successes([&](int) { return store_->update_lockout("user:a", more).has_value(); });
  EXPECT_GT(counted, 1);
  EXPECT_EQ(store_->lockout("user:a")->failures, static_cast<std::uint32_t>(counted));
}

TEST_P(StoreContract, QueuesOfActionsAreFullForManyThreadsToo) {
  const auto node = make_node();
  ASSERT_TRUE(store_->register_node(node));
  for (std::size_t i = 1; i < kMaxPendingActions; ++i)
    ASSERT_TRUE(store_->add_action({"a" + std::to_string(i), node.id, api::ActionType::kRestart, "{}", 100}));
  EXPECT_EQ(
      successes([&](int i) {
        return store_->add_action({"b" + std::to_string(i), node.id, api::ActionType::kRestart, "{}", 100}).has_value();
      }),
      1);
}

TEST_P(StoreContract, StrangersTextIsNobodyElses) {
  using namespace std::string_literals;
  ASSERT_TRUE(store_->add_user(make_user("alice")));
  EXPECT_EQ(store_->user_by_name("alice\0"s).error(), StoreError::kNotFound);
  EXPECT_EQ(store_->user_by_name("alice\xff").error(), StoreError::kNotFound);
  EXPECT_TRUE(store_->add_audit({0, 100, "anonymous", "192.0.2.1", "login", "a\0b\xff'\\"s, "denied"}));
  EXPECT_TRUE(store_->add_audit({0, 100, "anonymous", "192.0.2.1", "login", "zażółć 🦉", "denied"}));
  EXPECT_EQ(store_->audit(std::nullopt, 1)->front().object, "zażółć 🦉");
}

TEST_P(StoreContract, ServersAreThoseThatSpokeLately) {
  const ServerId first(Uuid::random(random_)), second(Uuid::random(random_));
  ASSERT_TRUE(store_->record_server(first, "{\"n\":1}", 100));
  ASSERT_TRUE(store_->record_server(second, "{\"n\":2}", 100));
  ASSERT_TRUE(store_->record_server(second, "{\"n\":3}", 110));
  EXPECT_EQ(*store_->servers(99), (std::vector<ServerRecord>{{"{\"n\":3}", 110}, {"{\"n\":1}", 100}}));
  EXPECT_EQ(*store_->servers(100), (std::vector<ServerRecord>{{"{\"n\":3}", 110}}));
  ASSERT_TRUE(store_->remove_server(second));
  EXPECT_TRUE(store_->servers(100)->empty());
  ASSERT_TRUE(store_->purge({}, 31 * 86400));
  EXPECT_TRUE(store_->servers(0)->empty());
}

TEST_P(StoreContract, TheAuditIsReadBackwards) {
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(store_->add_audit({0, 100 + i, "user:a", "192.0.2.1", "login", "a", i == 4 ? "denied" : "ok"}));
  const auto page = store_->audit(std::nullopt, 2);
  ASSERT_EQ(page->size(), 2u);
  EXPECT_EQ(page->front().outcome, "denied");
  const auto next = store_->audit(page->back().id, 10);
  EXPECT_EQ(next->size(), 3u);
}

TEST_P(StoreContract, LockoutsAreCounted) {
  EXPECT_EQ(store_->lockout("user:a")->failures, 0u);
  const auto more = [](const Lockout& before) { return Lockout{before.failures + 1, 100, 130}; };
  ASSERT_TRUE(store_->update_lockout("user:a", more));
  EXPECT_EQ(store_->update_lockout("user:a", more)->failures, 2u);
  store_.reset();
  store_ = subject_->open();
  EXPECT_EQ(store_->lockout("user:a")->locked_until, 130);
  const auto same = [](const Lockout& before) { return before; };
  EXPECT_EQ(*store_->update_lockout("user:a", same), (Lockout{2, 100, 130}));
  EXPECT_EQ(*store_->update_lockout("user:a", [](const Lockout&) { return Lockout{}; }), Lockout{});
  EXPECT_EQ(*store_->lockout("user:a"), Lockout{});
  EXPECT_EQ(*store_->update_lockout("user:b", same), Lockout{});
}

TEST_P(StoreContract, SigningKeysAndMetrics) {
  SigningKeyRecord key{"k1", {}, to_bytes(as_bytes("sealed")), 100};
  ASSERT_TRUE(store_->add_signing_key(key));
  const auto keys = store_->signing_keys();
  ASSERT_EQ(keys->size(), 1u);
  EXPECT_EQ(as_text(keys->front().sealed), "sealed");
  ASSERT_TRUE(store_->remove_signing_key("k1"));
  EXPECT_TRUE(store_->signing_keys()->empty());

  const auto node = NodeId(Uuid::random(random_));
  ASSERT_TRUE(store_->add_metrics(node, 100, "{\"a\":1}"));
  ASSERT_TRUE(store_->add_metrics(node, 200, "{\"a\":2}"));
  EXPECT_EQ(*store_->metrics(node, 150, 10), std::vector<std::string>{"{\"a\":2}"});
}

TEST_P(StoreContract, PurgeKeepsWhatIsStillWanted) {
  auto silent = make_node(), banned = make_node(), live = make_node();
  live.last_seen = 31 * 86400;
  for (const auto* node : {&silent, &banned, &live}) ASSERT_TRUE(store_->register_node(*node));
  const auto user = add_user("alice");
  ASSERT_TRUE(store_->set_node_admission(banned.id, NodeAdmission::kBanned));
  ASSERT_TRUE(store_->add_action({"a", silent.id, api::ActionType::kRestart, "{}", 1}));
  ASSERT_TRUE(store_->add_metrics(live.id, 100, "{}"));
  ASSERT_TRUE(store_->add_audit({0, 100, "a", "", "b", "c", "ok"}));
  auto ended = make_session(user, live.id, "10.1.0.2");
  auto standing = make_session(user, live.id, "10.1.0.3");
  ASSERT_TRUE(store_->add_session(ended));
  ASSERT_TRUE(store_->add_session(standing));
  ASSERT_TRUE(store_->end_session(ended.id, "ended", 200));
  ASSERT_TRUE(store_->purge({}, 31 * 86400));
  EXPECT_EQ(store_->node(silent.id).error(), StoreError::kNotFound);
  EXPECT_TRUE(store_->node(banned.id)) << "a ban outlives the silence of the banned";
  EXPECT_TRUE(store_->node(live.id));
  EXPECT_TRUE(store_->metrics(live.id, 0, 10)->empty());
  EXPECT_EQ(store_->session(ended.id).error(), StoreError::kNotFound);
  EXPECT_TRUE(store_->session(standing.id));
  EXPECT_EQ(store_->audit(std::nullopt, 10)->size(), 1u);
}

TEST_P(StoreContract, TwoOpenStoresSeeEachOther) {
  const auto other = subject_->open();
  const auto alice = make_user("alice");
  ASSERT_TRUE(other->add_user(alice));
  EXPECT_TRUE(store_->user_by_name("alice"));
}

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreContract, ::testing::Values([]() -> std::unique_ptr<Subject> {
                           return std::make_unique<SqliteSubject>();
                         }));

INSTANTIATE_TEST_SUITE_P(Postgres, StoreContract, ::testing::Values([]() -> std::unique_ptr<Subject> {
                           return std::make_unique<PostgresSubject>();
                         }));

INSTANTIATE_TEST_SUITE_P(PostgresReplica, StoreContract, ::testing::Values([]() -> std::unique_ptr<Subject> {
                           return std::make_unique<ReplicaSubject>();
                         }));

}  // namespace
}  // namespace higgs::boson

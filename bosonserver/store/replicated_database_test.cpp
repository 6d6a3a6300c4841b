// A read replica of PostgreSQL's store that is behind, away, promoted, and what is read there at all.
#include "bosonserver/store/replicated_database.h"

#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include "bosonserver/store/sql_store.h"
#include "bosonserver/store/testing/event_log.h"
#include "bosonserver/store/testing/postgres_server.h"
#include "bosonserver/store/testing/records.h"

namespace higgs::boson::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

bool comes_true(const std::function<bool()>& condition) {
  const auto deadline = Clock::now() + 30s;
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

bool is_read(const Store& store) { return store.stats().replica->up; }

/// With the replica of all tests, which is as it was in the end.
class PostgresReplicaTest : public ::testing::Test {
 protected:
  PostgresReplicaTest() { replica_.follow(server_); }  // it may have to hear of the database first
  ~PostgresReplicaTest() override {
    replica_.resume();
    replica_.execute("SELECT pg_wal_replay_resume()");
  }

  std::unique_ptr<Store> open() {
    StoreSettings settings{database_.url(), {}, 4};
    settings.replica_url = replica_.url(database_.name());
    auto store = open_store(settings);
    EXPECT_TRUE(comes_true([&] { return is_read(*store); }));
    return store;
  }
  /// Whether a read is answered by the replica, if not at once.
  static bool reaches_replica(const Store& store, const std::function<bool()>& read) {
    const auto before = store.stats().replica->reads;
    return comes_true([&] {
      EXPECT_TRUE(read());
      return store.stats().replica->reads > before;
    });
  }

  SeededRandom random_{5};
  PostgresServer& server_ = PostgresServer::shared();
  PostgresServer& replica_ = PostgresServer::shared_replica();
  TestDatabase database_;
};

TEST_F(PostgresReplicaTest, AnswersWhatMayBeOld) {
  const auto store = open();
  const auto reaches = [&](auto read) { return reaches_replica(*store, [&] { return read().has_value(); }); };
  EXPECT_TRUE(reaches([&] { return store->nodes(std::nullopt, 10); }));
  EXPECT_TRUE(reaches([&] { return store->heard_since(0, std::nullopt, 10); }));
  EXPECT_TRUE(reaches([&] { return store->nodes_by_status(); }));
  EXPECT_TRUE(reaches([&] { return store->live_sessions(); }));
  EXPECT_TRUE(reaches([&] { return store->sessions(std::nullopt, 10); }));
  EXPECT_TRUE(reaches([&] { return store->audit(std::nullopt, 10); }));
  EXPECT_TRUE(reaches([&] { return store->metrics(NodeId(), 0, 10); }));
  const auto stats = *store->stats().replica;
  ASSERT_TRUE(stats.age);
  EXPECT_GE(stats.reads, 7u);
}

TEST_F(PostgresReplicaTest, WhatDecidesIsReadWhereItIsWritten) {
  const auto store = open();
  const auto node = make_node(random_);
  const UserRecord alice{UserId(Uuid::random(random_)), "alice", "$argon2id$x", api::Role::kUser, false, 100};
  ASSERT_TRUE(store->register_node(node));
  ASSERT_TRUE(store->add_user(alice));
  ASSERT_TRUE(store->add_refresh_family("f", alice.id, {}, 100, 200));
  replica_.follow(server_);
  replica_.execute("SELECT pg_wal_replay_pause()");
  SessionRow session;
  session.id = SessionId(Uuid::random(random_));
  session.user = alice.id;
  session.node = node.id;
  session.address4 = *IpAddress::parse("10.1.0.2");
  ASSERT_TRUE(store->add_session(session));
  EXPECT_TRUE(store->session(session.id));
  EXPECT_EQ(*store->live_sessions_of_user(alice.id), 1u);
  EXPECT_EQ(store->addresses_in_use(node.id)->size(), 1u);
  EXPECT_TRUE(store->sessions(session.id, 10)) << "what is not there yet is looked for at the primary";
  ASSERT_TRUE(store->set_node_admission(node.id, NodeAdmission::kBanned));
  EXPECT_EQ(store->node(node.id)->admission, NodeAdmission::kBanned);
  EXPECT_EQ(store->nodes_by_id({node.id})->front().admission, NodeAdmission::kBanned);
  EXPECT_EQ(store->banned_nodes(std::nullopt, 10)->size(), 1u);
  ASSERT_TRUE(store->change_user(alice.id, {.disabled = true}, 150));
  EXPECT_TRUE(store->user_by_name("alice")->disabled);
  EXPECT_TRUE(store->user_by_id(alice.id)->disabled);
  EXPECT_TRUE(store->users("", 10)->front().disabled);
  EXPECT_FALSE(store->caller_by_login(alice.id, "f")->login_stands);
  EXPECT_EQ(store->stats().replica->reads, 0u);
}

TEST_F(PostgresReplicaTest, HasCaughtUpOrIsPassedOver) {
  const auto store = open();
  replica_.execute("SELECT pg_wal_replay_pause()");
  const auto count = [&] { return store->nodes(std::nullopt, 10)->size(); };
  for (std::size_t i = 1; i <= 3; ++i) {
    ASSERT_TRUE(store->register_node(make_node(random_)));
    ASSERT_TRUE(store->catch_up());
    EXPECT_EQ(count(), i);
  }
  EXPECT_EQ(store->stats().replica->reads, 0u);
  replica_.execute("SELECT pg_wal_replay_resume()");
  EXPECT_TRUE(reaches_replica(*store, [&] { return count() == 3; }));
}

TEST_F(PostgresReplicaTest, OneThatIsTooFarBehindIsPassedOver) {
  const auto role = PostgresRole::kReplica;
  SqlStore store(std::make_unique<ReplicatedDatabase>(
      PostgresDatabase::Settings{database_.url(), {}, 2},
      PostgresDatabase::Settings{replica_.url(database_.name()), {}, 2, role}, 500ms));
  EXPECT_TRUE(comes_true([&] { return is_read(store); }));
  replica_.execute("SELECT pg_wal_replay_pause()");
  ASSERT_TRUE(store.register_node(make_node(random_)));
  ASSERT_TRUE(comes_true([&] { return !is_read(store); }));
  EXPECT_EQ(store.nodes(std::nullopt, 10)->size(), 1u);
  EXPECT_GT(*store.stats().replica->age, 500ms);
  replica_.execute("SELECT pg_wal_replay_resume()");
  EXPECT_TRUE(comes_true([&] { return is_read(store); }));
}

TEST_F(PostgresReplicaTest, APausedOneFailsNoRequest) {
  const auto store = open();
  replica_.pause();
  EXPECT_TRUE(comes_true([&] {
    EXPECT_TRUE(store->nodes(std::nullopt, 10));
    return !is_read(*store);
  }));
  EXPECT_GT(store->stats().replica->passed_reads, 0u);
  EXPECT_EQ(store->stats().failed_calls, 0u);
  replica_.resume();
  EXPECT_TRUE(reaches_replica(*store, [&] { return store->nodes(std::nullopt, 10).has_value(); }));
}

TEST_F(PostgresReplicaTest, OneThatIsNotThereAtTheStartIsUsedLater) {
  replica_.stop();
  StoreSettings settings{database_.url(), {}, 4};
  settings.replica_url = replica_.url(database_.name());
  const auto store = open_store(settings);
  EXPECT_TRUE(store->nodes(std::nullopt, 10));
  EXPECT_FALSE(is_read(*store));
  replica_.start();
  EXPECT_TRUE(reaches_replica(*store, [&] { return store->nodes(std::nullopt, 10).has_value(); }));
  replica_.stop();
  EXPECT_TRUE(store->nodes(std::nullopt, 10));
  replica_.start();
  EXPECT_TRUE(reaches_replica(*store, [&] { return store->nodes(std::nullopt, 10).has_value(); }));
}

TEST_F(PostgresReplicaTest, AServerThatFollowsNobodyIsNoReplica) {
  StoreSettings settings{database_.url(), {}, 2};
  settings.replica_url = database_.url() + "&target_session_attrs=any";
  const auto store = open_store(settings);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(store->nodes(std::nullopt, 10));
  EXPECT_FALSE(is_read(*store));
  EXPECT_EQ(store->stats().replica->reads, 0u);
}

/// Two servers of its own, since they are not as before in the end.
TEST(PostgresFailoverTest, APromotedReplicaTakesOverWithoutARestart) {
  PostgresServer primary;
  PostgresServer replica(PostgresServer::ReplicaOf{primary});
  primary.execute("CREATE DATABASE higgs TEMPLATE higgs_template");
  replica.follow(primary);
  StoreSettings settings{primary.url_with(replica, "higgs"), {}, 2};
  settings.replica_url = replica.url("higgs");
  const auto near_primary = open_store({primary.url_with(replica, "higgs"), {}, 2});
  const auto near_replica = open_store(settings);
  EXPECT_TRUE(comes_true([&] { return is_read(*near_replica); }));
  EventLog log(*near_replica);
  ASSERT_TRUE(near_primary->add_nonce("before", 1, 1'000));
  replica.follow(primary);

  primary.stop();
  EXPECT_FALSE(near_primary->add_nonce("without a primary", 1, 1'000));
  replica.execute("SELECT pg_promote()");
  EXPECT_TRUE(comes_true([&] { return near_primary->add_nonce("after", 1, 1'000).has_value(); }));
  EXPECT_TRUE(comes_true([&] { return near_replica->ping().has_value(); }));
  EXPECT_TRUE(*near_replica->consume_nonce("before", 1));
  EXPECT_TRUE(*near_replica->consume_nonce("after", 1));
  EXPECT_TRUE(comes_true([&] { return !is_read(*near_replica); }));
  EXPECT_TRUE(near_replica->nodes(std::nullopt, 10));
  // Whoever listens hears the new primary.
  EXPECT_TRUE(log.wait_for_resync());
  ASSERT_TRUE(near_primary->add_signing_key({"key", {}, to_bytes(as_bytes("sealed")), 100}));
  EXPECT_EQ(log.next().kind, StoreEvent::Kind::kKeysChanged);
}

TEST(PostgresReplicaUrlTest, IsOfAStoreInPostgresAndHoldsNoPassword) {
  const std::string store = "postgresql://higgs@db/higgs";
  EXPECT_FALSE(fault_of_replica_url("postgresql://higgs@db-eu1,db-eu2/higgs?sslmode=verify-full", store));
  EXPECT_TRUE(fault_of_replica_url(store, "sqlite:/var/lib/x.db"));
  for (const std::string bad :
       {"", "sqlite:/var/lib/x.db", "postgresql://higgs:s3cret@db/higgs", "postgresql://db/x?colour=blue"}) {
    const auto fault = fault_of_replica_url(bad, store);
    ASSERT_TRUE(fault) << bad;
    EXPECT_EQ(fault->find("s3cret"), std::string::npos);
  }
  const auto text = std::string(postgres_connection_string(store, {}, PostgresRole::kReplica).reveal());
  EXPECT_NE(text.find("target_session_attrs='standby'"), std::string::npos) << text;
}

}  // namespace
}  // namespace higgs::boson::testing

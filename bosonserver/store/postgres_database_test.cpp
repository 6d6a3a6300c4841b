// What PostgreSQL's store does when its server does not behave, and what it says of itself.
#include "bosonserver/store/postgres_database.h"

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <latch>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "bosonserver/store/open_store.h"
#include "bosonserver/store/postgres_listener.h"
#include "bosonserver/store/postgres_url.h"
#include "bosonserver/store/testing/event_log.h"
#include "bosonserver/store/testing/postgres_server.h"

namespace higgs::boson::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class PostgresDatabaseTest : public ::testing::Test {
 protected:
  ~PostgresDatabaseTest() override { server_.resume(); }

  std::unique_ptr<Store> open() const { return open_store({database_.url(), {}, 4}); }
  /// The worst of some calls, each of which must fail.
  static Clock::duration longest_failure(Store& store, int calls) {
    Clock::duration longest{};
    for (int i = 0; i < calls; ++i) {
      const auto begin = Clock::now();
      EXPECT_EQ(store.add_nonce("n" + std::to_string(i), 1, 2).error(), StoreError::kUnavailable);
      longest = std::max(longest, Clock::now() - begin);
    }
    return longest;
  }
  static bool answers_again(Store& store) {
    const auto deadline = Clock::now() + 30s;
    while (!store.ping()) {
      if (Clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  PostgresServer& server_ = PostgresServer::shared();
  TestDatabase database_;
};

/// For machines under load; what is measured is 500 ms against for ever.
constexpr auto kInTime = 3s;

TEST_F(PostgresDatabaseTest, APausedServerIsUnavailableInTimeAndFoundAgain) {
  const auto store = open();
  ASSERT_TRUE(store->add_nonce("before", 1, 1'000));
  server_.pause();
  // More calls than connections: the first wait for answers, the last find no connection.
  EXPECT_LT(longest_failure(*store, 8), kInTime);
  EXPECT_EQ(store->stats().failed_calls, 8u);
  server_.resume();
  EXPECT_TRUE(answers_again(*store));
  EXPECT_GE(store->stats().connections, 1u);
  EXPECT_GE(store->stats().lost_connections, 1u);
  EXPECT_TRUE(*store->consume_nonce("before", 1));
}

TEST_F(PostgresDatabaseTest, ARestartedServerIsFoundAgain) {
  const auto store = open();
  server_.stop();
  EXPECT_LT(longest_failure(*store, 8), kInTime);
  EXPECT_THROW(open(), std::runtime_error) << "at the start it is an error";
  server_.start();
  EXPECT_TRUE(answers_again(*store));
  EXPECT_TRUE(store->add_nonce("after", 1, 1'000));
}

TEST_F(PostgresDatabaseTest, AConnectionThatTheServerClosedIsNoticedBeforeItIsUsed) {
  const auto store = open_store({database_.url(), {}, 1});
  for (int i = 0; i < 5; ++i) {
    database_.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '" +
                      database_.name() + "' AND application_name = 'bosonserver'");
    const auto added = store->add_nonce("n" + std::to_string(i), 1, 1'000);
    EXPECT_TRUE(added) << added.error().message();
  }
}

TEST_F(PostgresDatabaseTest, EventsAreHeardAgainAfterAGapThatIsTold) {
  const auto store = open();
  EventLog log(*store);
  const auto tells = [&](const std::string& key) {
    EXPECT_TRUE(answers_again(*store));
    ASSERT_TRUE(store->add_signing_key({key, {}, to_bytes(as_bytes("sealed")), 100}));
    EXPECT_EQ(log.next().kind, StoreEvent::Kind::kKeysChanged);
  };
  tells("a");
  server_.stop();
  server_.start();
  EXPECT_TRUE(log.wait_for_resync());
  tells("b");
  database_.execute("NOTIFY higgs_store, 'gibberish'");
  EXPECT_TRUE(log.wait_for_resync()) << "what is not understood may be anything";
}

TEST_F(PostgresDatabaseTest, AServerThatSaysNothingIsMissedByListeners) {
  SocketWatchdog watchdog;
  std::mutex mutex;
  std::condition_variable come;
  int dialled = 0, gaps = 0;
  const auto dial = [&] {
    {
      const std::lock_guard lock(mutex);
      ++dialled;
    }
    come.notify_all();
    return std::make_unique<PostgresConnection>(postgres_connection_string(database_.url(), {}), watchdog);
  };
  PostgresListener listener(dial, watchdog, [&](const SqlNotification& notification) {
    const std::lock_guard lock(mutex);
    gaps += notification.gap ? 1 : 0;
    come.notify_all();
  });
  std::unique_lock lock(mutex);
  ASSERT_TRUE(come.wait_for(lock, 30s, [&] { return gaps == 1; }));
  server_.pause();
  EXPECT_TRUE(come.wait_for(lock, 30s, [&] { return dialled > 1; })) << "the connection is given up";
  server_.resume();
  EXPECT_TRUE(come.wait_for(lock, 30s, [&] { return gaps == 2; }));
}

TEST_F(PostgresDatabaseTest, APausedServerHoldsUpNoStop) {
  auto store = open();
  auto log = std::make_unique<EventLog>(*store);
  server_.pause();
  const auto begin = Clock::now();
  log.reset();
  store.reset();
  EXPECT_LT(Clock::now() - begin, 10s);
}

TEST_F(PostgresDatabaseTest, ALockedTableEndsInTimeAndCostsNoConnection) {
  const auto store = open();
  auto holder = database_.execute("BEGIN; LOCK TABLE nonces IN ACCESS EXCLUSIVE MODE");
  EXPECT_LT(longest_failure(*store, 1), kInTime);
  EXPECT_EQ(store->stats().lost_connections, 0u);
  holder.reset();
  EXPECT_TRUE(store->add_nonce("n", 1, 2));
}

TEST_F(PostgresDatabaseTest, ABusyPoolIsUnavailableInTime) {
  PostgresDatabase database({database_.url(), {}, 1});
  database.transact(SqlAccess::kRead, [&](SqlConnection&) {
    const auto begin = Clock::now();
    EXPECT_THROW(database.transact(SqlAccess::kRead, [](SqlConnection&) { return true; }), SqlError);
    EXPECT_LT(Clock::now() - begin, kInTime);
    return true;
  });
}

TEST_F(PostgresDatabaseTest, TransactionsThatMeetAreTriedAgain) {
  PostgresDatabase database({database_.url(), {}, 2});
  server_.execute("INSERT INTO nonces VALUES ('counter', 0)", database_.name());
  constexpr int kThreads = 4, kRounds = 10;
  std::atomic<int> done = 0, begun = 0;
  std::latch first_two(2);
  const auto add_one = [&](SqlConnection& db) {
    const bool is_first = ++begun <= 2;
    const auto row = db.query("SELECT expires_at FROM nonces WHERE nonce = 'counter'");
    if (!row->next()) return false;
    if (is_first) first_two.arrive_and_wait();  // they have read the same
    db.run("UPDATE nonces SET expires_at = $1 WHERE nonce = 'counter'", row->integer(0) + 1);
    return true;
  };
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) try {
          database.transact(SqlAccess::kTransaction, add_one);
          ++done;
        } catch (const SqlError&) {  // others were quicker, many times: allowed, if it then did not happen
        }
    });
  for (auto& thread : threads) thread.join();
  database.transact(SqlAccess::kRead, [&](SqlConnection& db) {
    const auto row = db.query("SELECT expires_at FROM nonces WHERE nonce = 'counter'");
    EXPECT_TRUE(row->next());
    EXPECT_EQ(row->integer(0), done.load());
    return true;
  });
  EXPECT_GT(begun, kThreads * kRounds);
  EXPECT_GT(database.stats().retries, 0u);
  EXPECT_GT(done, kThreads * kRounds / 2);
}

TEST_F(PostgresDatabaseTest, WhatIsRolledBackDidNotHappen) {
  PostgresDatabase database({database_.url(), {}, 1});
  for (const auto access : {SqlAccess::kTransaction, SqlAccess::kLocked})
    database.transact(access, [](SqlConnection& db) {
      db.run("INSERT INTO nonces VALUES ('n', 0)");
      return false;
    });
  EXPECT_THROW(database.transact(SqlAccess::kTransaction,
                                 [](SqlConnection& db) -> bool {
                                   db.run("INSERT INTO nonces VALUES ('n', 0)");
                                   throw std::logic_error("a fault of ours");
                                 }),
               std::logic_error);
  database.transact(SqlAccess::kRead, [](SqlConnection& db) {
    EXPECT_FALSE(db.query("SELECT 1 FROM nonces WHERE nonce = 'n'")->next());
    return true;
  });
}

TEST_F(PostgresDatabaseTest, TheAuditCannotBeRewritten) {
  const auto store = open();
  ASSERT_TRUE(store->add_audit({0, 1, "a", "", "b", "c", "denied"}));
  EXPECT_THROW(database_.execute("UPDATE audit SET outcome = 'ok'"), std::runtime_error);
  EXPECT_THROW(database_.execute("TRUNCATE audit"), std::runtime_error);
  EXPECT_EQ(store->audit(std::nullopt, 1)->front().outcome, "denied");
}

TEST_F(PostgresDatabaseTest, ServersThatStartTogetherMigrateOnce) {
  server_.execute("CREATE DATABASE empty_one");
  const auto url = server_.url("empty_one");
  EXPECT_EQ(open_database({url})->version(), 0u);
  std::atomic<int> opened = 0;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { opened += open_store({url})->ping() ? 1 : 0; });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(opened, 4);
  const auto database = open_database({url});
  EXPECT_EQ(database->version(), database->migrations().size());
  server_.execute("DROP DATABASE empty_one WITH (FORCE)");
}

TEST_F(PostgresDatabaseTest, AStoreOfANewerVersionIsLeftAlone) {
  database_.execute("INSERT INTO schema_migrations (number, name) VALUES (99, 'of tomorrow')");
  EXPECT_THROW(open(), std::runtime_error);
}

TEST_F(PostgresDatabaseTest, PasswordsComeFromAFile) {
  server_.execute("DROP ROLE IF EXISTS secretive");
  server_.execute("CREATE ROLE secretive LOGIN PASSWORD 'it''s \\ s3cret'");
  const auto file = std::filesystem::temp_directory_path() / ("higgs-password-" + database_.name());
  const auto write = [&](const std::string& text) { std::ofstream(file) << text; };
  auto url = database_.url();
  url.replace(url.find("user=postgres"), 13, "user=secretive");
  write("it's \\ s3cret\n");
  EXPECT_NO_THROW(open_database({url, file}));
  for (const std::string wrong : {"wr0ng", "", "x' host='example.com"}) {
    write(wrong);
    try {
      open_database({url, file});
      ADD_FAILURE() << wrong;
    } catch (const std::runtime_error& error) {
      const std::string said = error.what();
      EXPECT_TRUE(wrong.empty() || said.find(wrong) == std::string::npos) << said;
    }
  }
  std::filesystem::remove(file);
  EXPECT_THROW(open_database({url, file}), std::runtime_error);
  server_.execute("DROP ROLE secretive");
}

TEST(PostgresUrlTest, TellsUrlsFromOthersAndHoldsNoPassword) {
  EXPECT_FALSE(fault_of_store_url("sqlite:/var/lib/x.db"));
  EXPECT_FALSE(fault_of_store_url("postgresql://higgs@db1:5432,db2/higgs?sslmode=verify-full&sslrootcert=/etc/ca.pem"));
  EXPECT_FALSE(fault_of_store_url("postgres:///higgs?host=/run/postgresql"));
  for (const std::string bad :
       {"sqlite:", "mysql://db/x", "", "postgresql://db/higgs?colour=blue", "postgresql://[::1/higgs",
        "postgresql://higgs:s3cret@db/higgs", "postgresql://db/higgs?user=a&password=s3cret",
        "postgresql://db/x?sslpassword=s3cret", "postgresql://higgs:s3cret@db/%zz"}) {
    const auto fault = fault_of_store_url(bad);
    ASSERT_TRUE(fault) << bad;
    EXPECT_EQ(fault->find("s3cret"), std::string::npos);
  }
}

TEST(PostgresUrlTest, WhatItLeavesOpenIsOurs) {
  const auto text = std::string(
      postgres_connection_string("postgresql://a'b@db/higgs?connect_timeout=7&sslmode=verify-full", {}).reveal());
  EXPECT_NE(text.find("user='a\\'b'"), std::string::npos) << text;
  EXPECT_NE(text.find("connect_timeout='7'"), std::string::npos) << text;
  EXPECT_NE(text.find("sslmode='verify-full'"), std::string::npos) << text;
  EXPECT_NE(text.find("tcp_user_timeout="), std::string::npos) << text;
  EXPECT_NE(text.find("target_session_attrs='read-write'"), std::string::npos) << text;
}

}  // namespace
}  // namespace higgs::boson::testing

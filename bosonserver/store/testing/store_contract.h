// For tests: stores of each kind, and what the suites of store_contract_test.cpp and account_contract_test.cpp share.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "bosonserver/store/open_store.h"
#include "bosonserver/store/sql_store.h"
#include "bosonserver/store/testing/forwarding_database.h"
#include "bosonserver/store/testing/postgres_server.h"
#include "bosonserver/store/testing/records.h"

namespace higgs::boson {

/// A store of its own for each test; reopen() as after a restart.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual std::unique_ptr<Store> open() = 0;
};
using Factory = std::unique_ptr<Subject> (*)();

class SqliteSubject final : public Subject {
 public:
  SqliteSubject() {
    std::string pattern = (std::filesystem::temp_directory_path() / "higgs-store-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~SqliteSubject() override { std::filesystem::remove_all(directory_); }
  std::unique_ptr<Store> open() override { return open_store({"sqlite:" + file().string()}); }
  std::filesystem::path file() const { return directory_ / "store.db"; }

 private:
  std::filesystem::path directory_;
};

class PostgresSubject final : public Subject {
 public:
  std::unique_ptr<Store> open() override { return open_store({database_.url(), {}, 8}); }

 private:
  testing::TestDatabase database_;
};

/// Reads at a replica what may be old. That is no older here than the test wants to see: before each of these reads the
/// replica has followed.
class ReplicaSubject final : public Subject {
 public:
  std::unique_ptr<Store> open() override {
    replica_.follow(primary_);
    StoreSettings settings{database_.url(), {}, 8};
    settings.replica_url = replica_.url(database_.name());
    return std::make_unique<SqlStore>(std::make_unique<Following>(open_database(settings), primary_, replica_));
  }

 private:
  class Following final : public testing::ForwardingDatabase {
   public:
    Following(std::unique_ptr<SqlDatabase> database, testing::PostgresServer& primary, testing::PostgresServer& replica)
        : ForwardingDatabase(std::move(database)), primary_(primary), replica_(replica) {}

    void transact(SqlAccess access, const Work& work) override {
      if (access == SqlAccess::kReadOld) replica_.follow(primary_);
      ForwardingDatabase::transact(access, work);
    }

   private:
    testing::PostgresServer& primary_;
    testing::PostgresServer& replica_;
  };

  testing::PostgresServer& primary_ = testing::PostgresServer::shared();
  testing::PostgresServer& replica_ = testing::PostgresServer::shared_replica();
  testing::TestDatabase database_;
};

class StoreContract : public ::testing::TestWithParam<Factory> {
 protected:
  UserRecord make_user(const std::string& name) {
    return {UserId(Uuid::random(random_)), name, "$argon2id$x", api::Role::kUser, false, 100};
  }
  NodeRecord make_node() { return testing::make_node(random_); }
  NodeRecord make_node(const crypto::Ed25519PrivateKey& identity, const crypto::PublicKey& key,
                       std::uint64_t sequence) {
    return testing::make_node(identity, key, sequence);
  }
  UserId add_user(const std::string& name) {
    const auto user = make_user(name);
    EXPECT_TRUE(store_->add_user(user));
    return user.id;
  }
  NodeId add_node() {
    const auto node = make_node();
    EXPECT_TRUE(store_->register_node(node));
    return node.id;
  }
  SessionRow make_session(UserId user, NodeId node, const std::string& address4) {
    SessionRow session;
    session.id = SessionId(Uuid::random(random_));
    session.user = user;
    session.node = node;
    session.client = ClientId(Uuid::random(random_));
    session.wireguard_key = crypto::public_key_of(crypto::make_private_key(random_));
    session.address4 = *IpAddress::parse(address4);
    session.started_at = 100;
    session.expires_at = 200;
    return session;
  }
  static constexpr int kThreads = 8;
  /// Runs it on many threads at once, with 0, 1, …; how often it was true.
  static int successes(const std::function<bool(int)>& work) {
    std::latch together(kThreads);
    std::atomic<int> count = 0;
    std::vector<std::thread> threads;
    threads.reserve(kThreads);
    for (int i = 0; i < kThreads; ++i)
      threads.emplace_back([&, i] {
        together.arrive_and_wait();
        if (work(i)) ++count;
      });
    for (auto& thread : threads) thread.join();
    return count;
  }
  static crypto::Sha256Digest digest(std::string_view text) { return crypto::sha256(as_bytes(text)); }

  SeededRandom random_{5};
  std::unique_ptr<Subject> subject_ = GetParam()();
  std::unique_ptr<Store> store_ = subject_->open();
};

}  // namespace higgs::boson

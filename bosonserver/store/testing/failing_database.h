// For tests: a database that can be away, as a server is whose network is cut.
#pragma once

#include <atomic>
#include <memory>

#include "bosonserver/store/sql_database.h"

namespace higgs::boson::testing {

class FailingDatabase final : public SqlDatabase {
 public:
  FailingDatabase(std::unique_ptr<SqlDatabase> database, std::shared_ptr<const std::atomic<bool>> away)
      : database_(std::move(database)), away_(std::move(away)) {}

  StoreStats stats() const override { return database_->stats(); }
  void transact(SqlAccess access, const Work& work) override {
    if (*away_) throw SqlError(SqlError::Kind::kAway, "the test took it away");
    database_->transact(access, work);
  }
  void catch_up() override {
    if (*away_) throw SqlError(SqlError::Kind::kAway, "the test took it away");
    database_->catch_up();
  }
  /// What is notified is heard also while it is away: a test that wants to miss it does it before.
  std::unique_ptr<SqlListener> listen(SqlListener::Handler handler) override {
    return database_->listen(std::move(handler));
  }
  std::span<const Migration> migrations() const override { return database_->migrations(); }
  std::size_t version() override { return database_->version(); }
  void migrate() override { database_->migrate(); }

 private:
  const std::unique_ptr<SqlDatabase> database_;
  const std::shared_ptr<const std::atomic<bool>> away_;
};

}  // namespace higgs::boson::testing

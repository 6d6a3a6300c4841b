// For tests: a database that passes every call on to another. A test's own overrides what it wants to see or to spoil.
#pragma once

#include <memory>
#include <utility>

#include "bosonserver/store/sql_database.h"

namespace higgs::boson::testing {

class ForwardingDatabase : public SqlDatabase {
 public:
  explicit ForwardingDatabase(std::unique_ptr<SqlDatabase> database) : database_(std::move(database)) {}

  StoreStats stats() const override { return database_->stats(); }
  void transact(SqlAccess access, const Work& work) override { database_->transact(access, work); }
  void catch_up() override { database_->catch_up(); }
  std::unique_ptr<SqlListener> listen(SqlListener::Handler handler) override {
    return database_->listen(std::move(handler));
  }
  std::span<const Migration> migrations() const override { return database_->migrations(); }
  std::size_t version() override { return database_->version(); }
  void migrate() override { database_->migrate(); }

 private:
  const std::unique_ptr<SqlDatabase> database_;
};

}  // namespace higgs::boson::testing

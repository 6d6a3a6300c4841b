// For tests: a database that can be away, as a server is whose network is cut.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "bosonserver/store/testing/forwarding_database.h"

namespace higgs::boson::testing {

/// What is notified is heard also while it is away: a test that wants to miss it does it before.
class FailingDatabase final : public ForwardingDatabase {
 public:
  FailingDatabase(std::unique_ptr<SqlDatabase> database, std::shared_ptr<const std::atomic<bool>> away)
      : ForwardingDatabase(std::move(database)), away_(std::move(away)) {}

  void transact(SqlAccess access, const Work& work) override {
    throw_if_away();
    ForwardingDatabase::transact(access, work);
  }
  void catch_up() override {
    throw_if_away();
    ForwardingDatabase::catch_up();
  }

 private:
  void throw_if_away() const {
    if (*away_) throw SqlError(SqlError::Kind::kAway, "the test took it away");
  }

  const std::shared_ptr<const std::atomic<bool>> away_;
};

}  // namespace higgs::boson::testing

// A PostgreSQL server, over a bounded pool of connections.
//
// Calls never dial: a thread of the pool's own keeps the connections up, and while there is none calls fail at once.
// So no call takes longer than kStoreDeadline, whatever became of the server, and it is found again by itself.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "bosonserver/store/postgres_connection.h"
#include "bosonserver/store/postgres_url.h"
#include "bosonserver/store/socket_watchdog.h"
#include "bosonserver/store/sql_database.h"
#include "runtime/backoff.h"

namespace higgs::boson {

class PostgresDatabase final : public SqlDatabase {
 public:
  struct Settings {
    std::string url;
    std::optional<std::filesystem::path> password_file;
    std::size_t connections = 4;
    PostgresRole role = PostgresRole::kPrimary;
  };
  /// Behind what the server ends by itself (kSession of postgres_connection.cpp), before the store's own deadline.
  static constexpr std::chrono::milliseconds kCallTime = kStoreDeadline - std::chrono::milliseconds(50);
  /// How often a transaction is tried that others come in the way of.
  static constexpr unsigned kAttempts = 20;

  /// Dials once, but for a replica. Throws std::runtime_error if that fails.
  explicit PostgresDatabase(Settings settings);
  ~PostgresDatabase() override;

  StoreStats stats() const override;
  void transact(SqlAccess access, const Work& work) override;
  /// As transact(), but ends then.
  void transact_until(SqlAccess access, const Work& work, SocketWatchdog::Clock::time_point deadline);
  /// Everything here is as new as can be.
  void catch_up() override {}
  /// Gives up connections that nobody uses: of the URL's hosts another may be better by now.
  void dial_anew();
  std::span<const Migration> migrations() const override { return postgresql_migrations(); }
  std::size_t version() override;
  void migrate() override;
  std::unique_ptr<SqlListener> listen(SqlListener::Handler handler) override;

 private:
  class Lease;

  std::unique_ptr<PostgresConnection> dial();
  std::unique_ptr<PostgresConnection> take(SqlAccess access, SocketWatchdog::Clock::time_point deadline);
  void give_back(std::unique_ptr<PostgresConnection> connection);
  void keep();

  const Settings settings_;
  SocketWatchdog watchdog_;
  mutable std::mutex mutex_;
  StoreStats stats_;                                       // guarded by mutex_; what is counted
  std::condition_variable returned_;                       // a connection is idle, or there is no hope for one
  std::condition_variable wanted_;                         // a connection is missing, or it is time to stop
  std::vector<std::unique_ptr<PostgresConnection>> idle_;  // guarded by mutex_; used last is last
  std::size_t open_ = 0;                                   // guarded by mutex_; idle or lent
  bool lost_ = false;                                      // guarded by mutex_; the last dialling failed
  bool stopping_ = false;                                  // guarded by mutex_
  std::thread keeper_;
};

}  // namespace higgs::boson

// An SQLite file: write-ahead log, foreign keys, private to its owner.
//
// One connection behind a lock: SQLite has one writer anyway, and a call takes microseconds. Other processes
// (`bosonserver user add`) may use the same file meanwhile.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>

#include "bosonserver/store/local_notifier.h"
#include "bosonserver/store/sql_database.h"

namespace higgs::boson {

class SqliteDatabase final : public SqlDatabase {
 public:
  /// Opens or makes the file (mode 0600). Throws std::runtime_error if it cannot.
  explicit SqliteDatabase(const std::filesystem::path& file);
  ~SqliteDatabase() override;

  StoreStats stats() const override { return {.connections = 1}; }
  void transact(SqlAccess access, const Work& work) override;
  void catch_up() override {}
  std::span<const Migration> migrations() const override { return sqlite_migrations(); }
  std::size_t version() override;
  void migrate() override;
  std::unique_ptr<SqlListener> listen(SqlListener::Handler handler) override {
    return notifier_.listen(std::move(handler));
  }

 private:
  class Connection;
  /// Changes with each transaction of another connection (SQLite, "PRAGMA data_version").
  std::int64_t version_of_others();

  const std::filesystem::path file_;
  std::unique_ptr<Connection> connection_;
  std::timed_mutex mutex_;
  std::int64_t others_ = 0;  // guarded by mutex_; as it was seen last
  LocalNotifier notifier_{[this] { return version_of_others(); }};
};

}  // namespace higgs::boson

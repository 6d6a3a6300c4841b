// A PostgreSQL server and a read replica of it that is nearer: reads of SqlAccess::kReadOld go there, all else to the
// primary.
//
// A replica that does not answer, is too far behind or is none any more is passed over, and used again by itself. What
// it does not answer is asked of the primary, within the one deadline. So is a read that fails there or finds nothing,
// since what it looks for may not have come there yet.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "bosonserver/store/postgres_database.h"
#include "bosonserver/store/replica_health.h"

namespace higgs::boson {

class ReplicatedDatabase final : public SqlDatabase {
 public:
  /// How often both are asked where they are.
  static constexpr std::chrono::seconds kLookInterval{1};

  /// Dials the primary. Throws std::runtime_error if that fails; the replica may be away.
  ReplicatedDatabase(PostgresDatabase::Settings primary, PostgresDatabase::Settings replica,
                     Instant::duration oldest = kReplicaAge);
  ~ReplicatedDatabase() override;

  StoreStats stats() const override;
  void transact(SqlAccess access, const Work& work) override;
  /// One question to the primary.
  void catch_up() override;
  std::unique_ptr<SqlListener> listen(SqlListener::Handler handler) override {
    return primary_.listen(std::move(handler));
  }
  std::span<const Migration> migrations() const override { return primary_.migrations(); }
  std::size_t version() override { return primary_.version(); }
  void migrate() override { primary_.migrate(); }

 private:
  /// False: the primary has to be asked.
  bool read_at_replica(const Work& work, SocketWatchdog::Clock::time_point deadline);
  void watch();
  void look();
  ReplicaPlace place_of_primary();
  /// Says so where it is not as it was told before.
  void tell(bool used, const std::string& why);

  PostgresDatabase primary_, replica_;
  mutable std::mutex mutex_;
  ReplicaHealth health_;                // guarded by mutex_
  bool usable_ = false;                 // guarded by mutex_; by the last look, unless a read has failed since
  std::optional<std::string> failure_;  // guarded by mutex_; of a read since the last look
  ReplicaStats counts_;                 // guarded by mutex_; what is counted
  std::optional<bool> told_;            // the watcher's
  std::condition_variable wake_;
  bool stopping_ = false;  // guarded by mutex_
  std::thread watcher_;
};

}  // namespace higgs::boson

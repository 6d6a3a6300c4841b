#include "bosonserver/store/replicated_database.h"

#include <utility>

#include "runtime/log.h"

namespace higgs::boson {
namespace {

namespace log = runtime::log;
using Clock = SocketWatchdog::Clock;
using namespace std::chrono_literals;

/// A replica that takes longer leaves the primary enough of a call's time.
constexpr std::chrono::milliseconds kReplicaTime = 250ms;

// What is flushed, since a replica gets no more, and a commit that somebody waits for is seen by nobody before.
constexpr const char* kPlaceOfPrimary =
    "SELECT (SELECT system_identifier FROM pg_control_system()), pg_wal_lsn_diff(pg_current_wal_flush_lsn(), "
    "'0/0')::bigint";
constexpr const char* kPlaceOfReplica =
    "SELECT (SELECT system_identifier FROM pg_control_system()), "
    "pg_wal_lsn_diff(coalesce(pg_last_wal_replay_lsn(), '0/0'), '0/0')::bigint, "
    "CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END";

ReplicaPlace place_of_replica(SqlConnection& db) {
  const auto row = db.query(kPlaceOfReplica);
  if (!row->next()) return {};
  return {row->integer(0), row->integer(2) == 1, static_cast<std::uint64_t>(row->integer(1))};
}

const char* name_of(ReplicaFault fault) {
  switch (fault) {
    case ReplicaFault::kNone:
    case ReplicaFault::kUnknown:
      break;
    case ReplicaFault::kNotAReplica:
      return "it follows no primary";
    case ReplicaFault::kOtherDatabase:
      return "it is of another database";
    case ReplicaFault::kBehind:
      return "it is too far behind, or nobody knows how far";
  }
  return "";
}

}  // namespace

ReplicatedDatabase::ReplicatedDatabase(PostgresDatabase::Settings primary, PostgresDatabase::Settings replica,
                                       Instant::duration oldest)
    : primary_(std::move(primary)), replica_(std::move(replica)), health_(oldest), watcher_([this] { watch(); }) {}

ReplicatedDatabase::~ReplicatedDatabase() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  watcher_.join();
}

StoreStats ReplicatedDatabase::stats() const {
  auto stats = primary_.stats();
  const std::lock_guard lock(mutex_);
  stats.replica = counts_;
  stats.replica->up = usable_;
  stats.replica->age = health_.age(Clock::now());
  return stats;
}

void ReplicatedDatabase::transact(SqlAccess access, const Work& work) {
  if (access != SqlAccess::kReadOld) return primary_.transact(access, work);
  const auto begin = Clock::now();
  const bool read = read_at_replica(work, begin + kReplicaTime);
  {
    const std::lock_guard lock(mutex_);
    ++(read ? counts_.reads : counts_.passed_reads);
  }
  if (!read) primary_.transact_until(access, work, begin + PostgresDatabase::kCallTime);
}

bool ReplicatedDatabase::read_at_replica(const Work& work, Clock::time_point deadline) {
  {
    const std::lock_guard lock(mutex_);
    if (!usable_) return false;
  }
  bool read = false;
  try {
    replica_.transact_until(
        SqlAccess::kReadOld,
        [&](SqlConnection& db) {
          // On this connection: the URL may name several hosts, and the last look is a while ago.
          const auto place = place_of_replica(db);
          {
            const std::lock_guard lock(mutex_);
            if (health_.judge(Clock::now(), place) != ReplicaFault::kNone || !health_.caught_up(place)) return false;
          }
          read = work(db);
          return read;
        },
        deadline);
  } catch (const SqlError& error) {
    const std::lock_guard lock(mutex_);
    usable_ = false;  // until the next look: others need not wait for it as well
    failure_ = error.what();
    return false;
  }
  return read;
}

ReplicaPlace ReplicatedDatabase::place_of_primary() {
  ReplicaPlace place;
  primary_.transact(SqlAccess::kRead, [&](SqlConnection& db) {
    const auto row = db.query(kPlaceOfPrimary);
    if (row->next()) place = {row->integer(0), false, static_cast<std::uint64_t>(row->integer(1))};
    return true;
  });
  return place;
}

void ReplicatedDatabase::catch_up() {
  // Also while the replica is passed over: it may be used again by the next read.
  const auto asked = Clock::now();
  const auto place = place_of_primary();
  const std::lock_guard lock(mutex_);
  health_.catch_up(asked, place);
}

void ReplicatedDatabase::watch() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    look();
    lock.lock();
    wake_.wait_for(lock, kLookInterval, [this] { return stopping_; });
  }
}

void ReplicatedDatabase::look() {
  try {
    const auto asked = Clock::now();
    const auto place = place_of_primary();
    const std::lock_guard lock(mutex_);
    health_.primary_is_at(asked, place);
  } catch (const SqlError&) {  // who needs the primary says so; of the replica it is known how old it is for a while
  }
  ReplicaFault fault = ReplicaFault::kNone;
  std::optional<std::string> away, failed_before;
  {
    const std::lock_guard lock(mutex_);
    failed_before = std::exchange(failure_, std::nullopt);
  }
  try {
    replica_.transact_until(
        SqlAccess::kRead,
        [&](SqlConnection& db) {
          const auto place = place_of_replica(db);
          const std::lock_guard lock(mutex_);
          fault = health_.judge(Clock::now(), place);
          return true;
        },
        Clock::now() + kReplicaTime);
  } catch (const SqlError& error) {
    away = error.what();
  }
  if (fault == ReplicaFault::kNotAReplica) replica_.dial_anew();
  const bool good = !away && fault == ReplicaFault::kNone;
  {
    const std::lock_guard lock(mutex_);
    usable_ = good && !failure_;
  }
  if (away || fault != ReplicaFault::kUnknown) tell(good, away ? *away : name_of(fault));
  if (good && failed_before) log::warn("the store's replica did not answer a read", {{"error", *failed_before}});
}

void ReplicatedDatabase::tell(bool used, const std::string& why) {
  if (std::exchange(told_, used) == used) return;
  if (used)
    log::info("the store's replica is read");
  else
    log::warn("the store's replica is passed over", {{"reason", why}});
}

}  // namespace higgs::boson

#include "bosonserver/store/postgres_database.h"

#include <algorithm>
#include <stdexcept>

#include "base/assert.h"
#include "bosonserver/store/postgres_listener.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace higgs::boson {
namespace {

namespace log = runtime::log;
using Clock = SocketWatchdog::Clock;
using namespace std::chrono_literals;

/// No new attempt is begun when less is left.
constexpr std::chrono::milliseconds kAttemptTime = 150ms;
constexpr runtime::BackoffPolicy kRedial{.first = 50ms, .early_cap = 1s, .cap = 1s};

// Migrations wait for nobody who is quick, and may take their time.
constexpr const char* kMigrationSession = "SET statement_timeout = '1h'; SET lock_timeout = '60s'";
constexpr std::chrono::hours kMigrationTime{1};
/// "higgs" in ASCII: one lock for all servers of a database.
constexpr std::int64_t kMigrationLock = 0x6869676773;
constexpr const char* kNewestMigration = "SELECT coalesce(max(number), 0) FROM schema_migrations";

std::size_t applied(SqlConnection& db) {
  const auto table = db.query("SELECT to_regclass('schema_migrations')");
  if (!table->next() || table->is_null(0)) return 0;
  const auto newest = db.query(kNewestMigration);
  return newest->next() ? static_cast<std::size_t>(newest->integer(0)) : 0;
}

}  // namespace

/// A connection of the pool for one call.
class PostgresDatabase::Lease {
 public:
  Lease(PostgresDatabase& database, SqlAccess access, Clock::time_point deadline)
      : database_(database), connection_(database.take(access, deadline)) {}
  ~Lease() { database_.give_back(std::move(connection_)); }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  PostgresConnection* operator->() const { return connection_.get(); }

 private:
  PostgresDatabase& database_;
  std::unique_ptr<PostgresConnection> connection_;
};

PostgresDatabase::PostgresDatabase(Settings settings) : settings_(std::move(settings)) {
  if (settings_.role == PostgresRole::kPrimary) {
    try {
      idle_.push_back(dial());
    } catch (const SqlError& error) {
      throw std::runtime_error(std::string("cannot use the store: ") + error.what());
    }
    open_ = 1;
  }
  keeper_ = std::thread([this] { keep(); });
}

PostgresDatabase::~PostgresDatabase() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wanted_.notify_all();
  keeper_.join();
}

std::unique_ptr<PostgresConnection> PostgresDatabase::dial() {
  return std::make_unique<PostgresConnection>(
      postgres_connection_string(settings_.url, settings_.password_file, settings_.role), watchdog_);
}

StoreStats PostgresDatabase::stats() const {
  const std::lock_guard lock(mutex_);
  auto stats = stats_;
  stats.connections = open_;
  return stats;
}

void PostgresDatabase::transact(SqlAccess access, const Work& work) {
  transact_until(access, work, Clock::now() + kCallTime);
}

void PostgresDatabase::transact_until(SqlAccess access, const Work& work, Clock::time_point deadline) {
  const Lease connection(*this, access, deadline);
  const SocketWatchdog::Watch watch(watchdog_, connection->socket(), deadline);
  for (unsigned attempt = 1;; ++attempt) {
    const bool last = attempt == kAttempts || deadline - Clock::now() < kAttemptTime;
    try {
      return connection->transact(access, work);
    } catch (const SqlConflict& conflict) {
      // At once: what it ran into has committed, so that the next attempt cannot fail of the same again.
      if (last) throw SqlError(SqlError::Kind::kUnavailable, conflict.what());
      const std::lock_guard lock(mutex_);
      ++stats_.retries;
    } catch (const SqlError& error) {
      // Somebody was quicker behind our back: the second look finds out what is taken, and says so.
      if (error.kind() != SqlError::Kind::kUnique || access != SqlAccess::kTransaction || attempt > 1 || last) throw;
    }
  }
}

std::unique_ptr<PostgresConnection> PostgresDatabase::take(SqlAccess access, Clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  for (;;) {
    while (!idle_.empty()) {
      const bool unflushed = access == SqlAccess::kUnflushed;
      auto found = std::find_if(idle_.rbegin(), idle_.rend(),
                                [&](const auto& connection) { return connection->unflushed() == unflushed; });
      if (found == idle_.rend()) found = idle_.rbegin();
      auto connection = std::move(*found);
      idle_.erase(std::next(found).base());
      if (connection->quiet()) return connection;
      --open_;
      ++stats_.lost_connections;
      wanted_.notify_one();
    }
    if (open_ == 0 && lost_) throw SqlError(SqlError::Kind::kAway, "there is no connection");
    if (returned_.wait_until(lock, deadline) == std::cv_status::timeout)
      throw SqlError(open_ == 0 ? SqlError::Kind::kAway : SqlError::Kind::kUnavailable, "all connections are busy");
  }
}

void PostgresDatabase::give_back(std::unique_ptr<PostgresConnection> connection) {
  const bool good = connection->open();
  const std::lock_guard lock(mutex_);
  if (good) {
    idle_.push_back(std::move(connection));
    returned_.notify_one();
  } else {
    --open_;
    ++stats_.lost_connections;
    wanted_.notify_one();
    // Those who wait for one of many may now wait for none.
    returned_.notify_all();
  }
}

void PostgresDatabase::dial_anew() {
  std::vector<std::unique_ptr<PostgresConnection>> dropped;
  const std::lock_guard lock(mutex_);
  dropped.swap(idle_);
  open_ -= dropped.size();
  wanted_.notify_one();
}

void PostgresDatabase::keep() {
  const std::string name = settings_.role == PostgresRole::kReplica ? "the store's replica" : "the store's server";
  SystemRandom random;
  runtime::Backoff backoff(kRedial);
  std::unique_lock lock(mutex_);
  for (;;) {
    wanted_.wait(lock, [this] { return stopping_ || open_ < settings_.connections; });
    if (stopping_) return;
    lock.unlock();
    std::unique_ptr<PostgresConnection> made;
    std::string fault;
    try {
      made = dial();
    } catch (const std::runtime_error& error) {
      fault = error.what();
    }
    lock.lock();
    if (made) {
      if (std::exchange(lost_, false)) log::info(name + " answers again");
      backoff.reset();
      idle_.push_back(std::move(made));
      ++open_;
      returned_.notify_one();
    } else {
      if (!std::exchange(lost_, true)) log::warn(name + " does not answer", {{"error", fault}});
      returned_.notify_all();
      const auto until = Clock::now() + backoff.next(runtime::now().monotonic, random);
      wanted_.wait_until(lock, until, [this] { return stopping_; });
    }
  }
}

std::unique_ptr<SqlListener> PostgresDatabase::listen(SqlListener::Handler handler) {
  return std::make_unique<PostgresListener>([this] { return dial(); }, watchdog_, std::move(handler));
}

std::size_t PostgresDatabase::version() {
  std::size_t version = 0;
  transact(SqlAccess::kRead, [&](SqlConnection& db) {
    version = applied(db);
    return true;
  });
  return version;
}

void PostgresDatabase::migrate() {
  const auto all = migrations();
  try {
    const auto known = version();
    if (known > all.size()) throw std::runtime_error(kNewerStore);
    // Without a lock, and without any right to change tables, where there is nothing to do.
    if (known == all.size()) return;
    const auto connection = dial();
    const SocketWatchdog::Watch watch(watchdog_, connection->socket(), Clock::now() + kMigrationTime);
    connection->execute(kMigrationSession);
    connection->execute("SELECT pg_advisory_lock(" + std::to_string(kMigrationLock) + ")");
    connection->execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL, "
        "applied_at TIMESTAMPTZ NOT NULL DEFAULT now())");
    std::size_t done = 0;
    connection->transact(SqlAccess::kRead, [&](SqlConnection& db) {
      done = applied(db);
      return true;
    });
    for (; done < all.size(); ++done) {
      HIGGS_ASSERT(all[done].number == done + 1);
      // One transaction each: the whole script or nothing of it.
      connection->execute("BEGIN;" + std::string(all[done].sql) +
                          ";INSERT INTO schema_migrations (number, name) VALUES (" + std::to_string(done + 1) + ", '" +
                          std::string(all[done].name) + "'); COMMIT");
    }
  } catch (const SqlError& error) {
    throw std::runtime_error(std::string("cannot migrate the store: ") + error.what());
  }
}

}  // namespace higgs::boson

#include "bosonserver/store/sqlite_store.h"

#include <stdexcept>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bosonserver/migrations/migrations.h"
#include "bosonserver/store/sqlite_call.h"

namespace higgs::boson {
namespace {

/// The file is made private before SQLite opens it; its -wal and -shm companions inherit the mode.
void make_private_file(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) throw std::runtime_error("cannot open the store " + file.string() + ": " + std::strerror(errno));
  ::close(fd);
}

void migrate(SQLite::Database& database) {
  const auto all = sqlite_migrations();
  // The write lock keeps a second process from migrating at the same time.
  SQLite::Transaction transaction(database, SQLite::TransactionBehavior::EXCLUSIVE);
  auto version = static_cast<std::size_t>(database.execAndGet("PRAGMA user_version").getInt());
  if (version > all.size()) throw std::runtime_error("the store was made by a newer version of bosonserver");
  for (; version < all.size(); ++version) {
    HIGGS_ASSERT(all[version].number == version + 1);
    database.exec(std::string(all[version].sql));
  }
  database.exec("PRAGMA user_version = " + std::to_string(version));
  transaction.commit();
}

}  // namespace

SqliteStore::SqliteStore(const std::filesystem::path& file) {
  make_private_file(file);
  try {
    database_ =
        std::make_unique<SQLite::Database>(file.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_FULLMUTEX, 10000);
    // NORMAL in WAL mode survives a crash of the program whole; a power cut may lose the last moments, never
    // consistency.
    database_->exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON");
    migrate(*database_);
    database_->setBusyTimeout(static_cast<int>(kCallDeadline.count()));
  } catch (const SQLite::Exception& error) {
    throw std::runtime_error("cannot use the store " + file.string() + ": " + error.what());
  }
}

SqliteStore::~SqliteStore() = default;

Result<void> SqliteStore::ping() {
  return call(Kind::kRead, [](SQLite::Database& db) -> Result<void> {
    db.execAndGet("SELECT 1");
    return {};
  });
}

Result<void> SqliteStore::add_nonce(const std::string& nonce, std::int64_t now, std::int64_t expires_at) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    sqlite::run(db, "DELETE FROM nonces WHERE expires_at <= ?", now);
    const auto count = db.execAndGet("SELECT count(*) FROM nonces").getInt64();
    if (count >= static_cast<std::int64_t>(kMaxNonces)) return StoreError::kFull;
    sqlite::run(db, "INSERT INTO nonces (nonce, expires_at) VALUES (?, ?)", nonce, expires_at);
    return {};
  });
}

Result<bool> SqliteStore::consume_nonce(const std::string& nonce, std::int64_t now) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<bool> {
    const bool good = sqlite::run(db, "DELETE FROM nonces WHERE nonce = ? AND expires_at > ?", nonce, now) == 1;
    sqlite::run(db, "DELETE FROM nonces WHERE expires_at <= ?", now);
    return good;
  });
}

Result<void> SqliteStore::add_audit(const AuditEntry& entry) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    sqlite::run(db, "INSERT INTO audit (time, actor, address, action, object, outcome) VALUES (?, ?, ?, ?, ?, ?)",
                entry.time, entry.actor, entry.address, entry.action, entry.object, entry.outcome);
    return {};
  });
}

Result<std::vector<AuditEntry>> SqliteStore::audit(std::optional<std::int64_t> before, std::size_t limit) {
  return call(Kind::kRead, [&](SQLite::Database& db) -> Result<std::vector<AuditEntry>> {
    auto rows = sqlite::statement(db,
                                  "SELECT id, time, actor, address, action, object, outcome FROM audit "
                                  "WHERE id < ? ORDER BY id DESC LIMIT ?",
                                  before.value_or(INT64_MAX), std::min(limit, kMaxPage));
    std::vector<AuditEntry> entries;
    while (rows.executeStep()) {
      entries.push_back({rows.getColumn(0).getInt64(), rows.getColumn(1).getInt64(), rows.getColumn(2).getString(),
                         rows.getColumn(3).getString(), rows.getColumn(4).getString(), rows.getColumn(5).getString(),
                         rows.getColumn(6).getString()});
    }
    return entries;
  });
}

Result<Lockout> SqliteStore::lockout(const std::string& subject) {
  return call(Kind::kRead, [&](SQLite::Database& db) -> Result<Lockout> {
    auto row =
        sqlite::statement(db, "SELECT failures, last_failure, locked_until FROM lockouts WHERE subject = ?", subject);
    if (!row.executeStep()) return Lockout{};
    return Lockout{row.getColumn(0).getUInt(), row.getColumn(1).getInt64(), row.getColumn(2).getInt64()};
  });
}

Result<Lockout> SqliteStore::update_lockout(const std::string& subject,
                                            const std::function<Lockout(const Lockout&)>& change) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<Lockout> {
    auto row =
        sqlite::statement(db, "SELECT failures, last_failure, locked_until FROM lockouts WHERE subject = ?", subject);
    Lockout before;
    if (row.executeStep()) {
      before = {row.getColumn(0).getUInt(), row.getColumn(1).getInt64(), row.getColumn(2).getInt64()};
    } else if (db.execAndGet("SELECT count(*) FROM lockouts").getInt64() >= static_cast<std::int64_t>(kMaxLockouts)) {
      // Somebody sprays names: the oldest entry goes, so that present attacks are still counted.
      sqlite::run(db,
                  "DELETE FROM lockouts WHERE subject = (SELECT subject FROM lockouts ORDER BY last_failure LIMIT 1)");
    }
    const Lockout after = change(before);
    sqlite::run(db,
                "INSERT OR REPLACE INTO lockouts (subject, failures, last_failure, locked_until) VALUES (?, ?, ?, ?)",
                subject, after.failures, after.last_failure, after.locked_until);
    return after;
  });
}

Result<void> SqliteStore::clear_lockout(const std::string& subject) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    sqlite::run(db, "DELETE FROM lockouts WHERE subject = ?", subject);
    return {};
  });
}

Result<void> SqliteStore::add_signing_key(const SigningKeyRecord& key) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    sqlite::run(db, "INSERT INTO signing_keys (id, public_key, sealed, created_at) VALUES (?, ?, ?, ?)", key.id,
                ByteView(key.public_key.bytes), ByteView(key.sealed), key.created_at);
    return {};
  });
}

Result<std::vector<SigningKeyRecord>> SqliteStore::signing_keys() {
  return call(Kind::kRead, [&](SQLite::Database& db) -> Result<std::vector<SigningKeyRecord>> {
    SQLite::Statement rows(db, "SELECT id, public_key, sealed, created_at FROM signing_keys ORDER BY created_at, id");
    std::vector<SigningKeyRecord> keys;
    while (rows.executeStep()) {
      const auto sealed = rows.getColumn(2);
      const auto* bytes = static_cast<const std::byte*>(sealed.getBlob());
      keys.push_back({rows.getColumn(0).getString(),
                      {sqlite::bytes_at<32>(rows, 1)},
                      Bytes(bytes, bytes + sealed.getBytes()),
                      rows.getColumn(3).getInt64()});
    }
    return keys;
  });
}

Result<void> SqliteStore::remove_signing_key(const std::string& id) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    sqlite::run(db, "DELETE FROM signing_keys WHERE id = ?", id);
    return {};
  });
}

Result<std::size_t> SqliteStore::purge(const Retention& retention, std::int64_t now) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<std::size_t> {
    int gone = 0;
    gone += sqlite::run(db, "DELETE FROM nonces WHERE expires_at <= ?", now);
    gone += sqlite::run(db, "DELETE FROM refresh_tokens WHERE expires_at <= ?", now);
    gone += sqlite::run(db, "DELETE FROM refresh_families WHERE id NOT IN (SELECT family_id FROM refresh_tokens)");
    gone += sqlite::run(db, "DELETE FROM nodes WHERE last_seen <= ? AND admission <> 'banned'",
                        now - retention.silent_nodes);
    gone += sqlite::run(db, "DELETE FROM node_metrics WHERE time <= ?", now - retention.metrics);
    gone += sqlite::run(db, "DELETE FROM node_actions WHERE done_at <= ?", now - retention.metrics);
    gone += sqlite::run(db, "DELETE FROM sessions WHERE ended_at <= ?", now - retention.sessions);
    gone += sqlite::run(db, "DELETE FROM audit WHERE time <= ?", now - retention.audit);
    gone += sqlite::run(db, "DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?",
                        static_cast<std::int64_t>(kMaxAuditEntries));
    gone += sqlite::run(db, "DELETE FROM lockouts WHERE last_failure <= ?", now - 86400);
    return static_cast<std::size_t>(gone);
  });
}

}  // namespace higgs::boson

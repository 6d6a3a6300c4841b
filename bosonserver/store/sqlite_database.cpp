#include "bosonserver/store/sqlite_database.h"

#include <cstring>
#include <map>
#include <vector>

#include <SQLiteCpp/SQLiteCpp.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

namespace higgs::boson {
namespace {

/// For everything before the first call: another process may be migrating.
constexpr int kOpenTimeoutMs = 10'000;

/// The file is made private before SQLite opens it; its -wal and -shm companions inherit the mode.
void make_private_file(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) throw std::runtime_error("cannot open the store " + file.string() + ": " + std::strerror(errno));
  ::close(fd);
}

SqlError error_of(const SQLite::Exception& error) {
  const int code = error.getExtendedErrorCode();
  const bool unique = code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY;
  return {unique ? SqlError::Kind::kUnique : SqlError::Kind::kUnavailable,
          std::string(error.what()) + " (" + std::to_string(code) + ")"};
}

struct Bind {
  SQLite::Statement& statement;
  int at;

  void operator()(std::monostate) const { statement.bind(at); }
  void operator()(std::int64_t value) const { statement.bind(at, value); }
  void operator()(const std::string& value) const { statement.bind(at, value); }
  void operator()(const Bytes& value) const { statement.bind(at, value.data(), static_cast<int>(value.size())); }
};

/// A statement that is ready to be run again, unless it is being read at the moment.
struct Prepared {
  Prepared(SQLite::Database& database, std::string_view sql) : statement(database, std::string(sql)) {
    for (int i = 1; i <= statement.getBindParameterCount(); ++i)
      HIGGS_ASSERT(statement.getIndex(("$" + std::to_string(i)).c_str()) == i);
  }
  SQLite::Statement statement;
  bool busy = false;
};

class SqliteRows final : public SqlRows {
 public:
  explicit SqliteRows(std::shared_ptr<Prepared> prepared) : prepared_(std::move(prepared)) { prepared_->busy = true; }
  ~SqliteRows() override {
    prepared_->statement.tryReset();
    prepared_->busy = false;
  }
  SqliteRows(const SqliteRows&) = delete;
  SqliteRows& operator=(const SqliteRows&) = delete;

  SQLite::Statement& statement() { return prepared_->statement; }
  bool next() override { return prepared_->statement.executeStep(); }
  bool is_null(int column) const override { return prepared_->statement.isColumnNull(column); }
  std::int64_t integer(int column) const override { return prepared_->statement.getColumn(column).getInt64(); }
  std::string text(int column) const override { return prepared_->statement.getColumn(column).getString(); }
  Bytes bytes(int column) const override {
    const auto value = prepared_->statement.getColumn(column);
    const auto* from = static_cast<const std::byte*>(value.getBlob());
    return {from, from + value.getBytes()};
  }

 private:
  std::shared_ptr<Prepared> prepared_;
};

}  // namespace

class SqliteDatabase::Connection final : public SqlConnection {
 public:
  explicit Connection(const std::filesystem::path& file)
      : database(file.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_FULLMUTEX, kOpenTimeoutMs) {}

  void lock(std::string_view) override {}  // who writes is alone already
  void notify(std::string_view text) override { notifications.emplace_back(text); }

  SQLite::Database database;
  std::vector<std::string> notifications;  // of the transaction

 private:
  std::unique_ptr<SqliteRows> prepared(std::string_view sql, std::span<const SqlValue> values) {
    auto found = statements_.find(sql);
    if (found == statements_.end())
      found = statements_.emplace(std::string(sql), std::make_shared<Prepared>(database, sql)).first;
    auto rows =
        std::make_unique<SqliteRows>(found->second->busy ? std::make_shared<Prepared>(database, sql) : found->second);
    int at = 0;
    for (const auto& value : values) std::visit(Bind{rows->statement(), ++at}, value.held());
    return rows;
  }
  std::size_t modify(std::string_view sql, std::span<const SqlValue> values) override {
    return static_cast<std::size_t>(prepared(sql, values)->statement().exec());
  }
  std::unique_ptr<SqlRows> select(std::string_view sql, std::span<const SqlValue> values) override {
    return prepared(sql, values);
  }

  std::map<std::string, std::shared_ptr<Prepared>, std::less<>> statements_;  // as many as the store's sources hold
};

SqliteDatabase::SqliteDatabase(const std::filesystem::path& file) : file_(file) {
  make_private_file(file);
  try {
    connection_ = std::make_unique<Connection>(file);
    // NORMAL in WAL mode survives a crash of the program whole; a power cut may lose the last moments, never
    // consistency.
    connection_->database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON");
    connection_->database.setBusyTimeout(static_cast<int>(kStoreDeadline.count()));
  } catch (const SQLite::Exception& error) {
    throw std::runtime_error("cannot use the store " + file.string() + ": " + error.what());
  }
}

SqliteDatabase::~SqliteDatabase() = default;

void SqliteDatabase::transact(SqlAccess access, const Work& work) {
  // By the wall clock, since ThreadSanitizer does not see the lock that the steady one takes (pthread_mutex_clocklock).
  // A jump changes one wait at most, and no call holds the lock for long.
  const std::unique_lock lock(mutex_, std::chrono::system_clock::now() + kStoreDeadline);
  if (!lock) throw SqlError(SqlError::Kind::kUnavailable, "too many calls wait");
  try {
    if (access == SqlAccess::kRead || access == SqlAccess::kReadOld) {
      work(*connection_);
      return;
    }
    // IMMEDIATE takes the write lock at once: a read that turns into a write could otherwise fail half way.
    SQLite::Transaction transaction(connection_->database, SQLite::TransactionBehavior::IMMEDIATE);
    connection_->notifications.clear();
    if (!work(*connection_)) return;
    transaction.commit();
    for (const auto& text : connection_->notifications) notifier_.notify(text);
  } catch (const SQLite::Exception& error) {
    throw error_of(error);
  }
}

std::int64_t SqliteDatabase::version_of_others() {
  const std::lock_guard lock(mutex_);
  try {
    others_ = connection_->database.execAndGet("PRAGMA data_version").getInt64();
  } catch (const SQLite::Exception&) {
    // Busy: the next look will show it.
  }
  return others_;
}

std::size_t SqliteDatabase::version() {
  const std::lock_guard lock(mutex_);
  try {
    return static_cast<std::size_t>(connection_->database.execAndGet("PRAGMA user_version").getInt());
  } catch (const SQLite::Exception& error) {
    throw error_of(error);
  }
}

void SqliteDatabase::migrate() {
  const std::lock_guard lock(mutex_);
  auto& database = connection_->database;
  try {
    database.setBusyTimeout(kOpenTimeoutMs);
    // The write lock keeps a second process from migrating at the same time.
    SQLite::Transaction transaction(database, SQLite::TransactionBehavior::EXCLUSIVE);
    const auto all = migrations();
    auto version = static_cast<std::size_t>(database.execAndGet("PRAGMA user_version").getInt());
    if (version > all.size()) throw std::runtime_error(kNewerStore);
    for (; version < all.size(); ++version) {
      HIGGS_ASSERT(all[version].number == version + 1);
      database.exec(std::string(all[version].sql));
    }
    database.exec("PRAGMA user_version = " + std::to_string(version));
    transaction.commit();
    database.setBusyTimeout(static_cast<int>(kStoreDeadline.count()));
  } catch (const SQLite::Exception& error) {
    throw std::runtime_error("cannot use the store " + file_.string() + ": " + error.what());
  }
}

}  // namespace higgs::boson

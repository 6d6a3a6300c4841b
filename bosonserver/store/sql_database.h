// A database as SqlStore sees it: transactions on some connection, and the version of its tables.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "bosonserver/migrations/migrations.h"
#include "bosonserver/store/sql_connection.h"
#include "bosonserver/store/store_stats.h"

namespace higgs::boson {

/// No call takes longer, whatever the database does.
inline constexpr std::chrono::milliseconds kStoreDeadline{500};

inline constexpr const char* kNewerStore = "the store was made by a newer version of bosonserver";

/// What a call needs to be right beside others. SQLite has one writer and gives every write the most.
enum class SqlAccess {
  kRead,
  kReadOld,      ///< what it reads may be a moment old, but for SqlDatabase::catch_up(): a read replica may answer
  kStatement,    ///< one write that is right by itself; whatever follows stands for itself too
  kUnflushed,    ///< as kStatement, of what may be lost with the database's machine: the next one replaces it
  kTogether,     ///< writes, each right by itself, that happen together or not at all, with what they notify
  kLocked,       ///< as kTogether; begins with lock(name): nobody else is in a transaction under this name
  kTransaction,  ///< as if nobody else was there
};

struct SqlNotification {
  std::string text = {};
  std::optional<std::chrono::seconds> gap = {};  ///< instead of texts: those of the last while may be lost
};

/// Ends with its owner: when the destructor has returned no handler runs any more.
class SqlListener {
 public:
  using Handler = std::function<void(const SqlNotification&)>;
  virtual ~SqlListener() = default;
};

class SqlDatabase {
 public:
  /// True to commit. May be called again, where others were in the way.
  using Work = std::function<bool(SqlConnection&)>;

  virtual ~SqlDatabase() = default;
  /// What the driver knows of it.
  virtual StoreStats stats() const = 0;
  /// Any thread, many at once. Throws SqlError; then nothing was changed, or it is not known.
  virtual void transact(SqlAccess access, const Work& work) = 0;
  /// What SqlAccess::kReadOld reads after this has all that was committed before it. Throws SqlError.
  virtual void catch_up() = 0;

  /// Calls the handler, on a thread of the listener's own, with what committed transactions notify. Begins with a gap:
  /// what is notified after that is heard. The database must still be there.
  virtual std::unique_ptr<SqlListener> listen(SqlListener::Handler handler) = 0;

  /// What the tables can be brought to; forward only.
  virtual std::span<const Migration> migrations() const = 0;
  /// How many of them were applied. Throws SqlError.
  virtual std::size_t version() = 0;
  /// Applies what is missing, while no other process does. Throws std::runtime_error, also for tables that a newer
  /// version made.
  virtual void migrate() = 0;
};

}  // namespace higgs::boson

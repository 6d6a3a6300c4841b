// Helpers of the SQLite store's sources: transactions, binding and reading of our own types.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include <SQLiteCpp/SQLiteCpp.h>

#include "base/assert.h"
#include "bosonserver/store/sqlite_store.h"
#include "runtime/log.h"

namespace higgs::boson {

template <class F>
auto SqliteStore::call(Kind kind, F work) -> decltype(work(std::declval<SQLite::Database&>())) {
  // By the wall clock, since ThreadSanitizer does not see the lock that the steady one takes (pthread_mutex_clocklock).
  // A jump changes one wait at most, and no call holds the lock for long.
  const std::unique_lock lock(mutex_, std::chrono::system_clock::now() + kCallDeadline);
  if (!lock) return StoreError::kUnavailable;
  try {
    if (kind == Kind::kRead) return work(*database_);
    // IMMEDIATE takes the write lock at once: a read that turns into a write could otherwise fail half way.
    SQLite::Transaction transaction(*database_, SQLite::TransactionBehavior::IMMEDIATE);
    auto result = work(*database_);
    if (result) transaction.commit();
    return result;
  } catch (const SQLite::Exception& error) {
    runtime::log::warn("the store failed", {{"error", error.what()}, {"code", error.getExtendedErrorCode()}});
    return StoreError::kUnavailable;
  }
}

namespace sqlite {

inline void bind(SQLite::Statement& s, int at, std::int64_t value) { s.bind(at, value); }
inline void bind(SQLite::Statement& s, int at, std::uint64_t value) { s.bind(at, static_cast<std::int64_t>(value)); }
inline void bind(SQLite::Statement& s, int at, std::uint32_t value) { s.bind(at, static_cast<std::int64_t>(value)); }
inline void bind(SQLite::Statement& s, int at, bool value) { s.bind(at, value ? 1 : 0); }
inline void bind(SQLite::Statement& s, int at, const std::string& value) { s.bind(at, value); }
inline void bind(SQLite::Statement& s, int at, std::string_view value) { s.bind(at, std::string(value)); }
inline void bind(SQLite::Statement& s, int at, const char* value) { s.bind(at, value); }
inline void bind(SQLite::Statement& s, int at, const IpAddress& value) { s.bind(at, value.to_string()); }
inline void bind(SQLite::Statement& s, int at, ByteView value) {
  s.bind(at, value.data(), static_cast<int>(value.size()));
}
template <class Tag>
void bind(SQLite::Statement& s, int at, const StrongId<Uuid, Tag>& value) {
  s.bind(at, to_string(value));
}
template <class T>
void bind(SQLite::Statement& s, int at, const std::optional<T>& value) {
  if (value) {
    bind(s, at, *value);
  } else {
    s.bind(at);
  }
}

/// A statement with its values bound in order.
template <class... Values>
SQLite::Statement statement(SQLite::Database& database, const char* sql, const Values&... values) {
  SQLite::Statement prepared(database, sql);
  int at = 0;
  (bind(prepared, ++at, values), ...);
  return prepared;
}
/// Runs a statement that yields no row; the number of rows it changed.
template <class... Values>
int run(SQLite::Database& database, const char* sql, const Values&... values) {
  auto prepared = statement(database, sql, values...);
  return prepared.exec();
}

// Reading. What the store itself wrote is well-formed, or the file is damaged: then the call fails.
struct Damaged : SQLite::Exception {
  explicit Damaged(const char* what) : SQLite::Exception(std::string("damaged record: ") + what) {}
};
template <class T>
T sound(std::optional<T> value, const char* what) {
  if (!value) throw Damaged(what);
  return std::move(*value);
}
template <class Id>
Id id_at(const SQLite::Statement& s, int at) {
  return sound(parse_id<Id>(s.getColumn(at).getString()), "id");
}
template <std::size_t N>
ByteArray<N> bytes_at(const SQLite::Statement& s, int at) {
  const auto column = s.getColumn(at);
  ByteArray<N> out;
  if (column.getBytes() != static_cast<int>(N)) throw Damaged("bytes");
  std::memcpy(out.data(), column.getBlob(), N);
  return out;
}
inline IpAddress address_at(const SQLite::Statement& s, int at) {
  return sound(IpAddress::parse(s.getColumn(at).getString()), "address");
}
inline std::optional<std::int64_t> time_at(const SQLite::Statement& s, int at) {
  if (s.isColumnNull(at)) return std::nullopt;
  return s.getColumn(at).getInt64();
}
template <class T>
T json_at(const SQLite::Statement& s, int at) {
  auto decoded = api::decode<T>(s.getColumn(at).getString());
  if (!decoded) throw Damaged("JSON");
  return std::move(*decoded);
}

}  // namespace sqlite
}  // namespace higgs::boson

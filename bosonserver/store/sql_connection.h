// What SqlStore needs of a database: statements with values in, rows out. One driver stands behind it for each kind of
// database; the SQL is the same for all of them.
//
// In SQL, values are $1, $2, … in the order in which they first appear; integers are 64 bits, also those that mean true
// or false.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/uuid.h"

namespace higgs::boson {

/// Thrown by everything below.
class SqlError : public std::runtime_error {
 public:
  enum class Kind {
    kUnavailable,  ///< busy, out of time, not reachable, or the statement is wrong
    kAway,         ///< there is no connection to the server, which the driver has logged once
    kUnique,       ///< a unique value is taken
    kDamaged,      ///< a record that we cannot have written
  };
  SqlError(Kind kind, const std::string& what) : std::runtime_error(what), kind_(kind) {}
  Kind kind() const noexcept { return kind_; }

 private:
  Kind kind_;
};

/// PostgreSQL's text holds neither NUL nor anything but UTF-8. What else strangers make up (a user name, say) must
/// neither fail nor become the name of another: those bytes become '?'.
std::string storable_text(std::string text);

/// A value of a statement: null, integer, text or bytes.
class SqlValue {
 public:
  using Held = std::variant<std::monostate, std::int64_t, std::string, Bytes>;

  template <std::integral T>
  SqlValue(T value) : held_(static_cast<std::int64_t>(value)) {}
  SqlValue(std::string value) : held_(storable_text(std::move(value))) {}
  SqlValue(std::string_view value) : SqlValue(std::string(value)) {}
  SqlValue(const char* value) : SqlValue(std::string(value)) {}
  SqlValue(ByteView value) : held_(Bytes(value.begin(), value.end())) {}
  SqlValue(const IpAddress& value) : held_(value.to_string()) {}
  template <class Tag>
  SqlValue(const StrongId<Uuid, Tag>& value) : held_(to_string(value)) {}
  template <class T>
  SqlValue(const std::optional<T>& value) {
    if (value) held_ = SqlValue(*value).held_;
  }

  const Held& held() const noexcept { return held_; }

 private:
  Held held_;
};

/// Stands before the first row. Columns count from 0. Not to be kept longer than the connection's transaction.
class SqlRows {
 public:
  virtual ~SqlRows() = default;
  /// False behind the last row.
  virtual bool next() = 0;
  virtual bool is_null(int column) const = 0;
  virtual std::int64_t integer(int column) const = 0;
  virtual std::string text(int column) const = 0;  ///< empty for null
  virtual Bytes bytes(int column) const = 0;
};

/// One thread at a time.
class SqlConnection {
 public:
  virtual ~SqlConnection() = default;

  /// The number of rows that it changed.
  template <class... Values>
  std::size_t run(std::string_view sql, const Values&... values) {
    const std::array<SqlValue, sizeof...(Values)> bound{SqlValue(values)...};
    return modify(sql, bound);
  }
  template <class... Values>
  std::unique_ptr<SqlRows> query(std::string_view sql, const Values&... values) {
    const std::array<SqlValue, sizeof...(Values)> bound{SqlValue(values)...};
    return select(sql, bound);
  }
  /// For statements with as many values as one likes.
  std::unique_ptr<SqlRows> query_with(std::string_view sql, std::span<const SqlValue> values) {
    return select(sql, values);
  }
  /// Waits until nobody else holds this name, and holds it until the transaction ends: see SqlAccess::kLocked.
  virtual void lock(std::string_view name) = 0;
  /// Tells every listener of the database if the transaction commits: SqlAccess::kTogether and above. UTF-8 without
  /// NUL, less than 8000 bytes.
  virtual void notify(std::string_view text) = 0;

 private:
  virtual std::size_t modify(std::string_view sql, std::span<const SqlValue> values) = 0;
  virtual std::unique_ptr<SqlRows> select(std::string_view sql, std::span<const SqlValue> values) = 0;
};

}  // namespace higgs::boson

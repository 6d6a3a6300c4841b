// Reads our own types from rows. What the store wrote is well-formed, or it is damaged: then the call fails.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/json.h"
#include "bosonserver/store/sql_connection.h"

namespace higgs::boson::sql {

template <class T>
T sound(std::optional<T> value, const char* what) {
  if (!value) throw SqlError(SqlError::Kind::kDamaged, std::string("damaged record: ") + what);
  return std::move(*value);
}
template <class Id>
Id id_at(const SqlRows& row, int column) {
  return sound(parse_id<Id>(row.text(column)), "id");
}
template <std::size_t N>
ByteArray<N> bytes_at(const SqlRows& row, int column) {
  const auto bytes = row.bytes(column);
  if (bytes.size() != N) throw SqlError(SqlError::Kind::kDamaged, "damaged record: bytes");
  ByteArray<N> out;
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}
inline IpAddress address_at(const SqlRows& row, int column) {
  return sound(IpAddress::parse(row.text(column)), "address");
}
inline std::optional<std::int64_t> time_at(const SqlRows& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return row.integer(column);
}
template <class T>
T json_at(const SqlRows& row, int column) {
  auto decoded = api::decode<T>(row.text(column));
  if (!decoded) throw SqlError(SqlError::Kind::kDamaged, "damaged record: JSON");
  return std::move(*decoded);
}

/// Whether it may serve is decided by one at a time; with SqlAccess::kLocked.
inline void lock_node(SqlConnection& db, NodeId node) { db.lock("node " + to_string(node)); }

/// The first column of all rows.
template <class Id>
std::vector<Id> ids_of(SqlRows& rows) {
  std::vector<Id> ids;
  while (rows.next()) ids.push_back(id_at<Id>(rows, 0));
  return ids;
}
/// The first column of the first row.
template <class... Values>
std::size_t count(SqlConnection& db, std::string_view sql, const Values&... values) {
  const auto row = db.query(sql, values...);
  return row->next() ? static_cast<std::size_t>(row->integer(0)) : 0;
}
template <class... Values>
bool any(SqlConnection& db, std::string_view sql, const Values&... values) {
  return db.query(sql, values...)->next();
}

}  // namespace higgs::boson::sql

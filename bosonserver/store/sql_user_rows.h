// Users as rows, for the sources that read and write them.
#pragma once

#include "bosonserver/store/sql_columns.h"
#include "bosonserver/store/store.h"

namespace higgs::boson::sql {

inline constexpr std::string_view kUserByName =
    "SELECT id, name, password_hash, role, disabled, created_at FROM users WHERE name = $1";
inline constexpr std::string_view kUserById =
    "SELECT id, name, password_hash, role, disabled, created_at FROM users WHERE id = $1";

/// The columns id, name, password_hash, role, disabled, created_at, from the first.
inline UserRecord user_of(const SqlRows& row) {
  UserRecord user;
  user.id = id_at<UserId>(row, 0);
  user.name = row.text(1);
  user.password_hash = row.text(2);
  user.role = sound(api::parse_role(row.text(3)), "role");
  user.disabled = row.integer(4) != 0;
  user.created_at = row.integer(5);
  return user;
}

inline Result<UserRecord> find_user(SqlConnection& db, std::string_view statement, const SqlValue& key) {
  const auto row = db.query(statement, key);
  if (!row->next()) return StoreError::kNotFound;
  return user_of(*row);
}

/// What stands or falls with the user is decided by one at a time; with SqlAccess::kLocked.
inline void lock_user(SqlConnection& db, UserId user) { db.lock("user " + to_string(user)); }

inline void insert_user(SqlConnection& db, const UserRecord& user) {
  db.run("INSERT INTO users (id, name, password_hash, role, disabled, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
         user.id, user.name, user.password_hash, api::to_string(user.role), user.disabled, user.created_at);
}

}  // namespace higgs::boson::sql

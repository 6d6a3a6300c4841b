// Users and their refresh tokens.
#include "bosonserver/store/sqlite_call.h"

namespace higgs::boson {
namespace {

constexpr const char* kByName = "SELECT id, name, password_hash, role, disabled, created_at FROM users WHERE name = ?";
constexpr const char* kById = "SELECT id, name, password_hash, role, disabled, created_at FROM users WHERE id = ?";

UserRecord user_of(const SQLite::Statement& row) {
  UserRecord user;
  user.id = sqlite::id_at<UserId>(row, 0);
  user.name = row.getColumn(1).getString();
  user.password_hash = row.getColumn(2).getString();
  user.role = sqlite::sound(api::parse_role(row.getColumn(3).getString()), "role");
  user.disabled = row.getColumn(4).getInt() != 0;
  user.created_at = row.getColumn(5).getInt64();
  return user;
}

template <class Key>
Result<UserRecord> find_user(SQLite::Database& db, const char* sql, const Key& key) {
  auto row = sqlite::statement(db, sql, key);
  if (!row.executeStep()) return StoreError::kNotFound;
  return user_of(row);
}

}  // namespace

Result<void> SqliteStore::add_user(const UserRecord& user) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    if (find_user(db, kByName, user.name) || find_user(db, kById, user.id)) return StoreError::kExists;
    sqlite::run(db, "INSERT INTO users (id, name, password_hash, role, disabled, created_at) VALUES (?, ?, ?, ?, ?, ?)",
                user.id, user.name, user.password_hash, api::to_string(user.role), user.disabled, user.created_at);
    return {};
  });
}

Result<UserRecord> SqliteStore::user_by_name(std::string_view name) {
  return call(Kind::kRead, [&](SQLite::Database& db) { return find_user(db, kByName, name); });
}

Result<UserRecord> SqliteStore::user_by_id(UserId id) {
  return call(Kind::kRead, [&](SQLite::Database& db) { return find_user(db, kById, id); });
}

Result<std::vector<UserRecord>> SqliteStore::users(std::string_view after_name, std::size_t limit) {
  return call(Kind::kRead, [&](SQLite::Database& db) -> Result<std::vector<UserRecord>> {
    auto rows = sqlite::statement(db,
                                  "SELECT id, name, password_hash, role, disabled, created_at FROM users "
                                  "WHERE name > ? ORDER BY name LIMIT ?",
                                  after_name, std::min(limit, kMaxPage));
    std::vector<UserRecord> users;
    while (rows.executeStep()) users.push_back(user_of(rows));
    return users;
  });
}

Result<void> SqliteStore::update_user(const UserRecord& user, bool revoke_tokens, std::int64_t now) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    const auto holder = find_user(db, kByName, user.name);
    if (holder && holder->id != user.id) return StoreError::kExists;
    const int changed =
        sqlite::run(db, "UPDATE users SET name = ?, password_hash = ?, role = ?, disabled = ? WHERE id = ?", user.name,
                    user.password_hash, api::to_string(user.role), user.disabled, user.id);
    if (changed == 0) return StoreError::kNotFound;
    if (revoke_tokens)
      sqlite::run(db, "UPDATE refresh_families SET revoked_at = ? WHERE user_id = ? AND revoked_at IS NULL", now,
                  user.id);
    return {};
  });
}

Result<void> SqliteStore::remove_user(UserId id) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    if (sqlite::run(db, "DELETE FROM users WHERE id = ?", id) == 0) return StoreError::kNotFound;
    return {};
  });
}

Result<void> SqliteStore::add_refresh_family(const std::string& family, UserId user, const crypto::Sha256Digest& token,
                                             std::int64_t now, std::int64_t expires_at) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    if (!find_user(db, kById, user)) return StoreError::kNotFound;
    sqlite::run(db, "INSERT INTO refresh_families (id, user_id, created_at) VALUES (?, ?, ?)", family, user, now);
    sqlite::run(db, "INSERT INTO refresh_tokens (digest, family_id, expires_at) VALUES (?, ?, ?)", ByteView(token),
                family, expires_at);
    return {};
  });
}

Result<RefreshOutcome> SqliteStore::rotate_refresh_token(const crypto::Sha256Digest& token,
                                                         const crypto::Sha256Digest& successor, std::int64_t now,
                                                         std::int64_t expires_at) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<RefreshOutcome> {
    auto row = sqlite::statement(db,
                                 "SELECT t.family_id, t.expires_at, t.spent_at, f.revoked_at, f.user_id "
                                 "FROM refresh_tokens t JOIN refresh_families f ON f.id = t.family_id "
                                 "WHERE t.digest = ?",
                                 ByteView(token));
    RefreshOutcome outcome;
    if (!row.executeStep()) return outcome;
    outcome.family = row.getColumn(0).getString();
    auto user = find_user(db, kById, sqlite::id_at<UserId>(row, 4));
    if (!user) return user.error();
    outcome.user = std::move(*user);
    if (sqlite::time_at(row, 3) || outcome.user->disabled) {
      outcome.kind = RefreshOutcome::Kind::kRevoked;
    } else if (sqlite::time_at(row, 2)) {
      // Whoever presents a spent token, or whoever spent it, is a thief: neither may go on.
      sqlite::run(db, "UPDATE refresh_families SET revoked_at = ? WHERE id = ?", now, outcome.family);
      outcome.kind = RefreshOutcome::Kind::kReused;
    } else if (row.getColumn(1).getInt64() <= now) {
      outcome.kind = RefreshOutcome::Kind::kExpired;
    } else {
      sqlite::run(db, "UPDATE refresh_tokens SET spent_at = ? WHERE digest = ?", now, ByteView(token));
      sqlite::run(db, "INSERT INTO refresh_tokens (digest, family_id, expires_at) VALUES (?, ?, ?)",
                  ByteView(successor), outcome.family, expires_at);
      outcome.kind = RefreshOutcome::Kind::kRotated;
    }
    return outcome;
  });
}

Result<UserId> SqliteStore::revoke_refresh_family(const crypto::Sha256Digest& token, std::int64_t now) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<UserId> {
    auto row = sqlite::statement(db,
                                 "SELECT f.id, f.user_id FROM refresh_tokens t "
                                 "JOIN refresh_families f ON f.id = t.family_id WHERE t.digest = ?",
                                 ByteView(token));
    if (!row.executeStep()) return StoreError::kNotFound;
    sqlite::run(db, "UPDATE refresh_families SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", now,
                row.getColumn(0).getString());
    return sqlite::id_at<UserId>(row, 1);
  });
}

}  // namespace higgs::boson

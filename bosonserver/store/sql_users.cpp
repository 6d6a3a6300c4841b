// Users and their refresh tokens.
#include "bosonserver/store/sql_call.h"
#include "bosonserver/store/sql_user_rows.h"

namespace higgs::boson {
namespace {

constexpr const char* kPasswordChanged = "password changed";

/// All logins and sessions; returns these.
std::vector<SessionId> end_all_of(SqlConnection& db, UserId user, const std::string& reason, std::int64_t now) {
  db.run("UPDATE refresh_families SET revoked_at = $1 WHERE user_id = $2 AND revoked_at IS NULL", now, user);
  auto ended = sql::ids_of<SessionId>(*db.query(
      "UPDATE sessions SET ended_at = $1, end_reason = $2 WHERE ended_at IS NULL AND user_id = $3 RETURNING id", now,
      reason, user));
  sql::tell(db, StoreEvent::Kind::kSessionsEnded, ended, reason);
  return ended;
}

bool is_admin(const UserRecord& user) { return user.role == api::Role::kAdmin && !user.disabled; }

/// Two admins who go at once each see that the other is there, unless one waits.
bool is_last_admin(SqlConnection& db, UserId user) {
  db.lock("admins");
  return !sql::any(db, "SELECT 1 FROM users WHERE role = 'admin' AND disabled = $1 AND id <> $2 LIMIT 1", false, user);
}

void tell_user(SqlConnection& db, UserId user) { sql::tell(db, StoreEvent::Kind::kUsersChanged, std::vector{user}); }

}  // namespace

Result<void> SqlStore::add_user(const UserRecord& user) {
  return call(SqlAccess::kStatement, [&](SqlConnection& db) -> Result<void> {
    sql::insert_user(db, user);
    return {};
  });
}

Result<UserRecord> SqlStore::user_by_name(std::string_view name) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) { return sql::find_user(db, sql::kUserByName, name); });
}

Result<UserRecord> SqlStore::user_by_id(UserId id) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) { return sql::find_user(db, sql::kUserById, id); });
}

Result<std::vector<UserRecord>> SqlStore::users(std::string_view after_name, std::size_t limit) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<std::vector<UserRecord>> {
    const auto rows = db.query(
        "SELECT id, name, password_hash, role, disabled, created_at FROM users WHERE name > $1 ORDER BY name LIMIT $2",
        after_name, std::min(limit, kMaxPage));
    std::vector<UserRecord> users;
    while (rows->next()) users.push_back(sql::user_of(*rows));
    return users;
  });
}

Result<UserChanged> SqlStore::change_user(UserId id, const UserChange& change, std::int64_t now) {
  return call(SqlAccess::kLocked, [&](SqlConnection& db) -> Result<UserChanged> {
    sql::lock_user(db, id);
    auto user = sql::find_user(db, sql::kUserById, id);
    if (!user) return user.error();
    const bool was_admin = is_admin(*user);
    if (change.password_hash) user->password_hash = *change.password_hash;
    if (change.role) user->role = *change.role;
    if (change.disabled) user->disabled = *change.disabled;
    if (was_admin && !is_admin(*user) && is_last_admin(db, id)) return StoreError::kLastAdmin;
    db.run("UPDATE users SET password_hash = $1, role = $2, disabled = $3 WHERE id = $4", user->password_hash,
           api::to_string(user->role), user->disabled, id);
    UserChanged changed{std::move(*user)};
    if (change.password_hash || change.disabled.value_or(false))
      changed.ended = end_all_of(db, id, changed.user.disabled ? "disabled" : kPasswordChanged, now);
    tell_user(db, id);
    return changed;
  });
}

Result<std::vector<SessionId>> SqlStore::change_password(UserId id, const std::string& before, const std::string& after,
                                                         bool end_logins, std::int64_t now) {
  return call(SqlAccess::kLocked, [&](SqlConnection& db) -> Result<std::vector<SessionId>> {
    sql::lock_user(db, id);
    if (db.run("UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3", after, id, before) == 0)
      return StoreError::kNotFound;
    if (!end_logins) return std::vector<SessionId>();
    auto ended = end_all_of(db, id, kPasswordChanged, now);
    tell_user(db, id);
    return ended;
  });
}

Result<std::vector<SessionId>> SqlStore::remove_user(UserId id, std::int64_t now) {
  return call(SqlAccess::kLocked, [&](SqlConnection& db) -> Result<std::vector<SessionId>> {
    sql::lock_user(db, id);
    const auto user = sql::find_user(db, sql::kUserById, id);
    if (!user) return user.error();
    if (is_admin(*user) && is_last_admin(db, id)) return StoreError::kLastAdmin;
    auto ended = end_all_of(db, id, "removed", now);
    db.run("DELETE FROM users WHERE id = $1", id);
    db.run("DELETE FROM relay_usage WHERE user_id = $1", id);
    tell_user(db, id);
    return ended;
  });
}

Result<void> SqlStore::add_refresh_family(const std::string& family, UserId user, const crypto::Sha256Digest& token,
                                          std::int64_t now, std::int64_t expires_at,
                                          const std::optional<std::string>& password_hash) {
  return call(SqlAccess::kLocked, [&](SqlConnection& db) -> Result<void> {
    sql::lock_user(db, user);
    const auto found = sql::find_user(db, sql::kUserById, user);
    if (!found) return found.error();
    if (found->disabled || (password_hash && *password_hash != found->password_hash)) return StoreError::kNotFound;
    db.run("INSERT INTO refresh_families (id, user_id, created_at) VALUES ($1, $2, $3)", family, user, now);
    db.run("INSERT INTO refresh_tokens (digest, family_id, expires_at) VALUES ($1, $2, $3)", ByteView(token), family,
           expires_at);
    return {};
  });
}

Result<RefreshOutcome> SqlStore::rotate_refresh_token(const crypto::Sha256Digest& token,
                                                      const crypto::Sha256Digest& successor, std::int64_t now,
                                                      std::int64_t expires_at) {
  return call(SqlAccess::kTransaction, [&](SqlConnection& db) -> Result<RefreshOutcome> {
    const auto row = db.query(
        "SELECT t.family_id, t.expires_at, t.spent_at, f.revoked_at, f.user_id "
        "FROM refresh_tokens t JOIN refresh_families f ON f.id = t.family_id WHERE t.digest = $1",
        ByteView(token));
    RefreshOutcome outcome;
    if (!row->next()) return outcome;
    outcome.family = row->text(0);
    auto user = sql::find_user(db, sql::kUserById, sql::id_at<UserId>(*row, 4));
    if (!user) return user.error();
    outcome.user = std::move(*user);
    if (sql::time_at(*row, 3) || outcome.user->disabled) {
      outcome.kind = RefreshOutcome::Kind::kRevoked;
    } else if (sql::time_at(*row, 2)) {
      // Whoever presents a spent token, or whoever spent it, is a thief: neither may go on.
      db.run("UPDATE refresh_families SET revoked_at = $1 WHERE id = $2", now, outcome.family);
      tell_user(db, outcome.user->id);
      outcome.kind = RefreshOutcome::Kind::kReused;
    } else if (row->integer(1) <= now) {
      outcome.kind = RefreshOutcome::Kind::kExpired;
    } else {
      db.run("UPDATE refresh_tokens SET spent_at = $1 WHERE digest = $2", now, ByteView(token));
      db.run("INSERT INTO refresh_tokens (digest, family_id, expires_at) VALUES ($1, $2, $3)", ByteView(successor),
             outcome.family, expires_at);
      outcome.kind = RefreshOutcome::Kind::kRotated;
    }
    return outcome;
  });
}

Result<UserId> SqlStore::revoke_refresh_family(const crypto::Sha256Digest& token, std::int64_t now) {
  return call(SqlAccess::kTransaction, [&](SqlConnection& db) -> Result<UserId> {
    const auto row = db.query(
        "SELECT f.id, f.user_id FROM refresh_tokens t JOIN refresh_families f ON f.id = t.family_id "
        "WHERE t.digest = $1",
        ByteView(token));
    if (!row->next()) return StoreError::kNotFound;
    const auto user = sql::id_at<UserId>(*row, 1);
    if (db.run("UPDATE refresh_families SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL", now, row->text(0)) >
        0)
      tell_user(db, user);
    return user;
  });
}

}  // namespace higgs::boson

// Users and their refresh tokens.
#include "bosonserver/store/sql_call.h"
#include "bosonserver/store/sql_user_rows.h"

namespace higgs::boson {
namespace {

void revoke_families(SqlConnection& db, UserId user, std::int64_t now) {
  db.run("UPDATE refresh_families SET revoked_at = $1 WHERE user_id = $2 AND revoked_at IS NULL", now, user);
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

Result<void> SqlStore::update_user(const UserRecord& user, bool revoke_tokens, std::int64_t now) {
  return call(SqlAccess::kTransaction, [&](SqlConnection& db) -> Result<void> {
    if (db.run("UPDATE users SET name = $1, password_hash = $2, role = $3, disabled = $4 WHERE id = $5", user.name,
               user.password_hash, api::to_string(user.role), user.disabled, user.id) == 0)
      return StoreError::kNotFound;
    if (revoke_tokens) revoke_families(db, user.id, now);
    tell_user(db, user.id);
    return {};
  });
}

Result<void> SqlStore::change_password(UserId id, const std::string& before, const std::string& after,
                                       bool revoke_tokens, std::int64_t now) {
  return call(SqlAccess::kTransaction, [&](SqlConnection& db) -> Result<void> {
    if (db.run("UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3", after, id, before) == 0)
      return StoreError::kNotFound;
    if (revoke_tokens) {
      revoke_families(db, id, now);
      tell_user(db, id);
    }
    return {};
  });
}

Result<void> SqlStore::remove_user(UserId id) {
  return call(SqlAccess::kTogether, [&](SqlConnection& db) -> Result<void> {
    if (db.run("DELETE FROM users WHERE id = $1", id) == 0) return StoreError::kNotFound;
    db.run("DELETE FROM relay_usage WHERE user_id = $1", id);
    tell_user(db, id);
    return {};
  });
}

Result<void> SqlStore::add_refresh_family(const std::string& family, UserId user, const crypto::Sha256Digest& token,
                                          std::int64_t now, std::int64_t expires_at) {
  return call(SqlAccess::kTransaction, [&](SqlConnection& db) -> Result<void> {
    if (!sql::find_user(db, sql::kUserById, user)) return StoreError::kNotFound;
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

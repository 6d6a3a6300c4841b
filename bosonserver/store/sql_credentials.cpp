// What users prove themselves with beyond their password: logins that stand, one-time codes, invites, API keys.
#include "bosonserver/store/sql_call.h"
#include "bosonserver/store/sql_user_rows.h"

namespace higgs::boson {
namespace {

/// The columns id, user_id, name, role, created_at, expires_at, last_used_at, from `first`.
ApiKeyRecord key_of(const SqlRows& row, int first) {
  ApiKeyRecord key;
  key.id = row.text(first);
  key.user = sql::id_at<UserId>(row, first + 1);
  key.name = row.text(first + 2);
  key.role = sql::sound(api::parse_role(row.text(first + 3)), "role");
  key.created_at = row.integer(first + 4);
  key.expires_at = sql::time_at(row, first + 5);
  key.last_used_at = sql::time_at(row, first + 6);
  return key;
}

/// The columns id, digest, role, created_by, created_at, expires_at, uses_left.
InviteRecord invite_of(const SqlRows& row) {
  InviteRecord invite;
  invite.id = row.text(0);
  invite.digest = sql::bytes_at<32>(row, 1);
  invite.role = sql::sound(api::parse_role(row.text(2)), "role");
  invite.created_by = row.text(3);
  invite.created_at = row.integer(4);
  invite.expires_at = row.integer(5);
  invite.uses_left = static_cast<std::uint32_t>(row.integer(6));
  return invite;
}

std::optional<InviteRecord> find_invite(SqlConnection& db, const crypto::Sha256Digest& digest, std::int64_t now) {
  const auto row = db.query(
      "SELECT id, digest, role, created_by, created_at, expires_at, uses_left FROM invites "
      "WHERE digest = $1 AND expires_at > $2 AND uses_left > 0",
      ByteView(digest), now);
  if (!row->next()) return std::nullopt;
  return invite_of(*row);
}

/// An invite is worth what its maker could still give away. The console's are worth what they say.
bool maker_stands(SqlConnection& db, const InviteRecord& invite) {
  constexpr std::string_view kUser = "user:";
  const std::string_view maker = invite.created_by;
  if (!maker.starts_with(kUser)) return true;
  const auto user = sql::find_user(db, sql::kUserByName, maker.substr(kUser.size(), maker.find(' ') - kUser.size()));
  return user && !user->disabled && user->role >= invite.role;
}

}  // namespace

Result<Caller> SqlStore::caller_by_login(UserId user, const std::string& family) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<Caller> {
    const auto row = db.query(
        "SELECT u.id, u.name, u.password_hash, u.role, u.disabled, u.created_at, f.created_at, f.revoked_at "
        "FROM users u LEFT JOIN refresh_families f ON f.user_id = u.id AND f.id = $1 WHERE u.id = $2",
        family, user);
    if (!row->next()) return StoreError::kNotFound;
    return Caller{sql::user_of(*row), !row->is_null(6) && row->is_null(7)};
  });
}

Result<KeyCaller> SqlStore::caller_by_key(const crypto::Sha256Digest& key) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<KeyCaller> {
    const auto row = db.query(
        "SELECT u.id, u.name, u.password_hash, u.role, u.disabled, u.created_at, "
        "k.id, k.user_id, k.name, k.role, k.created_at, k.expires_at, k.last_used_at "
        "FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.digest = $1",
        ByteView(key));
    if (!row->next()) return StoreError::kNotFound;
    KeyCaller caller{sql::user_of(*row), key_of(*row, 6)};
    caller.key.digest = key;
    return caller;
  });
}

Result<void> SqlStore::enrol_totp(UserId user, ByteView sealed, std::int64_t now) {
  return call(SqlAccess::kTransaction, [&](SqlConnection& db) -> Result<void> {
    if (!sql::find_user(db, sql::kUserById, user)) return StoreError::kNotFound;
    const auto written = db.run(
        "INSERT INTO totp_secrets (user_id, sealed, created_at) VALUES ($1, $2, $3) ON CONFLICT (user_id) DO UPDATE "
        "SET sealed = excluded.sealed, created_at = excluded.created_at WHERE totp_secrets.confirmed_at IS NULL",
        user, sealed, now);
    if (written == 0) return StoreError::kExists;
    return {};
  });
}

Result<TotpRecord> SqlStore::totp(UserId user) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<TotpRecord> {
    const auto row = db.query(
        "SELECT sealed, confirmed_at, last_step, "
        "(SELECT count(*) FROM recovery_codes r WHERE r.user_id = t.user_id) FROM totp_secrets t WHERE user_id = $1",
        user);
    if (!row->next()) return StoreError::kNotFound;
    return TotpRecord{row->bytes(0), !row->is_null(1), row->integer(2), static_cast<std::size_t>(row->integer(3))};
  });
}

Result<void> SqlStore::confirm_totp(UserId user, ByteView sealed, std::int64_t step,
                                    const std::vector<crypto::Sha256Digest>& recovery_codes, std::int64_t now) {
  return call(SqlAccess::kTransaction, [&](SqlConnection& db) -> Result<void> {
    if (db.run("UPDATE totp_secrets SET confirmed_at = $1, last_step = $2 "
               "WHERE user_id = $3 AND sealed = $4 AND confirmed_at IS NULL",
               now, step, user, sealed) == 0)
      return StoreError::kNotFound;
    for (const auto& code : recovery_codes)
      db.run("INSERT INTO recovery_codes (user_id, digest) VALUES ($1, $2)", user, ByteView(code));
    return {};
  });
}

Result<bool> SqlStore::spend_totp_step(UserId user, std::int64_t step) {
  return call(SqlAccess::kStatement, [&](SqlConnection& db) -> Result<bool> {
    return db.run(
               "UPDATE totp_secrets SET last_step = $1 "
               "WHERE user_id = $2 AND confirmed_at IS NOT NULL AND last_step < $1",
               step, user) == 1;
  });
}

Result<bool> SqlStore::spend_recovery_code(UserId user, const crypto::Sha256Digest& code) {
  return call(SqlAccess::kStatement, [&](SqlConnection& db) -> Result<bool> {
    return db.run("DELETE FROM recovery_codes WHERE user_id = $1 AND digest = $2", user, ByteView(code)) == 1;
  });
}

Result<void> SqlStore::remove_totp(UserId user) {
  return change(SqlAccess::kStatement, "DELETE FROM totp_secrets WHERE user_id = $1", user);
}

Result<void> SqlStore::add_invite(const InviteRecord& invite) {
  return call(SqlAccess::kStatement, [&](SqlConnection& db) -> Result<void> {
    db.run("DELETE FROM invites WHERE expires_at <= $1 OR uses_left = 0", invite.created_at);
    if (sql::count(db, "SELECT count(*) FROM invites") >= kMaxInvites) return StoreError::kFull;
    db.run(
        "INSERT INTO invites (id, digest, role, created_by, created_at, expires_at, uses_left) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7)",
        invite.id, ByteView(invite.digest), api::to_string(invite.role), invite.created_by, invite.created_at,
        invite.expires_at, invite.uses_left);
    return {};
  });
}

Result<InviteRecord> SqlStore::invite(const crypto::Sha256Digest& digest, std::int64_t now) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<InviteRecord> {
    auto found = find_invite(db, digest, now);
    if (!found) return StoreError::kNotFound;
    return std::move(*found);
  });
}

Result<std::vector<InviteRecord>> SqlStore::invites(const std::string& after_id, std::size_t limit, std::int64_t now) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<std::vector<InviteRecord>> {
    const auto rows = db.query(
        "SELECT id, digest, role, created_by, created_at, expires_at, uses_left FROM invites "
        "WHERE id > $1 AND expires_at > $2 AND uses_left > 0 ORDER BY id LIMIT $3",
        after_id, now, std::min(limit, kMaxPage));
    std::vector<InviteRecord> invites;
    while (rows->next()) invites.push_back(invite_of(*rows));
    return invites;
  });
}

Result<void> SqlStore::remove_invite(const std::string& id) {
  return change(SqlAccess::kStatement, "DELETE FROM invites WHERE id = $1", id);
}

Result<UserRecord> SqlStore::redeem_invite(const crypto::Sha256Digest& digest, const UserRecord& user,
                                           std::int64_t now) {
  return call(SqlAccess::kTransaction, [&](SqlConnection& db) -> Result<UserRecord> {
    const auto found = find_invite(db, digest, now);
    if (!found || !maker_stands(db, *found)) return StoreError::kNotFound;
    db.run("UPDATE invites SET uses_left = uses_left - 1 WHERE digest = $1", ByteView(digest));
    auto added = user;
    added.role = found->role;
    sql::insert_user(db, added);
    return added;
  });
}

Result<void> SqlStore::add_api_key(const ApiKeyRecord& key) {
  return call(SqlAccess::kTransaction, [&](SqlConnection& db) -> Result<void> {
    if (!sql::find_user(db, sql::kUserById, key.user)) return StoreError::kNotFound;
    if (sql::count(db, "SELECT count(*) FROM api_keys WHERE user_id = $1", key.user) >= kMaxApiKeys)
      return StoreError::kFull;
    db.run(
        "INSERT INTO api_keys (id, user_id, name, digest, role, created_at, expires_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7)",
        key.id, key.user, key.name, ByteView(key.digest), api::to_string(key.role), key.created_at, key.expires_at);
    return {};
  });
}

Result<std::vector<ApiKeyRecord>> SqlStore::api_keys(UserId user) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<std::vector<ApiKeyRecord>> {
    const auto rows = db.query(
        "SELECT id, user_id, name, role, created_at, expires_at, last_used_at FROM api_keys "
        "WHERE user_id = $1 ORDER BY name",
        user);
    std::vector<ApiKeyRecord> keys;
    while (rows->next()) keys.push_back(key_of(*rows, 0));
    return keys;
  });
}

Result<void> SqlStore::remove_api_key(UserId user, const std::string& id) {
  return call(SqlAccess::kTogether, [&](SqlConnection& db) -> Result<void> {
    if (db.run("DELETE FROM api_keys WHERE user_id = $1 AND id = $2", user, id) == 0) return StoreError::kNotFound;
    sql::tell(db, StoreEvent::Kind::kUsersChanged, std::vector{user});
    return {};
  });
}

Result<void> SqlStore::record_key_use(const std::string& id, std::int64_t now) {
  return change(SqlAccess::kUnflushed, "UPDATE api_keys SET last_used_at = $1 WHERE id = $2", now, id);
}

}  // namespace higgs::boson

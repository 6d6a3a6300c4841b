// What users send over the relay, and how much they may.
#include <algorithm>

#include "bosonserver/store/sql_call.h"

namespace higgs::boson {
namespace {

/// More than anybody sends: where there is no quota.
std::int64_t limit_of(std::optional<std::uint64_t> quota) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(quota.value_or(INT64_MAX), INT64_MAX));
}

}  // namespace

Result<void> SqlStore::add_relay_usage(std::int64_t period, const std::vector<RelayUsage>& usage) {
  auto sorted = usage;
  // In one order on all servers: their transactions wait for each other's rows.
  std::sort(sorted.begin(), sorted.end(), [](const RelayUsage& a, const RelayUsage& b) { return a.user < b.user; });
  return call(SqlAccess::kTogether, [&](SqlConnection& db) -> Result<void> {
    for (const auto& [user, bytes] : sorted)
      db.run(
          "INSERT INTO relay_usage (period, user_id, bytes) SELECT $1, $2, $3 WHERE EXISTS (SELECT 1 FROM users WHERE "
          "id = $2) ON CONFLICT (period, user_id) DO UPDATE SET bytes = relay_usage.bytes + excluded.bytes",
          period, user, bytes);
    return {};
  });
}

Result<RelayAccount> SqlStore::relay_account(UserId user, std::int64_t period) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<RelayAccount> {
    RelayAccount account;
    const auto used = db.query("SELECT bytes FROM relay_usage WHERE period = $1 AND user_id = $2", period, user);
    if (used->next()) account.used_bytes = static_cast<std::uint64_t>(used->integer(0));
    const auto quota = db.query("SELECT bytes FROM relay_quotas WHERE user_id = $1", user);
    if (quota->next()) account.own_quota_bytes = static_cast<std::uint64_t>(quota->integer(0));
    return account;
  });
}

Result<void> SqlStore::set_relay_quota(UserId user, std::optional<std::uint64_t> bytes) {
  return call(SqlAccess::kTransaction, [&](SqlConnection& db) -> Result<void> {
    if (!sql::any(db, "SELECT 1 FROM users WHERE id = $1", user)) return StoreError::kNotFound;
    db.run("DELETE FROM relay_quotas WHERE user_id = $1", user);
    if (bytes) db.run("INSERT INTO relay_quotas (user_id, bytes) VALUES ($1, $2)", user, limit_of(bytes));
    return {};
  });
}

Result<std::vector<UserId>> SqlStore::users_over_quota(std::int64_t period, std::optional<std::uint64_t> quota,
                                                       std::optional<UserId> after, std::size_t limit) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<std::vector<UserId>> {
    return sql::ids_of<UserId>(*db.query(
        "SELECT u.user_id FROM relay_usage u LEFT JOIN relay_quotas q ON q.user_id = u.user_id "
        "WHERE u.period = $1 AND u.bytes >= coalesce(q.bytes, $2) AND u.user_id > $3 ORDER BY u.user_id LIMIT $4",
        period, limit_of(quota), after ? to_string(*after) : std::string(), std::min(limit, kMaxPage)));
  });
}

}  // namespace higgs::boson

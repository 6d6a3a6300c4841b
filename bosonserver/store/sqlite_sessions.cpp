// Sessions and the tunnel addresses they hold.
#include "bosonserver/store/sqlite_call.h"

namespace higgs::boson {
namespace {

#define HIGGS_SESSION_COLUMNS                                                                                    \
  "id, user_id, node_id, client_id, wireguard_key, address4, address6, path, started_at, expires_at, ended_at, " \
  "end_reason, bytes_to_node, bytes_to_client"

SessionRow session_of(const SQLite::Statement& row) {
  SessionRow session;
  session.id = sqlite::id_at<SessionId>(row, 0);
  session.user = sqlite::id_at<UserId>(row, 1);
  session.node = sqlite::id_at<NodeId>(row, 2);
  session.client = sqlite::id_at<ClientId>(row, 3);
  session.wireguard_key.bytes = sqlite::bytes_at<32>(row, 4);
  session.address4 = sqlite::address_at(row, 5);
  if (!row.isColumnNull(6)) session.address6 = sqlite::address_at(row, 6);
  session.path = row.getColumn(7).getString();
  session.started_at = row.getColumn(8).getInt64();
  session.expires_at = row.getColumn(9).getInt64();
  session.ended_at = sqlite::time_at(row, 10);
  session.end_reason = row.getColumn(11).getString();
  session.bytes_to_node = static_cast<std::uint64_t>(row.getColumn(12).getInt64());
  session.bytes_to_client = static_cast<std::uint64_t>(row.getColumn(13).getInt64());
  return session;
}

template <class... Values>
bool any(SQLite::Database& db, const char* sql, const Values&... values) {
  auto row = sqlite::statement(db, sql, values...);
  return row.executeStep();
}

template <class... Values>
std::size_t count(SQLite::Database& db, const char* sql, const Values&... values) {
  auto row = sqlite::statement(db, sql, values...);
  row.executeStep();
  return static_cast<std::size_t>(row.getColumn(0).getInt64());
}

}  // namespace

Result<void> SqliteStore::add_session(const SessionRow& session) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    if (any(db, "SELECT 1 FROM sessions WHERE wireguard_key = ?", ByteView(session.wireguard_key.bytes)))
      return StoreError::kKeyTaken;
    if (any(db, "SELECT 1 FROM sessions WHERE node_id = ? AND ended_at IS NULL AND (address4 = ? OR address6 = ?)",
            session.node, session.address4, session.address6))
      return StoreError::kExists;
    sqlite::run(db,
                "INSERT INTO sessions (id, user_id, node_id, client_id, wireguard_key, address4, address6, path, "
                "started_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                session.id, session.user, session.node, session.client, ByteView(session.wireguard_key.bytes),
                session.address4, session.address6, session.path, session.started_at, session.expires_at);
    return {};
  });
}

Result<SessionRow> SqliteStore::session(SessionId id) {
  return call(Kind::kRead, [&](SQLite::Database& db) -> Result<SessionRow> {
    auto row = sqlite::statement(db, "SELECT " HIGGS_SESSION_COLUMNS " FROM sessions WHERE id = ?", id);
    if (!row.executeStep()) return StoreError::kNotFound;
    return session_of(row);
  });
}

Result<std::vector<IpAddress>> SqliteStore::addresses_in_use(NodeId node) {
  return call(Kind::kRead, [&](SQLite::Database& db) -> Result<std::vector<IpAddress>> {
    auto rows =
        sqlite::statement(db, "SELECT address4, address6 FROM sessions WHERE node_id = ? AND ended_at IS NULL", node);
    std::vector<IpAddress> addresses;
    while (rows.executeStep()) {
      addresses.push_back(sqlite::address_at(rows, 0));
      if (!rows.isColumnNull(1)) addresses.push_back(sqlite::address_at(rows, 1));
    }
    return addresses;
  });
}

Result<std::size_t> SqliteStore::live_sessions_of_user(UserId user) {
  return call(Kind::kRead, [&](SQLite::Database& db) -> Result<std::size_t> {
    return count(db, "SELECT count(*) FROM sessions WHERE user_id = ? AND ended_at IS NULL", user);
  });
}

Result<std::size_t> SqliteStore::live_sessions() {
  return call(Kind::kRead, [&](SQLite::Database& db) -> Result<std::size_t> {
    return count(db, "SELECT count(*) FROM sessions WHERE ended_at IS NULL");
  });
}

Result<void> SqliteStore::renew_session(SessionId id, std::int64_t expires_at) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    if (sqlite::run(db, "UPDATE sessions SET expires_at = ? WHERE id = ? AND ended_at IS NULL", expires_at, id) == 0)
      return StoreError::kNotFound;
    return {};
  });
}

Result<bool> SqliteStore::end_session(SessionId id, const std::string& reason, std::int64_t now) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<bool> {
    return sqlite::run(db, "UPDATE sessions SET ended_at = ?, end_reason = ? WHERE id = ? AND ended_at IS NULL", now,
                       reason, id) == 1;
  });
}

Result<void> SqliteStore::set_session_path(SessionId id, const std::string& path) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    if (sqlite::run(db, "UPDATE sessions SET path = ? WHERE id = ?", path, id) == 0) return StoreError::kNotFound;
    return {};
  });
}

Result<void> SqliteStore::add_session_bytes(SessionId id, std::uint64_t to_node, std::uint64_t to_client) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    if (sqlite::run(db,
                    "UPDATE sessions SET bytes_to_node = bytes_to_node + ?, "
                    "bytes_to_client = bytes_to_client + ? WHERE id = ?",
                    to_node, to_client, id) == 0)
      return StoreError::kNotFound;
    return {};
  });
}

Result<std::vector<SessionRow>> SqliteStore::sessions(std::optional<SessionId> before, std::size_t limit) {
  return call(Kind::kRead, [&](SQLite::Database& db) -> Result<std::vector<SessionRow>> {
    std::int64_t at = INT64_MAX;
    std::string id = "~";  // behind every id
    if (before) {
      auto row = sqlite::statement(db, "SELECT started_at FROM sessions WHERE id = ?", *before);
      if (!row.executeStep()) return StoreError::kNotFound;
      at = row.getColumn(0).getInt64();
      id = to_string(*before);
    }
    auto rows = sqlite::statement(db,
                                  "SELECT " HIGGS_SESSION_COLUMNS
                                  " FROM sessions WHERE (started_at, id) < (?, ?) "
                                  "ORDER BY started_at DESC, id DESC LIMIT ?",
                                  at, id, std::min(limit, kMaxPage));
    std::vector<SessionRow> sessions;
    while (rows.executeStep()) sessions.push_back(session_of(rows));
    return sessions;
  });
}

Result<std::vector<SessionId>> SqliteStore::end_where(const char* condition, const std::string& value,
                                                      const std::string& reason, std::int64_t now) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<std::vector<SessionId>> {
    const std::string sql = "UPDATE sessions SET ended_at = ?, end_reason = ? WHERE ended_at IS NULL AND " +
                            std::string(condition) + " RETURNING id";
    auto rows = sqlite::statement(db, sql.c_str(), now, reason, value);
    std::vector<SessionId> ended;
    while (rows.executeStep()) ended.push_back(sqlite::id_at<SessionId>(rows, 0));
    return ended;
  });
}

Result<std::vector<SessionId>> SqliteStore::end_expired_sessions(std::int64_t now) {
  return end_where("expires_at <= CAST(? AS INTEGER)", std::to_string(now), "expired", now);
}

Result<std::vector<SessionId>> SqliteStore::end_sessions_of_node(NodeId node, const std::string& reason,
                                                                 std::int64_t now) {
  return end_where("node_id = ?", to_string(node), reason, now);
}

Result<std::vector<SessionId>> SqliteStore::end_sessions_of_user(UserId user, const std::string& reason,
                                                                 std::int64_t now) {
  return end_where("user_id = ?", to_string(user), reason, now);
}

}  // namespace higgs::boson

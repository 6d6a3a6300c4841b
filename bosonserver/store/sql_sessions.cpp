// Sessions and the tunnel addresses they hold.
#include "bosonserver/store/sql_call.h"
#include "bosonserver/store/sql_user_rows.h"

namespace higgs::boson {
namespace {

#define HIGGS_SESSION_COLUMNS                                                                                    \
  "id, user_id, node_id, client_id, wireguard_key, address4, address6, path, started_at, expires_at, ended_at, " \
  "end_reason, bytes_to_node, bytes_to_client"

constexpr const char* kLiveOfUser = "SELECT count(*) FROM sessions WHERE user_id = $1 AND ended_at IS NULL";
constexpr const char* kLiveOfNode = "SELECT count(*) FROM sessions WHERE node_id = $1 AND ended_at IS NULL";

SessionRow session_of(const SqlRows& row) {
  SessionRow session;
  session.id = sql::id_at<SessionId>(row, 0);
  session.user = sql::id_at<UserId>(row, 1);
  session.node = sql::id_at<NodeId>(row, 2);
  session.client = sql::id_at<ClientId>(row, 3);
  session.wireguard_key.bytes = sql::bytes_at<32>(row, 4);
  session.address4 = sql::address_at(row, 5);
  if (!row.is_null(6)) session.address6 = sql::address_at(row, 6);
  session.path = row.text(7);
  session.started_at = row.integer(8);
  session.expires_at = row.integer(9);
  session.ended_at = sql::time_at(row, 10);
  session.end_reason = row.text(11);
  session.bytes_to_node = static_cast<std::uint64_t>(row.integer(12));
  session.bytes_to_client = static_cast<std::uint64_t>(row.integer(13));
  return session;
}

}  // namespace

Result<void> SqlStore::add_session(const SessionRow& session, const SessionTerms& terms) {
  return call(SqlAccess::kLocked, [&](SqlConnection& db) -> Result<void> {
    // Whoever ends all of the user's, or bans the node, comes before this one and is seen, or after it and sees it.
    sql::lock_user(db, session.user);
    sql::lock_node(db, session.node);
    if (!sql::any(db, "SELECT 1 FROM users WHERE id = $1 AND disabled = $2", session.user, false))
      return StoreError::kNotFound;
    if (terms.login &&
        !sql::any(db, "SELECT 1 FROM refresh_families WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL",
                  *terms.login, session.user))
      return StoreError::kNotFound;
    if (!sql::any(db, "SELECT 1 FROM nodes WHERE id = $1 AND admission = 'approved'", session.node))
      return StoreError::kNotAdmitted;
    if (sql::count(db, kLiveOfUser, session.user) >= terms.of_user) return StoreError::kTooMany;
    if (sql::count(db, kLiveOfNode, session.node) >= terms.of_node) return StoreError::kFull;
    // The indexes decide, so that two at once cannot both find the place free.
    if (db.run("INSERT INTO sessions (id, user_id, node_id, client_id, wireguard_key, address4, address6, path, "
               "started_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
               session.id, session.user, session.node, session.client, ByteView(session.wireguard_key.bytes),
               session.address4, session.address6, session.path, session.started_at, session.expires_at) == 1)
      return {};
    if (sql::any(db, "SELECT 1 FROM sessions WHERE wireguard_key = $1", ByteView(session.wireguard_key.bytes)))
      return StoreError::kKeyTaken;
    return StoreError::kExists;
  });
}

Result<SessionRow> SqlStore::session(SessionId id) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<SessionRow> {
    const auto row = db.query("SELECT " HIGGS_SESSION_COLUMNS " FROM sessions WHERE id = $1", id);
    if (!row->next()) return StoreError::kNotFound;
    return session_of(*row);
  });
}

Result<std::vector<IpAddress>> SqlStore::addresses_in_use(NodeId node) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<std::vector<IpAddress>> {
    const auto rows = db.query("SELECT address4, address6 FROM sessions WHERE node_id = $1 AND ended_at IS NULL", node);
    std::vector<IpAddress> addresses;
    while (rows->next()) {
      addresses.push_back(sql::address_at(*rows, 0));
      if (!rows->is_null(1)) addresses.push_back(sql::address_at(*rows, 1));
    }
    return addresses;
  });
}

Result<std::size_t> SqlStore::live_sessions_of_user(UserId user) {
  return call(SqlAccess::kRead,
              [&](SqlConnection& db) -> Result<std::size_t> { return sql::count(db, kLiveOfUser, user); });
}

Result<std::size_t> SqlStore::live_sessions() {
  return call(SqlAccess::kReadOld, [&](SqlConnection& db) -> Result<std::size_t> {
    return sql::count(db, "SELECT count(*) FROM sessions WHERE ended_at IS NULL");
  });
}

Result<void> SqlStore::renew_session(SessionId id, std::int64_t expires_at) {
  return change(SqlAccess::kStatement,
                "UPDATE sessions SET expires_at = CASE WHEN expires_at > $1 THEN expires_at ELSE $1 END "
                "WHERE id = $2 AND ended_at IS NULL",
                expires_at, id);
}

Result<bool> SqlStore::end_session(SessionId id, const std::string& reason, std::int64_t now) {
  return call(SqlAccess::kTogether, [&](SqlConnection& db) -> Result<bool> {
    if (db.run("UPDATE sessions SET ended_at = $1, end_reason = $2 WHERE id = $3 AND ended_at IS NULL", now, reason,
               id) == 0)
      return false;
    sql::tell(db, StoreEvent::Kind::kSessionsEnded, std::vector{id}, reason);
    return true;
  });
}

Result<void> SqlStore::set_session_path(SessionId id, const std::string& path) {
  return change(SqlAccess::kUnflushed, "UPDATE sessions SET path = $1 WHERE id = $2", path, id);
}

Result<void> SqlStore::add_session_bytes(SessionId id, std::uint64_t to_node, std::uint64_t to_client) {
  return change(SqlAccess::kStatement,
                "UPDATE sessions SET bytes_to_node = bytes_to_node + $1, bytes_to_client = bytes_to_client + $2 "
                "WHERE id = $3",
                to_node, to_client, id);
}

Result<std::vector<SessionRow>> SqlStore::sessions(std::optional<SessionId> before, std::size_t limit) {
  return call(SqlAccess::kReadOld, [&](SqlConnection& db) -> Result<std::vector<SessionRow>> {
    std::int64_t at = INT64_MAX;
    std::string id = "~";  // behind every id
    if (before) {
      const auto row = db.query("SELECT started_at FROM sessions WHERE id = $1", *before);
      if (!row->next()) return StoreError::kNotFound;
      at = row->integer(0);
      id = to_string(*before);
    }
    const auto rows = db.query("SELECT " HIGGS_SESSION_COLUMNS
                               " FROM sessions WHERE (started_at, id) < ($1, $2) "
                               "ORDER BY started_at DESC, id DESC LIMIT $3",
                               at, id, std::min(limit, kMaxPage));
    std::vector<SessionRow> sessions;
    while (rows->next()) sessions.push_back(session_of(*rows));
    return sessions;
  });
}

Result<std::vector<SessionId>> SqlStore::sessions_ended_since(std::int64_t since, std::optional<SessionId> after,
                                                              std::size_t limit) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<std::vector<SessionId>> {
    return sql::ids_of<SessionId>(
        *db.query("SELECT id FROM sessions WHERE ended_at >= $1 AND id > $2 ORDER BY id LIMIT $3", since,
                  after ? to_string(*after) : std::string(), std::min(limit, kMaxPage)));
  });
}

template <class... Values>
Result<std::vector<SessionId>> SqlStore::end_sessions(const std::string& reason, std::string_view statement,
                                                      const Values&... values) {
  return call(SqlAccess::kTogether, [&](SqlConnection& db) -> Result<std::vector<SessionId>> {
    auto ended = sql::ids_of<SessionId>(*db.query(statement, values...));
    sql::tell(db, StoreEvent::Kind::kSessionsEnded, ended, reason);
    return ended;
  });
}

Result<std::vector<SessionId>> SqlStore::end_expired_sessions(std::int64_t now) {
  return end_sessions("expired",
                      "UPDATE sessions SET ended_at = $1, end_reason = 'expired' WHERE ended_at IS NULL AND id IN "
                      "(SELECT id FROM sessions WHERE ended_at IS NULL AND expires_at <= $1 LIMIT $2) RETURNING id",
                      now, kMaxPage);
}

Result<std::vector<SessionId>> SqlStore::end_sessions_of_node(NodeId node, const std::string& reason,
                                                              std::int64_t now) {
  return end_sessions(
      reason, "UPDATE sessions SET ended_at = $1, end_reason = $2 WHERE ended_at IS NULL AND node_id = $3 RETURNING id",
      now, reason, node);
}

}  // namespace higgs::boson

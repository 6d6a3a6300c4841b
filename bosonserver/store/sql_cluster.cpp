// The servers of the cluster, and at which of them each node's relay link stands.
#include "bosonserver/store/sql_call.h"

namespace higgs::boson {

Result<void> SqlStore::set_node_server(NodeId id, ServerId server) {
  return call(SqlAccess::kTogether, [&](SqlConnection& db) -> Result<void> {
    if (db.run("UPDATE nodes SET server_id = $1 WHERE id = $2", server, id) == 0) return StoreError::kNotFound;
    sql::tell(db, StoreEvent::Kind::kNodesMoved, std::vector{id});
    return {};
  });
}

Result<void> SqlStore::clear_node_server(NodeId id, ServerId server) {
  return call(SqlAccess::kTogether, [&](SqlConnection& db) -> Result<void> {
    if (db.run("UPDATE nodes SET server_id = NULL WHERE id = $1 AND server_id = $2", id, server) > 0)
      sql::tell(db, StoreEvent::Kind::kNodesMoved, std::vector{id});
    return {};
  });
}

Result<void> SqlStore::clear_nodes_of_server(ServerId server) {
  return call(SqlAccess::kTogether, [&](SqlConnection& db) -> Result<void> {
    const auto cleared =
        sql::ids_of<NodeId>(*db.query("UPDATE nodes SET server_id = NULL WHERE server_id = $1 RETURNING id", server));
    sql::tell(db, StoreEvent::Kind::kNodesMoved, cleared);
    return {};
  });
}

Result<void> SqlStore::record_server(ServerId id, const std::string& entry_json, std::int64_t now) {
  return call(SqlAccess::kUnflushed, [&](SqlConnection& db) -> Result<void> {
    db.run(
        "INSERT INTO servers (id, entry, last_seen) VALUES ($1, $2, $3) "
        "ON CONFLICT (id) DO UPDATE SET entry = excluded.entry, last_seen = excluded.last_seen",
        id, entry_json, now);
    return {};
  });
}

Result<std::vector<ServerRecord>> SqlStore::servers(std::int64_t since) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<std::vector<ServerRecord>> {
    const auto rows =
        db.query("SELECT entry, last_seen FROM servers WHERE last_seen > $1 ORDER BY last_seen DESC, id LIMIT $2",
                 since, kMaxPage);
    std::vector<ServerRecord> servers;
    while (rows->next()) servers.push_back({rows->text(0), rows->integer(1)});
    return servers;
  });
}

Result<void> SqlStore::remove_server(ServerId id) {
  return call(SqlAccess::kStatement, [&](SqlConnection& db) -> Result<void> {
    db.run("DELETE FROM servers WHERE id = $1", id);
    return {};
  });
}

}  // namespace higgs::boson

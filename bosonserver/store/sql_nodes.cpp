// Nodes, their actions and their metrics.
#include <array>

#include "bosonserver/store/sql_call.h"

namespace higgs::boson {
namespace {

#define HIGGS_NODE_COLUMNS                                                                               \
  "id, identity_key, wireguard_key, key_certificate, admission, status, tunnel_prefixes, network_info, " \
  "capabilities, metrics, location, heartbeat_interval, address, registered_at, last_seen"
#define HIGGS_NODE_SELECT "SELECT " HIGGS_NODE_COLUMNS ", server_id FROM nodes "

#define HIGGS_HEARTBEAT                                                       \
  "UPDATE nodes SET status = $1, metrics = $2, address = $3, last_seen = $4 " \
  "WHERE id = $5 AND admission <> 'banned' AND last_seen <= $4"
#define HIGGS_HEARTBEAT_OUTCOME                \
  " RETURNING admission, heartbeat_interval, " \
  "(SELECT count(*) FROM node_actions WHERE node_id = $5 AND done_at IS NULL)"

/// Ids that are asked for in one statement.
constexpr std::size_t kIdBatch = 64;

/// "($1, $2), ($3, $4), …", or for one column "$1, $2, …".
std::string places(std::size_t rows, std::size_t columns) {
  std::string text;
  for (std::size_t i = 0; i < rows * columns; ++i) {
    const bool first = i % columns == 0, last = i % columns == columns - 1;
    text += (i == 0 ? "" : ", ") + std::string(first && columns > 1 ? "(" : "") + "$" + std::to_string(i + 1) +
            (last && columns > 1 ? ")" : "");
  }
  return text;
}

constexpr std::size_t kHeartbeatColumns = 5;
/// Both databases call the columns of VALUES so. Rows of nulls, which fill it up, are nobody's.
std::string record_heartbeats_where(const std::string& status) {
  return "UPDATE nodes SET status = said.column2, metrics = said.column3, address = said.column4, "
         "last_seen = CAST(said.column5 AS BIGINT) FROM (VALUES " +
         places(kHeartbeatBatch, kHeartbeatColumns) + ") AS said WHERE nodes.id = said.column1 AND nodes.status " +
         status +
         " said.column2 AND nodes.admission <> 'banned' AND nodes.last_seen <= CAST(said.column5 AS BIGINT) "
         "RETURNING id, (SELECT count(*) FROM node_actions WHERE node_id = nodes.id AND done_at IS NULL)";
}
const std::string kRecordUsualHeartbeats = record_heartbeats_where("=");
const std::string kRecordReturns = record_heartbeats_where("<>");
const std::string kNodesById = HIGGS_NODE_SELECT "WHERE id IN (" + places(kIdBatch, 1) + ")";

constexpr std::array<std::string_view, 3> kAdmissions{"approved", "pending", "banned"};
std::string_view name_of(NodeAdmission admission) { return kAdmissions[static_cast<std::size_t>(admission)]; }

NodeAdmission admission_of(const std::string& name) {
  const auto* const found = std::find(kAdmissions.begin(), kAdmissions.end(), name);
  if (found == kAdmissions.end()) throw SqlError(SqlError::Kind::kDamaged, "damaged record: admission");
  return static_cast<NodeAdmission>(found - kAdmissions.begin());
}

std::string joined(const std::vector<IpPrefix>& prefixes) {
  std::string text;
  for (const auto& prefix : prefixes) text += (text.empty() ? "" : ",") + prefix.to_string();
  return text;
}

std::vector<IpPrefix> split(const std::string& text) {
  std::vector<IpPrefix> prefixes;
  for (std::size_t from = 0; from < text.size();) {
    const auto to = std::min(text.find(',', from), text.size());
    prefixes.push_back(sql::sound(IpPrefix::parse(std::string_view(text).substr(from, to - from)), "prefix"));
    from = to + 1;
  }
  return prefixes;
}

NodeRecord node_of(const SqlRows& row) {
  NodeRecord node;
  node.id = sql::id_at<NodeId>(row, 0);
  node.identity_key.bytes = sql::bytes_at<32>(row, 1);
  node.wireguard_key.bytes = sql::bytes_at<32>(row, 2);
  node.key_certificate = sql::json_at<api::KeyCertificate>(row, 3);
  node.admission = admission_of(row.text(4));
  node.status = sql::sound(api::parse_node_status(row.text(5)), "status");
  node.tunnel_prefixes = split(row.text(6));
  node.network_info = sql::json_at<api::NetworkInfo>(row, 7);
  node.capabilities = sql::json_at<api::Capabilities>(row, 8);
  node.metrics = sql::json_at<api::HeartbeatMetrics>(row, 9);
  if (!row.is_null(10)) node.location = sql::json_at<api::Location>(row, 10);
  node.heartbeat_interval = static_cast<std::uint32_t>(row.integer(11));
  node.address = sql::address_at(row, 12);
  node.registered_at = row.integer(13);
  node.last_seen = row.integer(14);
  if (!row.is_null(15)) node.server = sql::id_at<ServerId>(row, 15);
  return node;
}

std::vector<NodeRecord> nodes_of(SqlRows& rows) {
  std::vector<NodeRecord> nodes;
  while (rows.next()) nodes.push_back(node_of(rows));
  return nodes;
}

Result<NodeRecord> find_node(SqlConnection& db, NodeId id) {
  const auto row = db.query(HIGGS_NODE_SELECT "WHERE id = $1", id);
  if (!row->next()) return StoreError::kNotFound;
  return node_of(*row);
}

/// Why this record may not take its place, if so.
std::optional<StoreError> conflict_of(SqlConnection& db, const NodeRecord& node,
                                      const std::optional<NodeRecord>& earlier) {
  if (earlier) {
    if (earlier->identity_key != node.identity_key) return StoreError::kIdentityTaken;
    const auto known = earlier->key_certificate.sequence;
    if (node.key_certificate.sequence < known) return StoreError::kStaleSequence;
    if (node.key_certificate.sequence == known &&
        api::signed_bytes(node.key_certificate) != api::signed_bytes(earlier->key_certificate))
      return StoreError::kStaleSequence;
  }
  if (sql::any(db, "SELECT 1 FROM nodes WHERE wireguard_key = $1 AND id <> $2", ByteView(node.wireguard_key.bytes),
               node.id))
    return StoreError::kKeyTaken;
  return std::nullopt;
}

void write_node(SqlConnection& db, const NodeRecord& node) {
  const auto location = node.location ? std::optional<std::string>(api::encode(*node.location)) : std::nullopt;
  db.run("INSERT INTO nodes (" HIGGS_NODE_COLUMNS
         ", certificate_sequence) "
         "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT (id) DO UPDATE "
         "SET wireguard_key = excluded.wireguard_key, key_certificate = excluded.key_certificate, "
         "certificate_sequence = excluded.certificate_sequence, status = excluded.status, "
         "tunnel_prefixes = excluded.tunnel_prefixes, network_info = excluded.network_info, "
         "capabilities = excluded.capabilities, metrics = excluded.metrics, location = excluded.location, "
         "heartbeat_interval = excluded.heartbeat_interval, address = excluded.address, "
         "last_seen = excluded.last_seen",
         node.id, ByteView(node.identity_key.bytes), ByteView(node.wireguard_key.bytes),
         api::encode(node.key_certificate), name_of(node.admission), api::to_string(node.status),
         joined(node.tunnel_prefixes), api::encode(node.network_info), api::encode(node.capabilities),
         api::encode(node.metrics), location, node.heartbeat_interval, node.address, node.registered_at, node.last_seen,
         node.key_certificate.sequence);
}

}  // namespace

Result<NodeRecord> SqlStore::register_node(const NodeRecord& node) {
  return call(SqlAccess::kTransaction, [&](SqlConnection& db) -> Result<NodeRecord> {
    const auto found = find_node(db, node.id);
    const auto earlier = found ? std::optional<NodeRecord>(*found) : std::nullopt;
    if (const auto conflict = conflict_of(db, node, earlier)) return *conflict;
    const auto standing = [&] { return sql::count(db, "SELECT count(*) FROM nodes"); };
    if (!earlier && nodes_.full(standing)) return StoreError::kFull;
    NodeRecord stored = node;
    if (earlier) {
      stored.admission = earlier->admission;
      stored.registered_at = earlier->registered_at;
      stored.server = earlier->server;
    }
    write_node(db, stored);
    sql::tell(db, StoreEvent::Kind::kNodesChanged, std::vector{node.id});
    return stored;
  });
}

Result<NodeRecord> SqlStore::node(NodeId id) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) { return find_node(db, id); });
}

Result<std::vector<NodeRecord>> SqlStore::nodes(std::optional<NodeId> after, std::size_t limit) {
  return call(SqlAccess::kReadOld, [&](SqlConnection& db) -> Result<std::vector<NodeRecord>> {
    return nodes_of(*db.query(HIGGS_NODE_SELECT "WHERE id > $1 ORDER BY id LIMIT $2",
                              after ? to_string(*after) : std::string(), std::min(limit, kMaxPage)));
  });
}

Result<HeartbeatOutcome> SqlStore::record_heartbeat(NodeId id, api::NodeStatus status,
                                                    const api::HeartbeatMetrics& metrics, const IpAddress& address,
                                                    std::int64_t now) {
  const auto update = [&](SqlConnection& db, const char* statement, bool changed) -> Result<HeartbeatOutcome> {
    const auto row = db.query(statement, api::to_string(status), api::encode(metrics), address, now, id);
    if (!row->next()) return StoreError::kNotFound;
    return HeartbeatOutcome{admission_of(row->text(0)), static_cast<std::uint32_t>(row->integer(1)), changed,
                            row->integer(2) > 0};
  };
  const auto usual = call(SqlAccess::kUnflushed, [&](SqlConnection& db) {
    return update(db, HIGGS_HEARTBEAT " AND status = $1" HIGGS_HEARTBEAT_OUTCOME, false);
  });
  if (usual || usual.error() != StoreError::kNotFound) return usual;
  return call(SqlAccess::kTogether, [&](SqlConnection& db) -> Result<HeartbeatOutcome> {
    const auto other = update(db, HIGGS_HEARTBEAT HIGGS_HEARTBEAT_OUTCOME, true);
    if (other) {
      sql::tell(db, StoreEvent::Kind::kNodesMoved, std::vector{id});
      return other;
    }
    const auto node = find_node(db, id);
    if (!node) return node.error();
    return HeartbeatOutcome{node->admission, node->heartbeat_interval, false, false};
  });
}

Result<HeartbeatsOutcome> SqlStore::record_heartbeats(const std::vector<HeartbeatRecord>& heartbeats) {
  HeartbeatsOutcome outcome;
  for (std::size_t from = 0; from < heartbeats.size(); from += kHeartbeatBatch) {
    const auto to = std::min(heartbeats.size(), from + kHeartbeatBatch);
    std::vector<SqlValue> values;
    values.reserve(kHeartbeatBatch * kHeartbeatColumns);
    for (std::size_t i = from; i < to; ++i) {
      const auto& said = heartbeats[i];
      values.insert(values.end(), {said.node, api::to_string(said.status), api::encode(said.metrics), said.address,
                                   std::to_string(said.time)});
    }
    values.resize(kHeartbeatBatch * kHeartbeatColumns, SqlValue(std::optional<std::string>()));
    std::size_t written = 0;
    const auto record = [&](SqlConnection& db, const std::string& statement) {
      std::vector<NodeId> nodes;
      const auto rows = db.query_with(statement, values);
      while (rows->next()) {
        nodes.push_back(sql::id_at<NodeId>(*rows, 0));
        if (rows->integer(1) == 0) outcome.settled.push_back(nodes.back());
      }
      written += nodes.size();
      return nodes;
    };
    const auto usual = call(SqlAccess::kUnflushed, [&](SqlConnection& db) -> Result<void> {
      record(db, kRecordUsualHeartbeats);
      return {};
    });
    if (!usual) return usual.error();
    if (written == to - from) continue;
    const auto returned = call(SqlAccess::kTogether, [&](SqlConnection& db) -> Result<void> {
      const auto nodes = record(db, kRecordReturns);
      sql::tell(db, StoreEvent::Kind::kNodesMoved, nodes);
      outcome.moved.insert(outcome.moved.end(), nodes.begin(), nodes.end());
      return {};
    });
    if (!returned) return returned.error();
  }
  return outcome;
}

Result<std::vector<NodeRecord>> SqlStore::nodes_by_id(const std::vector<NodeId>& ids) {
  std::vector<NodeRecord> nodes;
  for (std::size_t from = 0; from < ids.size(); from += kIdBatch) {
    std::vector<SqlValue> values(ids.begin() + static_cast<std::ptrdiff_t>(from),
                                 ids.begin() + static_cast<std::ptrdiff_t>(std::min(ids.size(), from + kIdBatch)));
    values.resize(kIdBatch, SqlValue(std::optional<std::string>()));
    const auto read = call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<void> {
      const auto rows = db.query_with(kNodesById, values);
      while (rows->next()) nodes.push_back(node_of(*rows));
      return {};
    });
    if (!read) return read.error();
  }
  return nodes;
}

Result<std::vector<HeartbeatRecord>> SqlStore::heard_since(std::int64_t since, std::optional<NodeId> after,
                                                           std::size_t limit) {
  return call(SqlAccess::kReadOld, [&](SqlConnection& db) -> Result<std::vector<HeartbeatRecord>> {
    const auto rows = db.query(
        "SELECT id, status, metrics, address, last_seen FROM nodes WHERE last_seen >= $1 AND id > $2 ORDER BY id "
        "LIMIT $3",
        since, after ? to_string(*after) : std::string(), std::min(limit, kMaxPage));
    std::vector<HeartbeatRecord> heard;
    while (rows->next())
      heard.push_back({sql::id_at<NodeId>(*rows, 0), sql::sound(api::parse_node_status(rows->text(1)), "status"),
                       sql::json_at<api::HeartbeatMetrics>(*rows, 2), sql::address_at(*rows, 3), rows->integer(4)});
    return heard;
  });
}

Result<std::size_t> SqlStore::purge_nodes(std::int64_t cutoff) {
  return call(SqlAccess::kTogether, [&](SqlConnection& db) -> Result<std::size_t> {
    const auto gone = sql::ids_of<NodeId>(
        *db.query("DELETE FROM nodes WHERE id IN (SELECT id FROM nodes WHERE last_seen <= $1 AND admission <> 'banned' "
                  "LIMIT $2) RETURNING id",
                  cutoff, kPurgeBatch));
    sql::tell(db, StoreEvent::Kind::kNodesChanged, gone);
    return gone.size();
  });
}

Result<std::vector<NodeRecord>> SqlStore::silent_nodes(std::int64_t now, std::int64_t missed, std::size_t limit) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<std::vector<NodeRecord>> {
    return nodes_of(*db.query(HIGGS_NODE_SELECT
                              "WHERE status <> 'offline' AND admission = 'approved' "
                              "AND last_seen + heartbeat_interval * $1 < $2 ORDER BY last_seen LIMIT $3",
                              missed, now, std::min(limit, kMaxPage)));
  });
}

Result<bool> SqlStore::set_node_offline(NodeId id, std::int64_t last_seen) {
  return call(SqlAccess::kTogether, [&](SqlConnection& db) -> Result<bool> {
    if (db.run("UPDATE nodes SET status = 'offline' WHERE id = $1 AND last_seen <= $2 AND status <> 'offline'", id,
               last_seen) == 0)
      return false;
    sql::tell(db, StoreEvent::Kind::kNodesMoved, std::vector{id});
    return true;
  });
}

Result<void> SqlStore::set_node_admission(NodeId id, NodeAdmission admission) {
  return call(SqlAccess::kLocked, [&](SqlConnection& db) -> Result<void> {
    sql::lock_node(db, id);
    if (db.run("UPDATE nodes SET admission = $1 WHERE id = $2", name_of(admission), id) == 0)
      return StoreError::kNotFound;
    const bool banned = admission == NodeAdmission::kBanned;
    sql::tell(db, banned ? StoreEvent::Kind::kNodesBanned : StoreEvent::Kind::kNodesChanged, std::vector{id});
    return {};
  });
}

Result<std::map<api::NodeStatus, std::size_t>> SqlStore::nodes_by_status() {
  return call(SqlAccess::kReadOld, [&](SqlConnection& db) -> Result<std::map<api::NodeStatus, std::size_t>> {
    std::map<api::NodeStatus, std::size_t> counts;
    const auto rows = db.query("SELECT admission, status, count(*) FROM nodes GROUP BY admission, status");
    while (rows->next()) {
      NodeRecord node;
      node.admission = admission_of(rows->text(0));
      node.status = sql::sound(api::parse_node_status(rows->text(1)), "status");
      counts[node.shown_status()] += static_cast<std::size_t>(rows->integer(2));
    }
    return counts;
  });
}

Result<std::vector<NodeId>> SqlStore::banned_nodes(std::optional<NodeId> after, std::size_t limit) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<std::vector<NodeId>> {
    return sql::ids_of<NodeId>(
        *db.query("SELECT id FROM nodes WHERE admission = 'banned' AND id > $1 ORDER BY id LIMIT $2",
                  after ? to_string(*after) : std::string(), std::min(limit, kMaxPage)));
  });
}

Result<void> SqlStore::add_action(const ActionRecord& action) {
  return call(SqlAccess::kTransaction, [&](SqlConnection& db) -> Result<void> {
    if (!sql::any(db, "SELECT 1 FROM nodes WHERE id = $1", action.node)) return StoreError::kNotFound;
    if (sql::count(db, "SELECT count(*) FROM node_actions WHERE node_id = $1 AND done_at IS NULL", action.node) >=
        kMaxPendingActions)
      return StoreError::kFull;
    db.run(
        "INSERT INTO node_actions (id, node_id, type, payload, created_at, queued) VALUES ($1, $2, $3, $4, $5, "
        "(SELECT coalesce(max(queued), 0) + 1 FROM node_actions WHERE node_id = $2))",
        action.id, action.node, api::to_string(action.type), action.payload, action.created_at);
    sql::tell(db, StoreEvent::Kind::kNodesChanged, std::vector{action.node});
    return {};
  });
}

Result<std::vector<ActionRecord>> SqlStore::pending_actions(NodeId node) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<std::vector<ActionRecord>> {
    const auto rows = db.query(
        "SELECT id, type, payload, created_at FROM node_actions WHERE node_id = $1 AND done_at IS NULL "
        "ORDER BY queued, created_at, id",
        node);
    std::vector<ActionRecord> actions;
    while (rows->next())
      actions.push_back({rows->text(0), node, sql::sound(api::parse_action_type(rows->text(1)), "action"),
                         rows->text(2), rows->integer(3)});
    return actions;
  });
}

Result<void> SqlStore::finish_action(NodeId node, const std::string& id, bool ok, const std::string& detail,
                                     std::int64_t now) {
  return change(SqlAccess::kStatement,
                "UPDATE node_actions SET done_at = $1, ok = $2, detail = $3 "
                "WHERE id = $4 AND node_id = $5 AND done_at IS NULL",
                now, ok, detail, id, node);
}

Result<void> SqlStore::add_metrics(NodeId node, std::int64_t time, const std::string& report_json) {
  return call(SqlAccess::kUnflushed, [&](SqlConnection& db) -> Result<void> {
    db.run(
        "INSERT INTO node_metrics (node_id, time, report) VALUES ($1, $2, $3) "
        "ON CONFLICT (node_id, time) DO UPDATE SET report = excluded.report",
        node, time, report_json);
    return {};
  });
}

Result<std::vector<std::string>> SqlStore::metrics(NodeId node, std::int64_t since, std::size_t limit) {
  return call(SqlAccess::kReadOld, [&](SqlConnection& db) -> Result<std::vector<std::string>> {
    const auto rows =
        db.query("SELECT report FROM node_metrics WHERE node_id = $1 AND time >= $2 ORDER BY time LIMIT $3", node,
                 since, std::min(limit, kMaxPage));
    std::vector<std::string> reports;
    while (rows->next()) reports.push_back(rows->text(0));
    return reports;
  });
}

}  // namespace higgs::boson

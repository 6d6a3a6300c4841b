// Nodes, their actions and their metrics.
#include <array>

#include "bosonserver/store/sqlite_call.h"

namespace higgs::boson {
namespace {

#define HIGGS_NODE_COLUMNS                                                                               \
  "id, identity_key, wireguard_key, key_certificate, admission, status, tunnel_prefixes, network_info, " \
  "capabilities, metrics, location, heartbeat_interval, address, registered_at, last_seen"

constexpr std::array<std::string_view, 3> kAdmissions{"approved", "pending", "banned"};
std::string_view name_of(NodeAdmission admission) { return kAdmissions[static_cast<std::size_t>(admission)]; }

std::string joined(const std::vector<IpPrefix>& prefixes) {
  std::string text;
  for (const auto& prefix : prefixes) text += (text.empty() ? "" : ",") + prefix.to_string();
  return text;
}

std::vector<IpPrefix> split(const std::string& text) {
  std::vector<IpPrefix> prefixes;
  for (std::size_t from = 0; from < text.size();) {
    const auto to = std::min(text.find(',', from), text.size());
    prefixes.push_back(sqlite::sound(IpPrefix::parse(std::string_view(text).substr(from, to - from)), "prefix"));
    from = to + 1;
  }
  return prefixes;
}

NodeRecord node_of(const SQLite::Statement& row) {
  NodeRecord node;
  node.id = sqlite::id_at<NodeId>(row, 0);
  node.identity_key.bytes = sqlite::bytes_at<32>(row, 1);
  node.wireguard_key.bytes = sqlite::bytes_at<32>(row, 2);
  node.key_certificate = sqlite::json_at<api::KeyCertificate>(row, 3);
  const auto admission = row.getColumn(4).getString();
  const auto* const found = std::find(kAdmissions.begin(), kAdmissions.end(), admission);
  if (found == kAdmissions.end()) throw sqlite::Damaged("admission");
  node.admission = static_cast<NodeAdmission>(found - kAdmissions.begin());
  node.status = sqlite::sound(api::parse_node_status(row.getColumn(5).getString()), "status");
  node.tunnel_prefixes = split(row.getColumn(6).getString());
  node.network_info = sqlite::json_at<api::NetworkInfo>(row, 7);
  node.capabilities = sqlite::json_at<api::Capabilities>(row, 8);
  node.metrics = sqlite::json_at<api::HeartbeatMetrics>(row, 9);
  if (!row.isColumnNull(10)) node.location = sqlite::json_at<api::Location>(row, 10);
  node.heartbeat_interval = row.getColumn(11).getUInt();
  node.address = sqlite::address_at(row, 12);
  node.registered_at = row.getColumn(13).getInt64();
  node.last_seen = row.getColumn(14).getInt64();
  return node;
}

Result<NodeRecord> find_node(SQLite::Database& db, NodeId id) {
  auto row = sqlite::statement(db, "SELECT " HIGGS_NODE_COLUMNS " FROM nodes WHERE id = ?", id);
  if (!row.executeStep()) return StoreError::kNotFound;
  return node_of(row);
}

/// Why this record may not take its place, if so.
std::optional<StoreError> conflict_of(SQLite::Database& db, const NodeRecord& node,
                                      const std::optional<NodeRecord>& earlier) {
  if (earlier) {
    if (earlier->identity_key != node.identity_key) return StoreError::kIdentityTaken;
    const auto known = earlier->key_certificate.sequence;
    if (node.key_certificate.sequence < known) return StoreError::kStaleSequence;
    if (node.key_certificate.sequence == known &&
        api::signed_bytes(node.key_certificate) != api::signed_bytes(earlier->key_certificate))
      return StoreError::kStaleSequence;
  }
  auto holder = sqlite::statement(db, "SELECT 1 FROM nodes WHERE wireguard_key = ? AND id <> ?",
                                  ByteView(node.wireguard_key.bytes), node.id);
  if (holder.executeStep()) return StoreError::kKeyTaken;
  return std::nullopt;
}

}  // namespace

Result<NodeRecord> SqliteStore::register_node(const NodeRecord& node) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<NodeRecord> {
    const auto found = find_node(db, node.id);
    const auto earlier = found ? std::optional<NodeRecord>(*found) : std::nullopt;
    if (const auto conflict = conflict_of(db, node, earlier)) return *conflict;
    if (!earlier && db.execAndGet("SELECT count(*) FROM nodes").getInt64() >= static_cast<std::int64_t>(kMaxNodes))
      return StoreError::kFull;
    NodeRecord stored = node;
    if (earlier) {
      stored.admission = earlier->admission;
      stored.registered_at = earlier->registered_at;
    }
    const auto location = stored.location ? std::optional<std::string>(api::encode(*stored.location)) : std::nullopt;
    sqlite::run(db,
                "INSERT INTO nodes (" HIGGS_NODE_COLUMNS
                ", certificate_sequence) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                "wireguard_key = excluded.wireguard_key, key_certificate = excluded.key_certificate, "
                "certificate_sequence = excluded.certificate_sequence, status = excluded.status, "
                "tunnel_prefixes = excluded.tunnel_prefixes, network_info = excluded.network_info, "
                "capabilities = excluded.capabilities, metrics = excluded.metrics, location = excluded.location, "
                "heartbeat_interval = excluded.heartbeat_interval, address = excluded.address, "
                "last_seen = excluded.last_seen",
                stored.id, ByteView(stored.identity_key.bytes), ByteView(stored.wireguard_key.bytes),
                api::encode(stored.key_certificate), name_of(stored.admission), api::to_string(stored.status),
                joined(stored.tunnel_prefixes), api::encode(stored.network_info), api::encode(stored.capabilities),
                api::encode(stored.metrics), location, stored.heartbeat_interval, stored.address, stored.registered_at,
                stored.last_seen, stored.key_certificate.sequence);
    return stored;
  });
}

Result<NodeRecord> SqliteStore::node(NodeId id) {
  return call(Kind::kRead, [&](SQLite::Database& db) { return find_node(db, id); });
}

Result<std::vector<NodeRecord>> SqliteStore::nodes(std::optional<NodeId> after, std::size_t limit) {
  return call(Kind::kRead, [&](SQLite::Database& db) -> Result<std::vector<NodeRecord>> {
    auto rows = sqlite::statement(db, "SELECT " HIGGS_NODE_COLUMNS " FROM nodes WHERE id > ? ORDER BY id LIMIT ?",
                                  after ? to_string(*after) : std::string(), std::min(limit, kMaxPage));
    std::vector<NodeRecord> nodes;
    while (rows.executeStep()) nodes.push_back(node_of(rows));
    return nodes;
  });
}

Result<void> SqliteStore::record_heartbeat(NodeId id, api::NodeStatus status, const api::HeartbeatMetrics& metrics,
                                           const IpAddress& address, std::int64_t now) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    if (sqlite::run(db, "UPDATE nodes SET status = ?, metrics = ?, address = ?, last_seen = ? WHERE id = ?",
                    api::to_string(status), api::encode(metrics), address, now, id) == 0)
      return StoreError::kNotFound;
    return {};
  });
}

Result<void> SqliteStore::set_node_status(NodeId id, api::NodeStatus status) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    if (sqlite::run(db, "UPDATE nodes SET status = ? WHERE id = ?", api::to_string(status), id) == 0)
      return StoreError::kNotFound;
    return {};
  });
}

Result<void> SqliteStore::set_node_admission(NodeId id, NodeAdmission admission) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    if (sqlite::run(db, "UPDATE nodes SET admission = ? WHERE id = ?", name_of(admission), id) == 0)
      return StoreError::kNotFound;
    return {};
  });
}

Result<void> SqliteStore::add_action(const ActionRecord& action) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    if (!find_node(db, action.node)) return StoreError::kNotFound;
    auto count =
        sqlite::statement(db, "SELECT count(*) FROM node_actions WHERE node_id = ? AND done_at IS NULL", action.node);
    count.executeStep();
    if (count.getColumn(0).getInt64() >= static_cast<std::int64_t>(kMaxPendingActions)) return StoreError::kFull;
    sqlite::run(db, "INSERT INTO node_actions (id, node_id, type, payload, created_at) VALUES (?, ?, ?, ?, ?)",
                action.id, action.node, api::to_string(action.type), action.payload, action.created_at);
    return {};
  });
}

Result<std::vector<ActionRecord>> SqliteStore::pending_actions(NodeId node) {
  return call(Kind::kRead, [&](SQLite::Database& db) -> Result<std::vector<ActionRecord>> {
    auto rows = sqlite::statement(db,
                                  "SELECT id, type, payload, created_at FROM node_actions "
                                  "WHERE node_id = ? AND done_at IS NULL ORDER BY created_at, id",
                                  node);
    std::vector<ActionRecord> actions;
    while (rows.executeStep()) {
      actions.push_back({rows.getColumn(0).getString(), node,
                         sqlite::sound(api::parse_action_type(rows.getColumn(1).getString()), "action"),
                         rows.getColumn(2).getString(), rows.getColumn(3).getInt64()});
    }
    return actions;
  });
}

Result<void> SqliteStore::finish_action(NodeId node, const std::string& id, bool ok, const std::string& detail,
                                        std::int64_t now) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    if (sqlite::run(db,
                    "UPDATE node_actions SET done_at = ?, ok = ?, detail = ? "
                    "WHERE id = ? AND node_id = ? AND done_at IS NULL",
                    now, ok, detail, id, node) == 0)
      return StoreError::kNotFound;
    return {};
  });
}

Result<void> SqliteStore::add_metrics(NodeId node, std::int64_t time, const std::string& report_json) {
  return call(Kind::kWrite, [&](SQLite::Database& db) -> Result<void> {
    sqlite::run(db, "INSERT OR REPLACE INTO node_metrics (node_id, time, report) VALUES (?, ?, ?)", node, time,
                report_json);
    return {};
  });
}

Result<std::vector<std::string>> SqliteStore::metrics(NodeId node, std::int64_t since, std::size_t limit) {
  return call(Kind::kRead, [&](SQLite::Database& db) -> Result<std::vector<std::string>> {
    auto rows =
        sqlite::statement(db, "SELECT report FROM node_metrics WHERE node_id = ? AND time >= ? ORDER BY time LIMIT ?",
                          node, since, std::min(limit, kMaxPage));
    std::vector<std::string> reports;
    while (rows.executeStep()) reports.push_back(rows.getColumn(0).getString());
    return reports;
  });
}

}  // namespace higgs::boson

// The audit and its chain. Whoever appends holds a lock, so that entries follow one another also where several servers
// write.
#include "bosonserver/domain/audit_chain.h"
#include "bosonserver/store/sql_call.h"

namespace higgs::boson {
namespace {

constexpr std::string_view kChainLock = "audit";
/// Of one purge: it holds up whoever wants to write.
constexpr std::int64_t kMostPurged = 20'000;

AuditEntry entry_of(const SqlRows& row) {
  return {row.integer(0), row.integer(1), row.text(2), row.text(3), row.text(4), row.text(5), row.text(6)};
}

AuditChain chain_of(SqlConnection& db) {
  const auto row = db.query("SELECT anchor_id, anchor_hash, head_id, head_hash FROM audit_chain");
  if (!row->next()) throw SqlError(SqlError::Kind::kDamaged, "damaged record: the audit's chain is gone");
  return {row->integer(0), sql::bytes_at<32>(*row, 1), row->integer(2), sql::bytes_at<32>(*row, 3)};
}

/// Moves the anchor to the entry that is the last to go. False where there is no such entry: somebody removed it.
bool move_anchor(SqlConnection& db, std::int64_t id) {
  return db.run(
             "UPDATE audit_chain SET anchor_id = $1, anchor_hash = (SELECT hash FROM audit WHERE id = $1) "
             "WHERE EXISTS (SELECT 1 FROM audit WHERE id = $1)",
             id) == 1;
}

}  // namespace

Result<void> SqlStore::add_audit(const AuditEntry& given) {
  auto entry = given;
  // What is hashed must be what is stored.
  for (auto* text : {&entry.actor, &entry.address, &entry.action, &entry.object, &entry.outcome})
    *text = storable_text(std::move(*text));
  return call(SqlAccess::kLocked, [&](SqlConnection& db) -> Result<void> {
    db.lock(kChainLock);
    auto chain = chain_of(db);
    const auto link = append_to_chain(chain, entry);
    db.run(
        "INSERT INTO audit (id, time, actor, address, action, object, outcome, hash) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        link.entry.id, entry.time, entry.actor, entry.address, entry.action, entry.object, entry.outcome,
        ByteView(link.hash));
    db.run("UPDATE audit_chain SET head_id = $1, head_hash = $2", chain.head_id, ByteView(chain.head_hash));
    return {};
  });
}

Result<std::vector<AuditEntry>> SqlStore::audit(std::optional<std::int64_t> before, std::size_t limit) {
  return call(SqlAccess::kReadOld, [&](SqlConnection& db) -> Result<std::vector<AuditEntry>> {
    const auto rows = db.query(
        "SELECT id, time, actor, address, action, object, outcome FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2",
        before.value_or(INT64_MAX), std::min(limit, kMaxPage));
    std::vector<AuditEntry> entries;
    while (rows->next()) entries.push_back(entry_of(*rows));
    return entries;
  });
}

Result<AuditChain> SqlStore::audit_chain() {
  return call(SqlAccess::kRead, [](SqlConnection& db) -> Result<AuditChain> { return chain_of(db); });
}

Result<std::vector<AuditLink>> SqlStore::audit_links(std::int64_t after, std::size_t limit) {
  return call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<std::vector<AuditLink>> {
    const auto rows = db.query(
        "SELECT id, time, actor, address, action, object, outcome, hash FROM audit WHERE id > $1 ORDER BY id LIMIT $2",
        after, std::min(limit, kMaxPage));
    std::vector<AuditLink> links;
    while (rows->next()) {
      AuditLink link{entry_of(*rows), {}};
      // Whoever forges a hash may make it any length: then it stays zeros, which no entry has.
      if (const auto hash = rows->bytes(7); hash.size() == link.hash.size())
        std::copy(hash.begin(), hash.end(), link.hash.begin());
      links.push_back(std::move(link));
    }
    return links;
  });
}

Result<std::size_t> SqlStore::purge_audit(std::int64_t cutoff) {
  return call(SqlAccess::kLocked, [&](SqlConnection& db) -> Result<std::size_t> {
    db.lock(kChainLock);
    const auto chain = chain_of(db);
    std::optional<std::int64_t> oldest_kept;
    if (const auto row = db.query("SELECT id FROM audit WHERE time > $1 ORDER BY id LIMIT 1", cutoff); row->next())
      oldest_kept = row->integer(0);
    const auto boundary = std::min(purge_boundary(chain, oldest_kept, kMaxAuditEntries), chain.anchor_id + kMostPurged);
    if (boundary > chain.anchor_id && !move_anchor(db, boundary)) return 0;
    return db.run("DELETE FROM audit WHERE id <= $1", boundary);
  });
}

}  // namespace higgs::boson

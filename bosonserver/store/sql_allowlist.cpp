// The allow-list of nodes.
#include "bosonserver/store/sql_call.h"

namespace higgs::boson {

Result<void> SqlStore::add_allow_entry(const AllowEntry& entry) {
  return call(SqlAccess::kStatement, [&](SqlConnection& db) -> Result<void> {
    if (sql::count(db, "SELECT count(*) FROM allow_entries") >= kMaxAllowEntries) return StoreError::kFull;
    const auto network = entry.network ? std::optional(entry.network->to_string()) : std::nullopt;
    const auto key = entry.identity_key ? std::optional(ByteView(entry.identity_key->bytes)) : std::nullopt;
    db.run(
        "INSERT INTO allow_entries (id, network, identity_key, note, created_by, created_at) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        entry.id, network, key, entry.note, entry.created_by, entry.created_at);
    return {};
  });
}

Result<std::vector<AllowEntry>> SqlStore::allow_entries() {
  return call(SqlAccess::kRead, [](SqlConnection& db) -> Result<std::vector<AllowEntry>> {
    const auto rows = db.query(
        "SELECT id, network, identity_key, note, created_by, created_at FROM allow_entries ORDER BY created_at, id");
    std::vector<AllowEntry> entries;
    while (rows->next()) {
      AllowEntry entry{rows->text(0), std::nullopt, std::nullopt, rows->text(3), rows->text(4), rows->integer(5)};
      if (!rows->is_null(1)) entry.network = sql::sound(IpPrefix::parse(rows->text(1)), "network");
      if (!rows->is_null(2)) entry.identity_key = crypto::Ed25519PublicKey{sql::bytes_at<32>(*rows, 2)};
      entries.push_back(std::move(entry));
    }
    return entries;
  });
}

Result<void> SqlStore::remove_allow_entry(const std::string& id) {
  return change(SqlAccess::kStatement, "DELETE FROM allow_entries WHERE id = $1", id);
}

}  // namespace higgs::boson

// How the store's sources call the database.
#pragma once

#include "bosonserver/store/sql_columns.h"
#include "bosonserver/store/sql_store.h"
#include "runtime/log.h"

namespace higgs::boson {

namespace sql {

/// Tells every server, if the transaction commits: SqlAccess::kTogether and above.
template <class Id>
void tell(SqlConnection& db, StoreEvent::Kind kind, const std::vector<Id>& ids, const std::string& detail = {}) {
  for (std::size_t from = 0; from < ids.size(); from += kMaxStoreEventIds) {
    StoreEvent event{kind, {}, detail};
    for (std::size_t i = from; i < std::min(ids.size(), from + kMaxStoreEventIds); ++i)
      event.ids.push_back(ids[i].value());
    db.notify(encode_event(event));
  }
}

}  // namespace sql

template <class F>
auto SqlStore::call(SqlAccess access, F work) -> decltype(work(std::declval<SqlConnection&>())) {
  decltype(work(std::declval<SqlConnection&>())) result = StoreError::kUnavailable;
  const runtime::LatencyMeter::Timer timer(calls_);
  try {
    database_->transact(access, [&](SqlConnection& db) {
      result = work(db);
      return result.has_value();
    });
    return result;
  } catch (const SqlError& error) {
    return failed(error);
  }
}

template <class... Values>
Result<void> SqlStore::change(SqlAccess access, std::string_view sql, const Values&... values) {
  return call(access, [&](SqlConnection& db) -> Result<void> {
    if (db.run(sql, values...) == 0) return StoreError::kNotFound;
    return {};
  });
}

}  // namespace higgs::boson

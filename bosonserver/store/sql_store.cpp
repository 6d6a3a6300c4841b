// What is neither a user's, a node's nor a session's.
#include "bosonserver/store/sql_store.h"

#include "bosonserver/domain/quota_period.h"
#include "bosonserver/store/sql_call.h"

namespace higgs::boson {
namespace {

std::optional<Lockout> find_lockout(SqlConnection& db, const std::string& subject) {
  const auto row = db.query("SELECT failures, last_failure, locked_until FROM lockouts WHERE subject = $1", subject);
  if (!row->next()) return std::nullopt;
  return Lockout{static_cast<std::uint32_t>(row->integer(0)), row->integer(1), row->integer(2)};
}

class Subscription final : public StoreSubscription {
 public:
  Subscription(SqlDatabase& database, std::atomic<std::uint64_t>& gaps, StoreEventHandler handler)
      : gaps_(gaps),
        handler_(std::move(handler)),
        listener_(database.listen([this](const SqlNotification& told) { on(told); })) {}

 private:
  void on(const SqlNotification& told) {
    auto event = told.gap ? StoreEvent{StoreEvent::Kind::kResync, {}, {}, *told.gap} : decode_event(told.text);
    if (!event) {
      // Of a later version, perhaps, and then no less true.
      runtime::log::warn("an event of the store was not understood", {{"bytes", told.text.size()}});
      event.emplace();
    }
    if (event->kind == StoreEvent::Kind::kResync) ++gaps_;
    handler_(*event);
  }

  std::atomic<std::uint64_t>& gaps_;
  const StoreEventHandler handler_;
  std::unique_ptr<SqlListener> listener_;  // last: it ends before what it calls
};

}  // namespace

Result<void> SqlStore::ping() {
  return call(SqlAccess::kRead, [](SqlConnection& db) -> Result<void> {
    db.query("SELECT 1");
    return {};
  });
}

StoreError SqlStore::failed(const SqlError& error) {
  if (error.kind() == SqlError::Kind::kUnique) return StoreError::kExists;
  ++failed_calls_;
  if (error.kind() != SqlError::Kind::kAway) runtime::log::warn("the store failed", {{"error", error.what()}});
  return StoreError::kUnavailable;
}

Result<void> SqlStore::catch_up() {
  try {
    database_->catch_up();
    return {};
  } catch (const SqlError& error) {
    return failed(error);
  }
}

StoreStats SqlStore::stats() const {
  auto stats = database_->stats();
  stats.calls = calls_.buckets();
  stats.failed_calls = failed_calls_;
  stats.event_gaps = event_gaps_;
  return stats;
}

std::unique_ptr<StoreSubscription> SqlStore::subscribe(StoreEventHandler handler) {
  return std::make_unique<Subscription>(*database_, event_gaps_, std::move(handler));
}

Result<void> SqlStore::add_nonce(const std::string& nonce, std::int64_t now, std::int64_t expires_at) {
  return call(SqlAccess::kStatement, [&](SqlConnection& db) -> Result<void> {
    const auto standing = [&] {
      db.run("DELETE FROM nonces WHERE expires_at <= $1", now);
      return sql::count(db, "SELECT count(*) FROM nonces");
    };
    if (nonces_.full(standing)) return StoreError::kFull;
    db.run("INSERT INTO nonces (nonce, expires_at) VALUES ($1, $2)", nonce, expires_at);
    return {};
  });
}

Result<bool> SqlStore::consume_nonce(const std::string& nonce, std::int64_t now) {
  return call(SqlAccess::kStatement, [&](SqlConnection& db) -> Result<bool> {
    return db.run("DELETE FROM nonces WHERE nonce = $1 AND expires_at > $2", nonce, now) == 1;
  });
}

Result<Lockout> SqlStore::lockout(const std::string& subject) {
  return call(SqlAccess::kRead,
              [&](SqlConnection& db) -> Result<Lockout> { return find_lockout(db, subject).value_or(Lockout{}); });
}

Result<Lockout> SqlStore::update_lockout(const std::string& subject,
                                         const std::function<Lockout(const Lockout&)>& change) {
  // Under a lock, since guesses come at once: as conflicts of transactions they would be tried again and again.
  return call(SqlAccess::kLocked, [&](SqlConnection& db) -> Result<Lockout> {
    db.lock("lockout " + subject);
    const auto before = find_lockout(db, subject);
    const Lockout after = change(before.value_or(Lockout{}));
    if (after == before.value_or(Lockout{})) return after;
    if (after == Lockout{}) {
      db.run("DELETE FROM lockouts WHERE subject = $1", subject);
      return after;
    }
    const auto standing = [&] { return sql::count(db, "SELECT count(*) FROM lockouts"); };
    // Somebody sprays names: the oldest entry goes, so that present attacks are still counted.
    if (!before && lockouts_.full(standing))
      db.run("DELETE FROM lockouts WHERE subject = (SELECT subject FROM lockouts ORDER BY last_failure LIMIT 1)");
    db.run(
        "INSERT INTO lockouts (subject, failures, last_failure, locked_until) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (subject) DO UPDATE SET failures = excluded.failures, last_failure = excluded.last_failure, "
        "locked_until = excluded.locked_until",
        subject, after.failures, after.last_failure, after.locked_until);
    return after;
  });
}

Result<void> SqlStore::add_signing_key(const SigningKeyRecord& key) {
  return call(SqlAccess::kTogether, [&](SqlConnection& db) -> Result<void> {
    db.run("INSERT INTO signing_keys (id, public_key, sealed, created_at) VALUES ($1, $2, $3, $4)", key.id,
           ByteView(key.public_key.bytes), ByteView(key.sealed), key.created_at);
    db.notify(encode_event({StoreEvent::Kind::kKeysChanged}));
    return {};
  });
}

Result<std::vector<SigningKeyRecord>> SqlStore::signing_keys() {
  return call(SqlAccess::kRead, [&](SqlConnection& db) -> Result<std::vector<SigningKeyRecord>> {
    const auto rows = db.query("SELECT id, public_key, sealed, created_at FROM signing_keys ORDER BY created_at, id");
    std::vector<SigningKeyRecord> keys;
    while (rows->next())
      keys.push_back({rows->text(0), {sql::bytes_at<32>(*rows, 1)}, rows->bytes(2), rows->integer(3)});
    return keys;
  });
}

Result<void> SqlStore::remove_signing_key(const std::string& id) {
  return call(SqlAccess::kTogether, [&](SqlConnection& db) -> Result<void> {
    if (db.run("DELETE FROM signing_keys WHERE id = $1", id) > 0)
      db.notify(encode_event({StoreEvent::Kind::kKeysChanged}));
    return {};
  });
}

Result<std::size_t> SqlStore::purge(const Retention& retention, std::int64_t now) {
  const auto audit_gone = purge_audit(now - retention.audit);
  if (!audit_gone) return audit_gone.error();
  const auto nodes_gone = purge_nodes(now - retention.silent_nodes);
  if (!nodes_gone) return nodes_gone.error();
  return call(SqlAccess::kStatement, [&](SqlConnection& db) -> Result<std::size_t> {
    std::size_t gone = *audit_gone + *nodes_gone;
    const auto drop = [&](const std::string& table, const std::string& key, const std::string& condition,
                          const auto&... values) {
      gone += db.run("DELETE FROM " + table + " WHERE (" + key + ") IN (SELECT " + key + " FROM " + table + " WHERE " +
                         condition + " LIMIT " + std::to_string(kPurgeBatch) + ")",
                     values...);
    };
    drop("nonces", "nonce", "expires_at <= $1", now);
    drop("refresh_tokens", "digest", "expires_at <= $1", now);
    drop("servers", "id", "last_seen <= $1", now - retention.silent_nodes);
    drop("invites", "id", "expires_at <= $1 OR uses_left = 0", now);
    drop("node_metrics", "node_id, time", "time <= $1", now - retention.metrics);
    drop("node_actions", "id", "done_at <= $1", now - retention.metrics);
    drop("relay_usage", "period, user_id", "period < $1", quota_period_at(now - kRelayUsageKept).number);
    drop("sessions", "id", "ended_at <= $1", now - retention.sessions);
    drop("lockouts", "subject", "last_failure <= $1", now - 86400);
    drop("refresh_families", "id", "NOT EXISTS (SELECT 1 FROM refresh_tokens WHERE family_id = refresh_families.id)");
    return gone;
  });
}

}  // namespace higgs::boson

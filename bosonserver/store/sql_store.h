// The store in SQL: one set of statements for every database, on the thin drivers of sql_database.h.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "bosonserver/store/row_limit.h"
#include "bosonserver/store/sql_database.h"
#include "bosonserver/store/store.h"
#include "runtime/latency_meter.h"

namespace higgs::boson {

class SqlStore final : public Store {
 public:
  /// Of a database that is migrated.
  explicit SqlStore(std::unique_ptr<SqlDatabase> database) : database_(std::move(database)) {}

  Result<void> ping() override;
  StoreStats stats() const override;
  Result<void> catch_up() override;
  std::unique_ptr<StoreSubscription> subscribe(StoreEventHandler handler) override;
  Result<void> add_user(const UserRecord& user) override;
  Result<UserRecord> user_by_name(std::string_view name) override;
  Result<UserRecord> user_by_id(UserId id) override;
  Result<std::vector<UserRecord>> users(std::string_view after_name, std::size_t limit) override;
  Result<UserChanged> change_user(UserId id, const UserChange& change, std::int64_t now) override;
  Result<std::vector<SessionId>> remove_user(UserId id, std::int64_t now) override;
  Result<std::vector<SessionId>> change_password(UserId id, const std::string& before, const std::string& after,
                                                 bool end_logins, std::int64_t now) override;
  Result<Caller> caller_by_login(UserId user, const std::string& family) override;
  Result<KeyCaller> caller_by_key(const crypto::Sha256Digest& key) override;
  Result<void> add_refresh_family(const std::string& family, UserId user, const crypto::Sha256Digest& token,
                                  std::int64_t now, std::int64_t expires_at,
                                  const std::optional<std::string>& password_hash = {}) override;
  Result<RefreshOutcome> rotate_refresh_token(const crypto::Sha256Digest& token, const crypto::Sha256Digest& successor,
                                              std::int64_t now, std::int64_t expires_at) override;
  Result<UserId> revoke_refresh_family(const crypto::Sha256Digest& token, std::int64_t now) override;
  Result<void> enrol_totp(UserId user, ByteView sealed, std::int64_t now) override;
  Result<TotpRecord> totp(UserId user) override;
  Result<void> confirm_totp(UserId user, ByteView sealed, std::int64_t step,
                            const std::vector<crypto::Sha256Digest>& recovery_codes, std::int64_t now) override;
  Result<bool> spend_totp_step(UserId user, std::int64_t step) override;
  Result<bool> spend_recovery_code(UserId user, const crypto::Sha256Digest& code) override;
  Result<void> remove_totp(UserId user) override;
  Result<void> add_invite(const InviteRecord& invite) override;
  Result<InviteRecord> invite(const crypto::Sha256Digest& digest, std::int64_t now) override;
  Result<std::vector<InviteRecord>> invites(const std::string& after_id, std::size_t limit, std::int64_t now) override;
  Result<void> remove_invite(const std::string& id) override;
  Result<UserRecord> redeem_invite(const crypto::Sha256Digest& digest, const UserRecord& user,
                                   std::int64_t now) override;
  Result<void> add_api_key(const ApiKeyRecord& key) override;
  Result<std::vector<ApiKeyRecord>> api_keys(UserId user) override;
  Result<void> remove_api_key(UserId user, const std::string& id) override;
  Result<void> record_key_use(const std::string& id, std::int64_t now) override;
  Result<void> add_relay_usage(std::int64_t period, const std::vector<RelayUsage>& usage) override;
  Result<RelayAccount> relay_account(UserId user, std::int64_t period) override;
  Result<void> set_relay_quota(UserId user, std::optional<std::uint64_t> bytes) override;
  Result<std::vector<UserId>> users_over_quota(std::int64_t period, std::optional<std::uint64_t> quota,
                                               std::optional<UserId> after, std::size_t limit) override;
  Result<void> add_allow_entry(const AllowEntry& entry) override;
  Result<std::vector<AllowEntry>> allow_entries() override;
  Result<void> remove_allow_entry(const std::string& id) override;
  Result<void> add_nonce(const std::string& nonce, std::int64_t now, std::int64_t expires_at) override;
  Result<bool> consume_nonce(const std::string& nonce, std::int64_t now) override;
  Result<NodeRecord> register_node(const NodeRecord& node) override;
  Result<NodeRecord> node(NodeId id) override;
  Result<std::vector<NodeRecord>> nodes(std::optional<NodeId> after, std::size_t limit) override;
  Result<HeartbeatOutcome> record_heartbeat(NodeId id, api::NodeStatus status, const api::HeartbeatMetrics& metrics,
                                            const IpAddress& address, std::int64_t now) override;
  Result<HeartbeatsOutcome> record_heartbeats(const std::vector<HeartbeatRecord>& heartbeats) override;
  Result<std::vector<NodeRecord>> nodes_by_id(const std::vector<NodeId>& ids) override;
  Result<std::vector<HeartbeatRecord>> heard_since(std::int64_t since, std::optional<NodeId> after,
                                                   std::size_t limit) override;
  Result<std::vector<NodeRecord>> silent_nodes(std::int64_t now, std::int64_t missed, std::size_t limit) override;
  Result<bool> set_node_offline(NodeId id, std::int64_t last_seen) override;
  Result<void> set_node_admission(NodeId id, NodeAdmission admission) override;
  Result<void> set_node_server(NodeId id, ServerId server) override;
  Result<void> clear_node_server(NodeId id, ServerId server) override;
  Result<void> clear_nodes_of_server(ServerId server) override;
  Result<void> record_server(ServerId id, const std::string& entry_json, std::int64_t now) override;
  Result<std::vector<ServerRecord>> servers(std::int64_t since) override;
  Result<void> remove_server(ServerId id) override;
  Result<std::map<api::NodeStatus, std::size_t>> nodes_by_status() override;
  Result<std::vector<NodeId>> banned_nodes(std::optional<NodeId> after, std::size_t limit) override;
  Result<void> add_action(const ActionRecord& action) override;
  Result<std::vector<ActionRecord>> pending_actions(NodeId node) override;
  Result<void> finish_action(NodeId node, const std::string& id, bool ok, const std::string& detail,
                             std::int64_t now) override;
  Result<void> add_session(const SessionRow& session, const SessionTerms& terms = {}) override;
  Result<SessionRow> session(SessionId id) override;
  Result<std::vector<IpAddress>> addresses_in_use(NodeId node) override;
  Result<std::size_t> live_sessions_of_user(UserId user) override;
  Result<std::size_t> live_sessions() override;
  Result<void> renew_session(SessionId id, std::int64_t expires_at) override;
  Result<bool> end_session(SessionId id, const std::string& reason, std::int64_t now) override;
  Result<void> set_session_path(SessionId id, const std::string& path) override;
  Result<void> add_session_bytes(SessionId id, std::uint64_t to_node, std::uint64_t to_client) override;
  Result<std::vector<SessionRow>> sessions(std::optional<SessionId> before, std::size_t limit) override;
  Result<std::vector<SessionId>> sessions_ended_since(std::int64_t since, std::optional<SessionId> after,
                                                      std::size_t limit) override;
  Result<std::vector<SessionId>> end_expired_sessions(std::int64_t now) override;
  Result<std::vector<SessionId>> end_sessions_of_node(NodeId node, const std::string& reason,
                                                      std::int64_t now) override;
  Result<void> add_audit(const AuditEntry& entry) override;
  Result<std::vector<AuditEntry>> audit(std::optional<std::int64_t> before, std::size_t limit) override;
  Result<AuditChain> audit_chain() override;
  Result<std::vector<AuditLink>> audit_links(std::int64_t after, std::size_t limit) override;
  Result<Lockout> lockout(const std::string& subject) override;
  Result<Lockout> update_lockout(const std::string& subject,
                                 const std::function<Lockout(const Lockout&)>& change) override;
  Result<void> add_signing_key(const SigningKeyRecord& key) override;
  Result<std::vector<SigningKeyRecord>> signing_keys() override;
  Result<void> remove_signing_key(const std::string& id) override;
  Result<void> add_metrics(NodeId node, std::int64_t time, const std::string& report_json) override;
  Result<std::vector<std::string>> metrics(NodeId node, std::int64_t since, std::size_t limit) override;
  Result<std::size_t> purge(const Retention& retention, std::int64_t now) override;

 private:
  /// Runs `work` in a transaction, which an error that it returns rolls back; what the database throws becomes an
  /// error. Defined in sql_call.h.
  template <class F>
  auto call(SqlAccess access, F work) -> decltype(work(std::declval<SqlConnection&>()));
  /// Counts and logs it.
  StoreError failed(const SqlError& error);
  /// For one write: kNotFound where it changes no row.
  template <class... Values>
  Result<void> change(SqlAccess access, std::string_view sql, const Values&... values);
  template <class... Values>
  Result<std::vector<SessionId>> end_sessions(const std::string& reason, std::string_view statement,
                                              const Values&... values);

  /// Nodes that nobody has heard of since then; kPurgeBatch at most.
  Result<std::size_t> purge_nodes(std::int64_t cutoff);
  /// Entries that are older, and those above kMaxAuditEntries; the oldest go first, a number at a time.
  Result<std::size_t> purge_audit(std::int64_t cutoff);

  std::unique_ptr<SqlDatabase> database_;
  runtime::LatencyMeter calls_;
  std::atomic<std::uint64_t> failed_calls_ = 0, event_gaps_ = 0;
  RowLimit nodes_{kMaxNodes}, nonces_{kMaxNonces}, lockouts_{kMaxLockouts};
};

}  // namespace higgs::boson

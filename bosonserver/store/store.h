// What must outlive a restart. Two implementations stand behind this: SQLite in the state directory, and PostgreSQL for
// clusters; store_contract_test.cpp is run against each.
//
// Calls block: make them on the blocking pool. Any thread, many at once; each call is one transaction and takes 500 ms
// at most. A store that cannot answer says kUnavailable, and the caller 503.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bosonserver/store/account_records.h"
#include "bosonserver/store/records.h"
#include "bosonserver/store/store_events.h"
#include "bosonserver/store/store_stats.h"

namespace higgs::boson {

enum class StoreError {
  kUnavailable = 1,  ///< busy, out of time, disk full, not reachable
  kNotFound,
  kExists,         ///< a unique value is taken: user name, tunnel address
  kKeyTaken,       ///< a WireGuard key is another's
  kIdentityTaken,  ///< the node id is another identity's
  kStaleSequence,  ///< a certificate with this or a higher sequence is known
  kFull,           ///< a limit of the table is reached
  kNotAdmitted,    ///< the node may not serve
  kTooMany,        ///< as many as one user may have
  kLastAdmin,      ///< nobody could administer the servers any more
};

inline constexpr std::size_t kMaxNodes = 100'000;
inline constexpr std::size_t kMaxNonces = 100'000;
inline constexpr std::size_t kMaxAuditEntries = 5'000'000;  ///< the oldest go first
inline constexpr std::size_t kMaxLockouts = 100'000;
inline constexpr std::size_t kMaxPendingActions = 64;  ///< for each node
inline constexpr std::size_t kMaxPage = 1000;
inline constexpr std::size_t kHeartbeatBatch = 64;
inline constexpr std::size_t kPurgeBatch = 2000;    ///< rows of a table
inline constexpr std::size_t kMaxInvites = 10'000;  ///< that are open
inline constexpr std::size_t kMaxApiKeys = 32;      ///< for each user
inline constexpr std::size_t kMaxAllowEntries = 10'000;
inline constexpr std::int64_t kRelayUsageKept = 366 * 86400;  ///< seconds

class Store {
 public:
  virtual ~Store() = default;
  virtual Result<void> ping() = 0;
  /// Waits for nothing.
  virtual StoreStats stats() const = 0;
  /// Reads that may be a moment old, by a read replica ("old" below), have after this all that was committed before it.
  /// Costs nothing where there is no replica.
  virtual Result<void> catch_up() = 0;
  /// Hears of what changes, whoever changes it; on PostgreSQL also what other servers do. Begins with a resync: what is
  /// changed after that is told. The handler is called on a thread of the subscription's own; while it runs, later
  /// events wait. The store must still be there.
  virtual std::unique_ptr<StoreSubscription> subscribe(StoreEventHandler handler) = 0;

  // Users. Names compare exactly; kExists for a name that is taken.
  virtual Result<void> add_user(const UserRecord& user) = 0;
  virtual Result<UserRecord> user_by_name(std::string_view name) = 0;
  virtual Result<UserRecord> user_by_id(UserId id) = 0;
  virtual Result<std::vector<UserRecord>> users(std::string_view after_name, std::size_t limit) = 0;
  /// What the change does not name stays, whoever changes that meanwhile. Being disabled, and a new password, end all
  /// logins and sessions of the user, in the same step. kLastAdmin.
  virtual Result<UserChanged> change_user(UserId id, const UserChange& change, std::int64_t now) = 0;
  /// Returns the sessions that end with the user. kLastAdmin.
  virtual Result<std::vector<SessionId>> remove_user(UserId id, std::int64_t now) = 0;
  /// Changes nothing else, and only where the hash is still `before`; kNotFound if not. Ends all logins and sessions if
  /// it is told to, and returns these.
  virtual Result<std::vector<SessionId>> change_password(UserId id, const std::string& before, const std::string& after,
                                                         bool end_logins, std::int64_t now) = 0;

  // Who calls: asked once for each request. kNotFound: no such user, or no such key.
  virtual Result<Caller> caller_by_login(UserId user, const std::string& family) = 0;
  virtual Result<KeyCaller> caller_by_key(const crypto::Sha256Digest& key) = 0;

  // Refresh tokens, by SHA-256.
  /// kNotFound: the user is gone or disabled, or has not the password any more that is named.
  virtual Result<void> add_refresh_family(const std::string& family, UserId user, const crypto::Sha256Digest& token,
                                          std::int64_t now, std::int64_t expires_at,
                                          const std::optional<std::string>& password_hash = {}) = 0;
  virtual Result<RefreshOutcome> rotate_refresh_token(const crypto::Sha256Digest& token,
                                                      const crypto::Sha256Digest& successor, std::int64_t now,
                                                      std::int64_t expires_at) = 0;
  /// The user whose family it was; kNotFound for a token that is unknown.
  virtual Result<UserId> revoke_refresh_family(const crypto::Sha256Digest& token, std::int64_t now) = 0;

  // One-time codes. A user has one secret, which waits until it is confirmed with a code.
  /// Replaces one that waits. kExists: one is confirmed. kNotFound: no such user.
  virtual Result<void> enrol_totp(UserId user, ByteView sealed, std::int64_t now) = 0;
  virtual Result<TotpRecord> totp(UserId user) = 0;
  /// Puts the secret in force that waits and is `sealed`; kNotFound: it is not there (any more).
  virtual Result<void> confirm_totp(UserId user, ByteView sealed, std::int64_t step,
                                    const std::vector<crypto::Sha256Digest>& recovery_codes, std::int64_t now) = 0;
  /// True once for each step, and never for one before a step that was used.
  virtual Result<bool> spend_totp_step(UserId user, std::int64_t step) = 0;
  /// True once for each code.
  virtual Result<bool> spend_recovery_code(UserId user, const crypto::Sha256Digest& code) = 0;
  /// Takes recovery codes along. kNotFound: there is none.
  virtual Result<void> remove_totp(UserId user) = 0;

  // Invites: good for a number of accounts and for a time. kNotFound: unknown, used up or too old.
  virtual Result<void> add_invite(const InviteRecord& invite) = 0;
  virtual Result<InviteRecord> invite(const crypto::Sha256Digest& digest, std::int64_t now) = 0;
  /// Those that are open, in the order of ids.
  virtual Result<std::vector<InviteRecord>> invites(const std::string& after_id, std::size_t limit,
                                                    std::int64_t now) = 0;
  virtual Result<void> remove_invite(const std::string& id) = 0;
  /// Adds the user, with the invite's role, and uses the invite once, or neither. kExists: the name is taken.
  virtual Result<UserRecord> redeem_invite(const crypto::Sha256Digest& digest, const UserRecord& user,
                                           std::int64_t now) = 0;

  // API keys. kExists: the user has one of this name; kFull: has kMaxApiKeys.
  virtual Result<void> add_api_key(const ApiKeyRecord& key) = 0;
  virtual Result<std::vector<ApiKeyRecord>> api_keys(UserId user) = 0;  ///< by name
  virtual Result<void> remove_api_key(UserId user, const std::string& id) = 0;
  virtual Result<void> record_key_use(const std::string& id, std::int64_t now) = 0;

  // What users send over the relays of all servers; `period`: see domain/quota_period.h.
  /// Adds it up, all or nothing; of users that are gone nothing is kept.
  virtual Result<void> add_relay_usage(std::int64_t period, const std::vector<RelayUsage>& usage) = 0;
  virtual Result<RelayAccount> relay_account(UserId user, std::int64_t period) = 0;
  /// nullopt: the configured quota. kNotFound: no such user.
  virtual Result<void> set_relay_quota(UserId user, std::optional<std::uint64_t> bytes) = 0;
  /// Who has used up their own quota, or `quota` where they have none; in the order of ids.
  virtual Result<std::vector<UserId>> users_over_quota(std::int64_t period, std::optional<std::uint64_t> quota,
                                                       std::optional<UserId> after, std::size_t limit) = 0;

  // The allow-list of nodes, beside the configured one. kExists: such an entry is there.
  virtual Result<void> add_allow_entry(const AllowEntry& entry) = 0;
  virtual Result<std::vector<AllowEntry>> allow_entries() = 0;  ///< oldest first
  virtual Result<void> remove_allow_entry(const std::string& id) = 0;

  // Nonces: single-use. consume_nonce is true once for each, before its end.
  virtual Result<void> add_nonce(const std::string& nonce, std::int64_t now, std::int64_t expires_at) = 0;
  virtual Result<bool> consume_nonce(const std::string& nonce, std::int64_t now) = 0;

  // Nodes.
  /// Adds the node or replaces its own earlier record, whose admission and registration time it keeps. Returns what is
  /// stored. A certificate with the known sequence must be the known one. kFull: there are kMaxNodes.
  virtual Result<NodeRecord> register_node(const NodeRecord& node) = 0;
  virtual Result<NodeRecord> node(NodeId id) = 0;
  /// Old. In the order of ids.
  virtual Result<std::vector<NodeRecord>> nodes(std::optional<NodeId> after, std::size_t limit) = 0;
  /// One statement, unless the status changes.
  virtual Result<HeartbeatOutcome> record_heartbeat(NodeId id, api::NodeStatus status,
                                                    const api::HeartbeatMetrics& metrics, const IpAddress& address,
                                                    std::int64_t now) = 0;
  /// Records those, one for each node, that are not the banned's and older than nothing that is recorded.
  /// kHeartbeatBatch of them cost one statement, or two where a status is another than it was.
  virtual Result<HeartbeatsOutcome> record_heartbeats(const std::vector<HeartbeatRecord>& heartbeats) = 0;
  /// Those that there are, in any order.
  virtual Result<std::vector<NodeRecord>> nodes_by_id(const std::vector<NodeId>& ids) = 0;
  /// Old. Of those that were heard of at this time or later, what heartbeats change, in the order of ids.
  virtual Result<std::vector<HeartbeatRecord>> heard_since(std::int64_t since, std::optional<NodeId> after,
                                                           std::size_t limit) = 0;
  /// Admitted nodes that are not offline and whose last `missed` heartbeats should have come before `now`; the longest
  /// silent first.
  virtual Result<std::vector<NodeRecord>> silent_nodes(std::int64_t now, std::int64_t missed, std::size_t limit) = 0;
  /// It is offline, unless it was heard of after `last_seen`. False then.
  virtual Result<bool> set_node_offline(NodeId id, std::int64_t last_seen) = 0;
  virtual Result<void> set_node_admission(NodeId id, NodeAdmission admission) = 0;

  /// At which server the node's relay link stands; the latest wins. kNotFound for a node that is not registered.
  virtual Result<void> set_node_server(NodeId id, ServerId server) = 0;
  /// It stands there no more; nothing changes where it stands elsewhere by now.
  virtual Result<void> clear_node_server(NodeId id, ServerId server) = 0;
  virtual Result<void> clear_nodes_of_server(ServerId server) = 0;

  // Servers of the cluster, by what each says of itself (cluster/server_entry.h).
  virtual Result<void> record_server(ServerId id, const std::string& entry_json, std::int64_t now) = 0;
  /// Those that were recorded after this time, kMaxPage at most; the latest first.
  virtual Result<std::vector<ServerRecord>> servers(std::int64_t since) = 0;
  virtual Result<void> remove_server(ServerId id) = 0;

  /// Old. How many nodes are shown as what; none of a status: no entry.
  virtual Result<std::map<api::NodeStatus, std::size_t>> nodes_by_status() = 0;
  /// Those that are banned, in the order of ids.
  virtual Result<std::vector<NodeId>> banned_nodes(std::optional<NodeId> after, std::size_t limit) = 0;

  // Actions for nodes: delivered with each heartbeat until answered.
  virtual Result<void> add_action(const ActionRecord& action) = 0;
  virtual Result<std::vector<ActionRecord>> pending_actions(NodeId node) = 0;
  virtual Result<void> finish_action(NodeId node, const std::string& id, bool ok, const std::string& detail,
                                     std::int64_t now) = 0;

  // Sessions. kKeyTaken: the WireGuard key was used before; kExists: an address is in use on that node; kNotFound: the
  // user, or the login where one is named, stands no more; kNotAdmitted: the node is not, or no more, approved;
  // kTooMany: of the user; kFull: the node.
  virtual Result<void> add_session(const SessionRow& session, const SessionTerms& terms = {}) = 0;
  virtual Result<SessionRow> session(SessionId id) = 0;
  virtual Result<std::vector<IpAddress>> addresses_in_use(NodeId node) = 0;
  virtual Result<std::size_t> live_sessions_of_user(UserId user) = 0;
  virtual Result<std::size_t> live_sessions() = 0;  ///< old
  /// Never shortens it. kNotFound for one that has ended.
  virtual Result<void> renew_session(SessionId id, std::int64_t expires_at) = 0;
  /// Ending twice changes nothing: the first reason stays. False then.
  virtual Result<bool> end_session(SessionId id, const std::string& reason, std::int64_t now) = 0;
  /// The path that its client says it uses.
  virtual Result<void> set_session_path(SessionId id, const std::string& path) = 0;
  virtual Result<void> add_session_bytes(SessionId id, std::uint64_t to_node, std::uint64_t to_client) = 0;
  /// Old. Newest first; `before` continues behind that one.
  virtual Result<std::vector<SessionRow>> sessions(std::optional<SessionId> before, std::size_t limit) = 0;
  /// In the order of ids.
  virtual Result<std::vector<SessionId>> sessions_ended_since(std::int64_t since, std::optional<SessionId> after,
                                                              std::size_t limit) = 0;
  /// Ends those that have expired (kMaxPage at most), or are a node's; returns them.
  virtual Result<std::vector<SessionId>> end_expired_sessions(std::int64_t now) = 0;
  virtual Result<std::vector<SessionId>> end_sessions_of_node(NodeId node, const std::string& reason,
                                                              std::int64_t now) = 0;

  // Audit: append-only, each entry chained to the one before it in the transaction that adds it. Newest first; `before`
  // continues behind that id.
  virtual Result<void> add_audit(const AuditEntry& entry) = 0;
  virtual Result<std::vector<AuditEntry>> audit(std::optional<std::int64_t> before, std::size_t limit) = 0;  ///< old
  virtual Result<AuditChain> audit_chain() = 0;
  /// Oldest first, as they are stored: nothing is checked.
  virtual Result<std::vector<AuditLink>> audit_links(std::int64_t after, std::size_t limit) = 0;

  // Lock-outs, by subject ("user:…", "address:…"). The change is applied in one transaction; what it makes equal to
  // Lockout{} is no longer kept.
  virtual Result<Lockout> lockout(const std::string& subject) = 0;
  virtual Result<Lockout> update_lockout(const std::string& subject,
                                         const std::function<Lockout(const Lockout&)>& change) = 0;

  virtual Result<void> add_signing_key(const SigningKeyRecord& key) = 0;
  virtual Result<std::vector<SigningKeyRecord>> signing_keys() = 0;  ///< oldest first
  virtual Result<void> remove_signing_key(const std::string& id) = 0;

  virtual Result<void> add_metrics(NodeId node, std::int64_t time, const std::string& report_json) = 0;
  virtual Result<std::vector<std::string>> metrics(NodeId node, std::int64_t since, std::size_t limit) = 0;  ///< old

  /// Removes what is past its time, kPurgeBatch rows of each table at most. Returns how many rows went.
  virtual Result<std::size_t> purge(const Retention& retention, std::int64_t now) = 0;
};

}  // namespace higgs::boson

HIGGS_ERROR_ENUM(higgs::boson, StoreError)

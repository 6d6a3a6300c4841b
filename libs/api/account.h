// Bodies of /api/v1/auth/…, /api/v1/users/…, /api/v1/invites, /api/v1/api-keys and /api/v1/admin/….
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/common.h"
#include "api/json.h"
#include "api/node.h"
#include "base/ip.h"
#include "base/secret.h"
#include "base/uuid.h"
#include "crypto/ed25519.h"

namespace higgs::api {

struct LoginRequest {
  std::string username;
  SecretString password;
  std::optional<SecretString> totp;  ///< a one-time code or a recovery code
};

/// The certificate of the TLS handshake says who logs in.
struct CertificateLoginRequest {
  std::optional<SecretString> totp;  ///< as in LoginRequest
};

/// A new account for whoever has an invite, or for everybody where registration is open.
struct SignUpRequest {
  std::optional<SecretString> invite;
  std::string username;
  SecretString password;
};

struct ChangePasswordRequest {
  SecretString current_password;
  SecretString new_password;
};

/// What a change of the password ended: all logins, and this many tunnels.
struct PasswordChanged {
  std::uint32_t ended_sessions = 0;
};

struct EnrolTotpRequest {
  SecretString password;
};

/// To be confirmed with a code before it is in force.
struct TotpEnrolment {
  SecretString secret;  ///< base32, to be typed in
  SecretString uri;     ///< otpauth://…, to be shown as a QR code
};

struct ConfirmTotpRequest {
  SecretString totp;
};

/// Each is good once, in place of a one-time code.
struct RecoveryCodes {
  std::vector<SecretString> recovery_codes;
};

struct DisableTotpRequest {
  SecretString password;
  SecretString totp;
};

struct RefreshRequest {
  SecretString refresh_token;
};

/// Ends the family of this refresh token.
struct LogoutRequest {
  SecretString refresh_token;
};

struct TokenResponse {
  std::string access_token;
  std::string token_type = "Bearer";
  std::int64_t expires_at = 0;
  std::string refresh_token;
  std::int64_t refresh_expires_at = 0;
  std::vector<RelayServer> relay_servers;  ///< where else the account is good; empty: nothing is said of others
};

struct User {
  UserId user_id;
  std::string username;
  Role role = Role::kUser;
  bool disabled = false;
  std::int64_t created_at = 0;
};

/// What a user sent over the relays this month, both ways.
struct RelayUsage {
  std::uint64_t used_bytes = 0;
  std::optional<std::uint64_t> quota_bytes;  ///< unset: no limit
  bool own_quota = false;                    ///< rather than the configured one
  std::int64_t resets_at = 0;
};

struct UserDetails {
  User user;
  RelayUsage relay;
};

struct UserList {
  std::vector<User> users;
  std::optional<std::string> next_cursor;
};

struct CreateUserRequest {
  std::string username;
  SecretString password;
  Role role = Role::kUser;
};

struct UpdateUserRequest {
  std::optional<SecretString> password;
  std::optional<Role> role;
  std::optional<bool> disabled;
  std::optional<bool> totp;                 ///< false: the user has lost device and recovery codes; true is refused
  std::optional<bool> api_keys;             ///< false: all of them end; true is refused
  std::optional<std::int64_t> relay_quota;  ///< bytes a month; kConfiguredQuota: what is configured
};
inline constexpr std::int64_t kConfiguredQuota = -1;

struct UpdatedUser {
  User user;
  std::uint32_t ended_sessions = 0;
  std::uint32_t api_keys_left = 0;  ///< a new password ends none
};

struct CreateInviteRequest {
  Role role = Role::kUser;
  std::optional<std::uint32_t> uses;              ///< else 1
  std::optional<std::uint32_t> lifetime_seconds;  ///< else a week
};

/// `invite` is shown this once.
struct CreatedInvite {
  std::string id;
  SecretString invite;
  Role role = Role::kUser;
  std::uint32_t uses = 1;
  std::int64_t expires_at = 0;
};

/// One that is open; what it was made of is not known any more.
struct Invite {
  std::string id;
  Role role = Role::kUser;
  std::uint32_t uses_left = 1;
  std::string created_by;
  std::int64_t created_at = 0, expires_at = 0;
};

struct InviteList {
  std::vector<Invite> invites;
  std::optional<std::string> next_cursor;
};

struct CreateApiKeyRequest {
  std::string name;
  std::optional<Role> role;  ///< at most one's own; else that
  std::optional<std::int64_t> expires_at;
};

struct ApiKey {
  std::string id;
  std::string name;
  Role role = Role::kUser;
  std::int64_t created_at = 0;
  std::optional<std::int64_t> expires_at, last_used_at;
};

/// `key` is shown this once.
struct CreatedApiKey {
  ApiKey api_key;
  SecretString key;
};

struct ApiKeyList {
  std::vector<ApiKey> keys;
};

/// One of both.
struct CreateAllowEntryRequest {
  std::optional<IpPrefix> network;
  std::optional<crypto::Ed25519PublicKey> identity_key;
  std::optional<std::string> note;
};

struct AllowListEntry {
  std::string id;
  std::optional<IpPrefix> network;
  std::optional<crypto::Ed25519PublicKey> identity_key;
  std::string note;
  std::string created_by;
  std::int64_t created_at = 0;
};

struct AllowList {
  std::vector<AllowListEntry> entries;
};

struct NodeState {
  NodeId node_id;
  NodeStatus status = NodeStatus::kPending;
};

struct CreateActionRequest {
  ActionType type = ActionType::kMaintenance;
  JsonText payload;
};

struct CreatedAction {
  std::string id;
};

/// One that the node has not answered yet.
struct PendingAction {
  std::string id;
  ActionType type = ActionType::kMaintenance;
  JsonText payload;
  std::int64_t created_at = 0;
};

struct ActionList {
  std::vector<PendingAction> actions;  ///< in the order in which they were queued
};

struct SessionRecord {
  SessionId session_id;
  UserId user_id;
  NodeId node_id;
  std::int64_t started_at = 0;
  std::optional<std::int64_t> ended_at;
  std::uint64_t bytes_to_node = 0, bytes_to_client = 0;
  std::string path;  ///< "relay", "direct" or "cascade"
};

struct SessionList {
  std::vector<SessionRecord> sessions;
  std::optional<std::string> next_cursor;
};

struct AuditRecord {
  std::int64_t id = 0;
  std::int64_t time = 0;
  std::string actor, address, action, object, outcome;
};

struct AuditList {
  std::vector<AuditRecord> entries;
  std::optional<std::string> next_cursor;
};

struct Health {
  std::string status;  ///< "ok", "draining" or "unavailable"
};

}  // namespace higgs::api

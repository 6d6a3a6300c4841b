// Bodies of /api/v1/auth/…, /api/v1/users/… and /api/v1/admin/….
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/common.h"
#include "api/json.h"
#include "api/node.h"
#include "base/secret.h"
#include "base/uuid.h"

namespace higgs::api {

struct LoginRequest {
  std::string username;
  SecretString password;
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

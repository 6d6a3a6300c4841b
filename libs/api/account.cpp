#include "api/account.h"

#include "api/describe_common.h"

namespace higgs::api {
namespace {

constexpr Length kUsername{1, 64};
/// Long enough for any pass phrase, short enough that hashing one is no burden.
constexpr Length kPassword{1, 1024};
constexpr Length kNewPassword{8, 1024};

}  // namespace

template <class V, Like<LoginRequest> S>
void describe(V& v, S& s) {
  v("username", s.username, kUsername);
  v("password", s.password, kPassword);
}

template <class V, Like<RefreshRequest> S>
void describe(V& v, S& s) {
  v("refreshToken", s.refresh_token, Length{1, 256});
}
template <class V, Like<LogoutRequest> S>
void describe(V& v, S& s) {
  v("refreshToken", s.refresh_token, Length{1, 256});
}

template <class V, Like<TokenResponse> S>
void describe(V& v, S& s) {
  v("accessToken", s.access_token, kToken);
  v("tokenType", s.token_type, kName);
  v("expiresAt", s.expires_at);
  v("refreshToken", s.refresh_token, Length{1, 256});
  v("refreshExpiresAt", s.refresh_expires_at);
  v.list_if_any("relayServers", s.relay_servers);
}

template <class V, Like<User> S>
void describe(V& v, S& s) {
  v("userId", s.user_id);
  v("username", s.username, kUsername);
  v("role", s.role);
  v("disabled", s.disabled);
  v("createdAt", s.created_at);
}

template <class V, Like<UserList> S>
void describe(V& v, S& s) {
  v("users", s.users);
  v.nullable("nextCursor", s.next_cursor);
}

template <class V, Like<CreateUserRequest> S>
void describe(V& v, S& s) {
  v("username", s.username, kUsername);
  v("password", s.password, kNewPassword);
  v("role", s.role);
}

template <class V, Like<UpdateUserRequest> S>
void describe(V& v, S& s) {
  v.optional("password", s.password, kNewPassword);
  v.optional("role", s.role);
  v.optional("disabled", s.disabled);
}

template <class V, Like<NodeState> S>
void describe(V& v, S& s) {
  v("nodeId", s.node_id);
  v("status", s.status);
}

template <class V, Like<CreateActionRequest> S>
void describe(V& v, S& s) {
  v("type", s.type);
  v("payload", s.payload);
}

template <class V, Like<CreatedAction> S>
void describe(V& v, S& s) {
  v("id", s.id, kName);
}

template <class V, Like<SessionRecord> S>
void describe(V& v, S& s) {
  v("sessionId", s.session_id);
  v("userId", s.user_id);
  v("nodeId", s.node_id);
  v("startedAt", s.started_at);
  v.nullable("endedAt", s.ended_at);
  v("bytesToNode", s.bytes_to_node);
  v("bytesToClient", s.bytes_to_client);
  v("path", s.path, kName);
}

template <class V, Like<SessionList> S>
void describe(V& v, S& s) {
  v("sessions", s.sessions);
  v.nullable("nextCursor", s.next_cursor);
}

template <class V, Like<AuditRecord> S>
void describe(V& v, S& s) {
  v("id", s.id);
  v("time", s.time);
  v("actor", s.actor);
  v("address", s.address);
  v("action", s.action);
  v("object", s.object);
  v("outcome", s.outcome);
}

template <class V, Like<AuditList> S>
void describe(V& v, S& s) {
  v("entries", s.entries);
  v.nullable("nextCursor", s.next_cursor);
}

template <class V, Like<Health> S>
void describe(V& v, S& s) {
  v("status", s.status, kName);
}

HIGGS_API_BODY(LoginRequest)
HIGGS_API_BODY(RefreshRequest)
HIGGS_API_BODY(LogoutRequest)
HIGGS_API_BODY(TokenResponse)
HIGGS_API_BODY(User)
HIGGS_API_BODY(UserList)
HIGGS_API_BODY(CreateUserRequest)
HIGGS_API_BODY(UpdateUserRequest)
HIGGS_API_BODY(NodeState)
HIGGS_API_BODY(CreateActionRequest)
HIGGS_API_BODY(CreatedAction)
HIGGS_API_BODY(SessionList)
HIGGS_API_BODY(AuditList)
HIGGS_API_BODY(Health)

}  // namespace higgs::api

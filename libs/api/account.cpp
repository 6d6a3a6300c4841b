#include "api/account.h"

#include "api/describe_common.h"

namespace higgs::api {
namespace {

constexpr Length kUsername{1, 64};
/// Long enough for any pass phrase, short enough that hashing one is no burden.
constexpr Length kPassword{1, 1024};
constexpr Length kNewPassword{8, 1024};
constexpr Length kCode{1, 64};
constexpr Length kSecret{1, 256};
constexpr Length kNote{0, 256};
constexpr Between kUses{1, 1000};
constexpr Between kQuota{kConfiguredQuota, 9007199254740991.0};  // what JSON's numbers hold exactly
constexpr Between kTime{0, 253402300799.0};                      // the year 9999
constexpr Between kInviteLifetime{60, 366.0 * 86400};

}  // namespace

template <class V, Like<LoginRequest> S>
void describe(V& v, S& s) {
  v("username", s.username, kUsername);
  v("password", s.password, kPassword);
  v.optional("totp", s.totp, kCode);
}

template <class V, Like<CertificateLoginRequest> S>
void describe(V& v, S& s) {
  v.optional("totp", s.totp, kCode);
}

template <class V, Like<SignUpRequest> S>
void describe(V& v, S& s) {
  v.optional("invite", s.invite, kSecret);
  v("username", s.username, kUsername);
  v("password", s.password, kNewPassword);
}

template <class V, Like<ChangePasswordRequest> S>
void describe(V& v, S& s) {
  v("currentPassword", s.current_password, kPassword);
  v("newPassword", s.new_password, kNewPassword);
}
template <class V, Like<PasswordChanged> S>
void describe(V& v, S& s) {
  v("endedSessions", s.ended_sessions);
}

template <class V, Like<EnrolTotpRequest> S>
void describe(V& v, S& s) {
  v("password", s.password, kPassword);
}
template <class V, Like<TotpEnrolment> S>
void describe(V& v, S& s) {
  v("secret", s.secret, kSecret);
  v("uri", s.uri, Length{1, 1024});
}
template <class V, Like<ConfirmTotpRequest> S>
void describe(V& v, S& s) {
  v("totp", s.totp, kCode);
}
template <class V, Like<RecoveryCodes> S>
void describe(V& v, S& s) {
  v("recoveryCodes", s.recovery_codes);
}
template <class V, Like<DisableTotpRequest> S>
void describe(V& v, S& s) {
  v("password", s.password, kPassword);
  v("totp", s.totp, kCode);
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

template <class V, Like<RelayUsage> S>
void describe(V& v, S& s) {
  v("usedBytes", s.used_bytes);
  v.nullable("quotaBytes", s.quota_bytes);
  v("ownQuota", s.own_quota);
  v("resetsAt", s.resets_at);
}
template <class V, Like<UserDetails> S>
void describe(V& v, S& s) {
  describe(v, s.user);
  v("relay", s.relay);
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
  v.optional("totp", s.totp);
  v.optional("apiKeys", s.api_keys);
  v.optional("relayQuota", s.relay_quota, kQuota);
}

template <class V, Like<UpdatedUser> S>
void describe(V& v, S& s) {
  describe(v, s.user);
  v("endedSessions", s.ended_sessions);
  v("apiKeysLeft", s.api_keys_left);
}

template <class V, Like<CreateInviteRequest> S>
void describe(V& v, S& s) {
  v("role", s.role);
  v.optional("uses", s.uses, kUses);
  v.optional("lifetimeSeconds", s.lifetime_seconds, kInviteLifetime);
}
template <class V, Like<CreatedInvite> S>
void describe(V& v, S& s) {
  v("id", s.id, kName);
  v("invite", s.invite, kSecret);
  v("role", s.role);
  v("uses", s.uses);
  v("expiresAt", s.expires_at);
}

template <class V, Like<Invite> S>
void describe(V& v, S& s) {
  v("id", s.id, kName);
  v("role", s.role);
  v("usesLeft", s.uses_left);
  v("createdBy", s.created_by);
  v("createdAt", s.created_at);
  v("expiresAt", s.expires_at);
}
template <class V, Like<InviteList> S>
void describe(V& v, S& s) {
  v("invites", s.invites);
  v.nullable("nextCursor", s.next_cursor);
}

template <class V, Like<CreateApiKeyRequest> S>
void describe(V& v, S& s) {
  v("name", s.name, kName);
  v.optional("role", s.role);
  v.optional("expiresAt", s.expires_at, kTime);
}
template <class V, Like<ApiKey> S>
void describe(V& v, S& s) {
  v("id", s.id, kName);
  v("name", s.name, kName);
  v("role", s.role);
  v("createdAt", s.created_at);
  v.nullable("expiresAt", s.expires_at);
  v.nullable("lastUsedAt", s.last_used_at);
}
template <class V, Like<CreatedApiKey> S>
void describe(V& v, S& s) {
  describe(v, s.api_key);
  v("key", s.key, kSecret);
}
template <class V, Like<ApiKeyList> S>
void describe(V& v, S& s) {
  v("keys", s.keys);
}

template <class V, Like<CreateAllowEntryRequest> S>
void describe(V& v, S& s) {
  v.nullable("network", s.network);
  v.nullable("identityKey", s.identity_key);
  v.optional("note", s.note, kNote);
}
template <class V, Like<AllowListEntry> S>
void describe(V& v, S& s) {
  v("id", s.id, kName);
  v.nullable("network", s.network);
  v.nullable("identityKey", s.identity_key);
  v("note", s.note, kNote);
  v("createdBy", s.created_by);
  v("createdAt", s.created_at);
}
template <class V, Like<AllowList> S>
void describe(V& v, S& s) {
  v("entries", s.entries);
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
template <class V, Like<PendingAction> S>
void describe(V& v, S& s) {
  v("id", s.id, kName);
  v("type", s.type);
  v("payload", s.payload);
  v("createdAt", s.created_at);
}
template <class V, Like<ActionList> S>
void describe(V& v, S& s) {
  v("actions", s.actions);
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
HIGGS_API_BODY(CertificateLoginRequest)
HIGGS_API_BODY(SignUpRequest)
HIGGS_API_BODY(ChangePasswordRequest)
HIGGS_API_BODY(PasswordChanged)
HIGGS_API_BODY(EnrolTotpRequest)
HIGGS_API_BODY(TotpEnrolment)
HIGGS_API_BODY(ConfirmTotpRequest)
HIGGS_API_BODY(RecoveryCodes)
HIGGS_API_BODY(DisableTotpRequest)
HIGGS_API_BODY(RefreshRequest)
HIGGS_API_BODY(LogoutRequest)
HIGGS_API_BODY(TokenResponse)
HIGGS_API_BODY(User)
HIGGS_API_BODY(UserDetails)
HIGGS_API_BODY(UserList)
HIGGS_API_BODY(CreateUserRequest)
HIGGS_API_BODY(UpdateUserRequest)
HIGGS_API_BODY(UpdatedUser)
HIGGS_API_BODY(CreateInviteRequest)
HIGGS_API_BODY(CreatedInvite)
HIGGS_API_BODY(InviteList)
HIGGS_API_BODY(CreateApiKeyRequest)
HIGGS_API_BODY(CreatedApiKey)
HIGGS_API_BODY(ApiKeyList)
HIGGS_API_BODY(CreateAllowEntryRequest)
HIGGS_API_BODY(AllowListEntry)
HIGGS_API_BODY(AllowList)
HIGGS_API_BODY(NodeState)
HIGGS_API_BODY(CreateActionRequest)
HIGGS_API_BODY(CreatedAction)
HIGGS_API_BODY(ActionList)
HIGGS_API_BODY(SessionList)
HIGGS_API_BODY(AuditList)
HIGGS_API_BODY(Health)

}  // namespace higgs::api

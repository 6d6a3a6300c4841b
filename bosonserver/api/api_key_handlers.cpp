// API keys, for programs that act as their user.
#include "api/account.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/api/handlers.h"
#include "bosonserver/api/tokens.h"
#include "bosonserver/api/user_rules.h"

namespace higgs::boson {
namespace {

api::ApiKey shown(const ApiKeyRecord& key) {
  return {key.id, key.name, key.role, key.created_at, key.expires_at, key.last_used_at};
}

net::HttpResponse list_of(Call& call, UserId user) {
  const auto keys = call.services.store.api_keys(user);
  if (!keys) return store_failure(keys.error(), "API key");
  api::ApiKeyList list;
  for (const auto& key : *keys) list.keys.push_back(shown(key));
  return json_answer(list);
}

}  // namespace

net::HttpResponse list_api_keys(Call& call) { return list_of(call, call.user->id); }

net::HttpResponse create_api_key(Call& call) {
  const auto body = call.body<api::CreateApiKeyRequest>();
  if (!body) return invalid_body(body.error());
  if (body->role && *body->role > call.role) return forbidden("the role of a key is at most one's own");
  if (body->expires_at && *body->expires_at <= call.seconds())
    return invalid_field("/expiresAt", "is not in the future");
  const SecretString secret(std::string(kApiKeyPrefix) + random_secret(call.services.random));
  ApiKeyRecord key;
  key.id = Uuid::random(call.services.random).to_string();
  key.user = call.user->id;
  key.name = body->name;
  key.digest = digest_of_secret(secret.reveal());
  key.role = body->role.value_or(call.role);
  key.created_at = call.seconds();
  key.expires_at = body->expires_at;
  const auto added = call.services.store.add_api_key(key);
  if (!added && added.error() == StoreError::kExists)
    return problem_answer(409, "key-exists", "There is a key of this name already");
  if (!added && added.error() == StoreError::kFull)
    return problem_answer(409, "too-many-keys", "There are too many keys", "remove one first");
  if (!added) return store_failure(added.error(), "user");
  call.audit("api-key.create", key.name, "ok: " + std::string(api::to_string(key.role)));
  return json_answer(api::CreatedApiKey{shown(key), secret}, 201);
}

net::HttpResponse delete_api_key(Call& call) {
  if (!Uuid::parse(call.parameters.front())) return not_found("API key");
  const auto removed = call.services.store.remove_api_key(call.user->id, call.parameters.front());
  if (!removed) return store_failure(removed.error(), "API key");
  call.audit("api-key.delete", call.parameters.front(), "ok");
  return no_content();
}

net::HttpResponse list_user_api_keys(Call& call) {
  const auto id = call.id<UserId>();
  if (!id) return not_found("user");
  const auto user = call.services.store.user_by_id(*id);
  if (!user) return store_failure(user.error(), "user");
  return list_of(call, *id);
}

net::HttpResponse delete_user_api_key(Call& call) {
  const auto id = call.id<UserId>();
  if (!id) return not_found("user");
  const auto user = call.services.store.user_by_id(*id);
  if (!user) return store_failure(user.error(), "user");
  const auto revoked = revoke_api_key(call.services.store, *id, call.parameters.at(1));
  if (!revoked) return store_failure(revoked.error(), "API key");
  call.act_object = revoked->id;
  call.audit_act("ok: " + revoked->name + " of " + user->name);
  return no_content();
}

}  // namespace higgs::boson

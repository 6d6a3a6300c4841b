// Accounts, for admins.
#include "api/account.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/api/handlers.h"
#include "bosonserver/api/paging.h"
#include "bosonserver/api/user_rules.h"
#include "bosonserver/domain/quota_period.h"

namespace higgs::boson {
namespace {

api::User shown(const UserRecord& user) { return {user.id, user.name, user.role, user.disabled, user.created_at}; }

/// A key acts for its user, and not on it: who has stolen one must not become that user.
std::optional<net::HttpResponse> refuse_own_account(const Call& call, UserId user) {
  if (!call.key_name || user != call.user->id) return std::nullopt;
  return forbidden("an API key has no power over its own account");
}

/// What an update has done, for the audit.
using Done = std::vector<std::string>;

Done changes_of(const api::UpdateUserRequest& body, std::size_t ended_sessions) {
  Done done;
  if (body.password) done.emplace_back("password");
  if (body.role) done.push_back("role=" + std::string(api::to_string(*body.role)));
  if (body.disabled) done.emplace_back(*body.disabled ? "disabled" : "enabled");
  if (ended_sessions > 0) done.push_back("ended " + std::to_string(ended_sessions) + " sessions");
  return done;
}

std::string outcome_of(const Done& done) {
  std::string text = "ok:";
  for (const auto& what : done) text += (&what == &done.front() ? " " : ", ") + what;
  return text;
}

Result<void> remove_totp_of(Store& store, UserId user, Done& done) {
  const auto removed = store.remove_totp(user);
  if (!removed && removed.error() != StoreError::kNotFound) return removed;
  done.emplace_back("totp removed");
  return {};
}

Result<void> remove_api_keys_of(Store& store, UserId user, Done& done) {
  const auto revoked = revoke_api_keys(store, user);
  if (!revoked) return revoked.error();
  done.push_back("revoked " + std::to_string(*revoked) + " API keys");
  return {};
}

Result<void> set_relay_quota_of(Store& store, UserId user, std::int64_t quota, Done& done) {
  std::optional<std::uint64_t> bytes;
  if (quota != api::kConfiguredQuota) bytes = static_cast<std::uint64_t>(quota);
  const auto set = store.set_relay_quota(user, bytes);
  if (!set) return set;
  done.push_back("relay-quota=" + (bytes ? std::to_string(quota) : "configured"));
  return {};
}

/// What does not stand in the account's own row. `done` also has what was done before something failed.
Result<void> update_beside(Store& store, UserId user, const api::UpdateUserRequest& body, Done& done) {
  Result<void> so_far;
  if (body.totp) so_far = remove_totp_of(store, user, done);
  if (so_far && body.api_keys) so_far = remove_api_keys_of(store, user, done);
  if (so_far && body.relay_quota) so_far = set_relay_quota_of(store, user, *body.relay_quota, done);
  if (!so_far) done.push_back("then failed: " + so_far.error().message());
  return so_far;
}

}  // namespace

net::HttpResponse list_users(Call& call) {
  const auto page = page_of(call);
  if (!page) return bad_query("limit is not a number from 1 to 500");
  const auto users = call.services.store.users(page->cursor.value_or(""), page->limit + 1);
  if (!users) return store_failure(users.error(), "user");
  api::UserList list;
  for (const auto& user : *users) {
    if (list.users.size() == page->limit) {
      list.next_cursor = list.users.back().username;
      break;
    }
    list.users.push_back(shown(user));
  }
  return json_answer(list);
}

net::HttpResponse create_user(Call& call) {
  const auto body = call.body<api::CreateUserRequest>();
  if (!body) return invalid_body(body.error());
  if (auto fault = fault_of_user_name(body->username)) return invalid_field("/username", *fault);
  call.act_object = body->username;
  UserRecord user;
  user.id = UserId(Uuid::random(call.services.random));
  user.name = body->username;
  user.password_hash = call.services.passwords.hash(body->password);
  user.role = body->role;
  user.created_at = call.seconds();
  const auto added = call.services.store.add_user(user);
  if (!added && added.error() == StoreError::kExists)
    return problem_answer(409, "user-exists", "There is such a user already");
  if (!added) return store_failure(added.error(), "user");
  call.audit_act("ok: " + std::string(api::to_string(user.role)));
  auto response = json_answer(shown(user), 201);
  response.headers.set("Location", "/api/v1/users/" + to_string(user.id));
  return response;
}

net::HttpResponse get_user(Call& call) {
  const auto id = call.id<UserId>();
  if (!id) return not_found("user");
  const auto user = call.services.store.user_by_id(*id);
  if (!user) return store_failure(user.error(), "user");
  const auto period = quota_period_at(call.seconds());
  const auto account = call.services.store.relay_account(*id, period.number);
  if (!account) return store_failure(account.error(), "user");
  const auto quota = account->quota(call.services.settings.relay_quota_bytes);
  return json_answer(api::UserDetails{
      shown(*user), {account->used_bytes, quota, account->own_quota_bytes.has_value(), period.ends_at}});
}

net::HttpResponse update_user(Call& call) {
  const auto id = call.id<UserId>();
  if (!id) return not_found("user");
  const auto body = call.body<api::UpdateUserRequest>();
  if (!body) return invalid_body(body.error());
  if (body->totp.value_or(false)) return invalid_field("/totp", "can only be false: users enrol themselves");
  if (body->api_keys.value_or(false)) return invalid_field("/apiKeys", "can only be false: users make them themselves");
  if (auto refused = refuse_own_account(call, *id)) return std::move(*refused);
  auto& store = call.services.store;
  const auto user = store.user_by_id(*id);
  if (!user) return store_failure(user.error(), "user");
  call.act_object = user->name;
  UserChange change{.role = body->role, .disabled = body->disabled};
  if (body->password) change.password_hash = call.services.passwords.hash(*body->password);
  const auto changed = store.change_user(*id, change, call.seconds());
  if (!changed) return store_failure(changed.error(), "user");
  sessions_over(call.services, changed->ended);
  auto done = changes_of(*body, changed->ended.size());
  const auto beside = update_beside(store, *id, *body, done);
  call.audit_act(outcome_of(done));
  if (!beside) return store_failure(beside.error(), "user");
  const auto keys = store.api_keys(*id);
  if (!keys) return store_failure(keys.error(), "user");
  return json_answer(api::UpdatedUser{shown(changed->user), static_cast<std::uint32_t>(changed->ended.size()),
                                      static_cast<std::uint32_t>(keys->size())});
}

net::HttpResponse delete_user(Call& call) {
  const auto id = call.id<UserId>();
  if (!id) return not_found("user");
  if (auto refused = refuse_own_account(call, *id)) return std::move(*refused);
  const auto user = call.services.store.user_by_id(*id);
  if (!user) return store_failure(user.error(), "user");
  call.act_object = user->name;
  const auto ended = call.services.store.remove_user(*id, call.seconds());
  if (!ended) return store_failure(ended.error(), "user");
  call.audit_act("ok");
  sessions_over(call.services, *ended);
  return no_content();
}

}  // namespace higgs::boson

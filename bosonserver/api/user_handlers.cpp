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

/// What an update did, for the audit.
std::string outcome_of(const api::UpdateUserRequest& body, std::size_t ended_sessions) {
  std::string text = "ok:";
  if (body.password) text += " password";
  if (body.role) text += " role=" + std::string(api::to_string(*body.role));
  if (body.disabled) text += *body.disabled ? " disabled" : " enabled";
  if (body.totp) text += " totp removed";
  if (body.relay_quota) {
    const auto quota = *body.relay_quota;
    text += " relay-quota=" + (quota == api::kConfiguredQuota ? "configured" : std::to_string(quota));
  }
  if (ended_sessions > 0) text += ", ended " + std::to_string(ended_sessions) + " sessions";
  return text;
}

/// nullopt: done, also where there was none.
std::optional<net::HttpResponse> remove_totp_of(Call& call, UserId user) {
  const auto removed = call.services.store.remove_totp(user);
  if (!removed && removed.error() != StoreError::kNotFound) return store_failure(removed.error(), "user");
  return std::nullopt;
}

std::optional<net::HttpResponse> set_relay_quota(Call& call, UserId user, std::int64_t quota) {
  std::optional<std::uint64_t> bytes;
  if (quota != api::kConfiguredQuota) bytes = static_cast<std::uint64_t>(quota);
  const auto set = call.services.store.set_relay_quota(user, bytes);
  return set ? std::nullopt : std::optional(store_failure(set.error(), "user"));
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
  UserRecord user;
  user.id = UserId(Uuid::random(call.services.random));
  user.name = body->username;
  user.password_hash = call.services.passwords.hash(body->password);
  user.role = body->role;
  user.created_at = call.seconds();
  const auto added = call.services.store.add_user(user);
  if (!added && added.error() == StoreError::kExists) {
    call.audit("user.create", user.name, "exists");
    return problem_answer(409, "user-exists", "There is such a user already");
  }
  if (!added) return store_failure(added.error(), "user");
  call.audit("user.create", user.name, "ok: " + std::string(api::to_string(user.role)));
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
  if (auto refused = refuse_own_account(call, *id)) return std::move(*refused);
  const auto user = call.services.store.user_by_id(*id);
  if (!user) return store_failure(user.error(), "user");
  UserChange change{.role = body->role, .disabled = body->disabled};
  if (body->password) change.password_hash = call.services.passwords.hash(*body->password);
  const auto changed = call.services.store.change_user(*id, change, call.seconds());
  if (!changed) return store_failure(changed.error(), "user");
  sessions_over(call.services, changed->ended);
  if (body->totp) {
    if (auto refused = remove_totp_of(call, *id)) return std::move(*refused);
  }
  if (body->relay_quota) {
    if (auto refused = set_relay_quota(call, *id, *body->relay_quota)) return std::move(*refused);
  }
  call.audit("user.update", user->name, outcome_of(*body, changed->ended.size()));
  return json_answer(api::UpdatedUser{shown(changed->user), static_cast<std::uint32_t>(changed->ended.size())});
}

net::HttpResponse delete_user(Call& call) {
  const auto id = call.id<UserId>();
  if (!id) return not_found("user");
  if (auto refused = refuse_own_account(call, *id)) return std::move(*refused);
  const auto user = call.services.store.user_by_id(*id);
  if (!user) return store_failure(user.error(), "user");
  const auto ended = call.services.store.remove_user(*id, call.seconds());
  if (!ended) return store_failure(ended.error(), "user");
  sessions_over(call.services, *ended);
  call.audit("user.delete", user->name, "ok");
  return no_content();
}

}  // namespace higgs::boson

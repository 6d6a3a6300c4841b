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

std::optional<net::HttpResponse> refuse_last_admin(Call& call, const UserRecord& user) {
  const auto last = is_last_admin(call.services.store, user);
  if (!last) return store_failure(last.error(), "user");
  if (!*last) return std::nullopt;
  return problem_answer(409, "last-admin", "This is the last admin", "make another one first");
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
  auto user = call.services.store.user_by_id(*id);
  if (!user) return store_failure(user.error(), "user");
  const bool loses_power = body->disabled.value_or(false) || (body->role && *body->role != api::Role::kAdmin);
  if (loses_power) {
    if (auto refused = refuse_last_admin(call, *user)) return std::move(*refused);
  }
  if (body->totp) {
    if (auto refused = remove_totp_of(call, *id)) return std::move(*refused);
  }
  if (body->relay_quota) {
    if (auto refused = set_relay_quota(call, *id, *body->relay_quota)) return std::move(*refused);
  }
  const bool ends = body->password || (body->disabled.value_or(false) && !user->disabled);
  if (body->password) user->password_hash = call.services.passwords.hash(*body->password);
  if (body->role) user->role = *body->role;
  if (body->disabled) user->disabled = *body->disabled;
  const auto updated = call.services.store.update_user(*user, ends, call.seconds());
  if (!updated) return store_failure(updated.error(), "user");
  Result<std::size_t> ended = 0;
  if (ends)
    ended = end_sessions_of(call.services, *id, user->disabled ? "disabled" : "password changed", call.seconds());
  if (!ended) return store_failure(ended.error(), "session");
  call.audit("user.update", user->name, outcome_of(*body, *ended));
  return json_answer(api::UpdatedUser{shown(*user), static_cast<std::uint32_t>(*ended)});
}

net::HttpResponse delete_user(Call& call) {
  const auto id = call.id<UserId>();
  if (!id) return not_found("user");
  const auto user = call.services.store.user_by_id(*id);
  if (!user) return store_failure(user.error(), "user");
  if (auto refused = refuse_last_admin(call, *user)) return std::move(*refused);
  const auto removed = call.services.store.remove_user(*id);
  if (!removed) return store_failure(removed.error(), "user");
  if (const auto ended = end_sessions_of(call.services, *id, "removed", call.seconds()); !ended)
    return store_failure(ended.error(), "session");
  call.audit("user.delete", user->name, "ok");
  return no_content();
}

}  // namespace higgs::boson

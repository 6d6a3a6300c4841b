// Accounts, for admins.
#include "api/account.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/api/handlers.h"
#include "bosonserver/api/paging.h"
#include "bosonserver/api/user_rules.h"
#include "crypto/password_hash.h"

namespace higgs::boson {
namespace {

api::User shown(const UserRecord& user) { return {user.id, user.name, user.role, user.disabled, user.created_at}; }

/// Whether nobody could administer the server without this user.
Result<bool> is_last_admin(Call& call, UserId id) {
  std::string after;
  for (;;) {
    const auto page = call.services.store.users(after, kMaxPage);
    if (!page) return {boost::system::in_place_error, page.error()};
    for (const auto& user : *page)
      if (user.id != id && user.role == api::Role::kAdmin && !user.disabled) return false;
    if (page->size() < kMaxPage) return true;
    after = page->back().name;
  }
}

std::optional<net::HttpResponse> refuse_last_admin(Call& call, const UserRecord& user) {
  if (user.role != api::Role::kAdmin || user.disabled) return std::nullopt;
  const auto last = is_last_admin(call, user.id);
  if (!last) return store_failure(last.error(), "user");
  if (!*last) return std::nullopt;
  return problem_answer(409, "last-admin", "This is the last admin", "make another one first");
}

void close_sessions_of(Call& call, UserId user, const std::string& reason) {
  const auto ended = call.services.store.end_sessions_of_user(user, reason, call.seconds());
  if (!ended) return;
  for (const auto& session : *ended) session_over(call.services, session, relay::CloseReason::kEnded);
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
  user.password_hash = crypto::hash_password(body->password, call.services.random);
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
  return json_answer(shown(*user));
}

net::HttpResponse update_user(Call& call) {
  const auto id = call.id<UserId>();
  if (!id) return not_found("user");
  const auto body = call.body<api::UpdateUserRequest>();
  if (!body) return invalid_body(body.error());
  auto user = call.services.store.user_by_id(*id);
  if (!user) return store_failure(user.error(), "user");
  const bool loses_power = body->disabled.value_or(false) || (body->role && *body->role != api::Role::kAdmin);
  if (loses_power) {
    if (auto refused = refuse_last_admin(call, *user)) return std::move(*refused);
  }
  const bool was_disabled = user->disabled;
  if (body->password) user->password_hash = crypto::hash_password(*body->password, call.services.random);
  if (body->role) user->role = *body->role;
  if (body->disabled) user->disabled = *body->disabled;
  const bool ends = user->disabled && !was_disabled;
  const auto updated = call.services.store.update_user(*user, ends || body->password, call.seconds());
  if (!updated) return store_failure(updated.error(), "user");
  if (ends) close_sessions_of(call, *id, "disabled");
  call.audit("user.update", user->name,
             "ok:" + std::string(body->password ? " password" : "") +
                 (body->role ? " role=" + std::string(api::to_string(user->role)) : "") +
                 (body->disabled ? (user->disabled ? " disabled" : " enabled") : ""));
  return json_answer(shown(*user));
}

net::HttpResponse delete_user(Call& call) {
  const auto id = call.id<UserId>();
  if (!id) return not_found("user");
  const auto user = call.services.store.user_by_id(*id);
  if (!user) return store_failure(user.error(), "user");
  if (auto refused = refuse_last_admin(call, *user)) return std::move(*refused);
  const auto removed = call.services.store.remove_user(*id);
  if (!removed) return store_failure(removed.error(), "user");
  close_sessions_of(call, *id, "removed");
  call.audit("user.delete", user->name, "ok");
  return no_content();
}

}  // namespace higgs::boson

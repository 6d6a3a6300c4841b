// Invites, and the accounts that people make themselves.
#include "api/account.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/api/handlers.h"
#include "bosonserver/api/paging.h"
#include "bosonserver/api/tokens.h"
#include "bosonserver/api/user_rules.h"

namespace higgs::boson {
namespace {

net::HttpResponse bad_invite() {
  return problem_answer(403, "bad-invite", "The invite is not valid (any more)", "ask for a new one");
}

UserRecord new_user(Call& call, const api::SignUpRequest& body) {
  UserRecord user;
  user.id = UserId(Uuid::random(call.services.random));
  user.name = body.username;
  user.password_hash = call.services.passwords.hash(body.password);
  user.created_at = call.seconds();
  return user;
}

}  // namespace

net::HttpResponse create_invite(Call& call) {
  const auto body = call.body<api::CreateInviteRequest>();
  if (!body) return invalid_body(body.error());
  if (body->role > call.role) return forbidden("the role of an invite is at most one's own");
  const auto made = make_invite(call.services.random, body->role, body->uses.value_or(1),
                                body->lifetime_seconds.value_or(kInviteLifetime.count()), call.actor(), call.seconds());
  const auto added = call.services.store.add_invite(made.record);
  if (!added) return store_failure(added.error(), "invite");
  call.act_object = made.record.id;
  call.audit_act("ok: " + std::string(api::to_string(body->role)));
  return json_answer(
      api::CreatedInvite{made.record.id, made.secret, body->role, made.record.uses_left, made.record.expires_at}, 201);
}

net::HttpResponse list_invites(Call& call) {
  const auto page = page_of(call);
  if (!page) return bad_query("limit is not a number from 1 to 500");
  const auto invites = call.services.store.invites(page->cursor.value_or(""), page->limit + 1, call.seconds());
  if (!invites) return store_failure(invites.error(), "invite");
  api::InviteList list;
  for (const auto& invite : *invites) {
    if (list.invites.size() == page->limit) {
      list.next_cursor = list.invites.back().id;
      break;
    }
    list.invites.push_back(
        {invite.id, invite.role, invite.uses_left, invite.created_by, invite.created_at, invite.expires_at});
  }
  return json_answer(list);
}

net::HttpResponse delete_invite(Call& call) {
  if (!Uuid::parse(call.parameters.front())) return not_found("invite");
  call.act_object = call.parameters.front();
  const auto removed = call.services.store.remove_invite(call.act_object);
  if (!removed) return store_failure(removed.error(), "invite");
  call.audit_act("ok");
  return no_content();
}

net::HttpResponse sign_up(Call& call) {
  const auto body = call.body<api::SignUpRequest>();
  if (!body) return invalid_body(body.error());
  if (auto fault = fault_of_user_name(body->username)) return invalid_field("/username", *fault);
  const auto account = "user:" + body->username;
  auto& store = call.services.store;
  Result<UserRecord> added = StoreError::kNotFound;
  if (body->invite) {
    const auto digest = digest_of_secret(body->invite->reveal());
    // Looked at before the password is hashed: nobody may make the server work without one.
    const auto invite = store.invite(digest, call.seconds());
    added = invite ? store.redeem_invite(digest, new_user(call, *body), call.seconds()) : invite.error();
  } else if (call.services.settings.registration == Registration::kOpen) {
    const auto user = new_user(call, *body);
    const auto stored = store.add_user(user);
    added = stored ? Result<UserRecord>(user) : stored.error();
  }
  if (!added && added.error() == StoreError::kNotFound) {
    call.audit("user.register", account, "bad invite");
    return bad_invite();
  }
  if (!added && added.error() == StoreError::kExists) {
    call.audit("user.register", account, "exists");
    return problem_answer(409, "user-exists", "There is such a user already");
  }
  if (!added) return store_failure(added.error(), "user");
  call.audit_as(account, "user.register", account, "ok: " + std::string(api::to_string(added->role)));
  return json_answer(api::User{added->id, added->name, added->role, added->disabled, added->created_at}, 201);
}

}  // namespace higgs::boson

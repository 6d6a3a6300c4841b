// A user changes the own password.
#include "api/account.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/api/handlers.h"
#include "bosonserver/api/login_guard.h"

namespace higgs::boson {

net::HttpResponse change_password(Call& call) {
  const auto body = call.body<api::ChangePasswordRequest>();
  if (!body) return invalid_body(body.error());
  LoginGuard guard(call, "password.change", call.user->name);
  if (auto refused = guard.refuse_locked()) return std::move(*refused);
  auto& passwords = call.services.passwords;
  // Not 401: the token is good, and a program would renew it and try again.
  if (!passwords.verify(body->current_password, &call.user->password_hash))
    return guard.deny("denied", problem_answer(403, "bad-credentials", "The current password is wrong"));
  if (auto refused = guard.refuse_after(Proof::kGood)) return std::move(*refused);
  const auto changed = call.services.store.change_password(call.user->id, call.user->password_hash,
                                                           passwords.hash(body->new_password), true, call.seconds());
  if (!changed && changed.error() == StoreError::kNotFound)
    return problem_answer(409, "changed-meanwhile", "The password was changed meanwhile");
  if (!changed) return store_failure(changed.error(), "user");
  sessions_over(call.services, *changed);
  guard.audit("ok: ended " + std::to_string(changed->size()) + " sessions");
  return json_answer(api::PasswordChanged{static_cast<std::uint32_t>(changed->size())});
}

}  // namespace higgs::boson

// One-time codes: a user enrols an authenticator, confirms it with a code, and does without it again.
#include "api/account.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/api/handlers.h"
#include "bosonserver/api/login_guard.h"
#include "bosonserver/api/second_factor.h"

namespace higgs::boson {
namespace {

/// What authenticators show beside the user's name.
std::string issuer_of(const Call& call) {
  const auto origin = call.origin();
  return origin ? "Higgs " + origin->substr(std::string_view("https://").size()) : "Higgs";
}

net::HttpResponse denied(LoginGuard& guard, std::string_view title) {
  return guard.deny("denied", problem_answer(403, "bad-credentials", title));
}

net::HttpResponse not_enrolled() {
  return problem_answer(409, "totp-not-enrolled", "No authenticator waits to be confirmed", "enrol one first");
}

}  // namespace

net::HttpResponse enrol_totp(Call& call) {
  const auto body = call.body<api::EnrolTotpRequest>();
  if (!body) return invalid_body(body.error());
  LoginGuard guard(call, "totp.enrol", call.user->name);
  if (auto refused = guard.refuse_locked()) return std::move(*refused);
  // A token alone must not be able to lock its owner out.
  if (!call.services.passwords.verify(body->password, &call.user->password_hash))
    return denied(guard, "The password is wrong");
  if (auto refused = guard.refuse_after(Proof::kGood)) return std::move(*refused);
  const TotpSecret secret(call.services.random.array<TotpSecret::kSize>());
  const auto sealed = call.services.sealer.seal(totp_context(call.user->id), secret.reveal());
  const auto enrolled = call.services.store.enrol_totp(call.user->id, sealed, call.seconds());
  if (!enrolled && enrolled.error() == StoreError::kExists)
    return problem_answer(409, "totp-enrolled", "One-time codes are in force already", "disable them first");
  if (!enrolled) return store_failure(enrolled.error(), "user");
  guard.audit("ok");
  return json_answer(api::TotpEnrolment{totp_text(secret), totp_uri(issuer_of(call), call.user->name, secret)});
}

net::HttpResponse confirm_totp(Call& call) {
  const auto body = call.body<api::ConfirmTotpRequest>();
  if (!body) return invalid_body(body.error());
  LoginGuard guard(call, "totp.confirm", call.user->name);
  if (auto refused = guard.refuse_locked()) return std::move(*refused);
  const auto record = call.services.store.totp(call.user->id);
  if (!record && record.error() == StoreError::kNotFound) return not_enrolled();
  if (!record) return store_failure(record.error(), "account");
  if (record->confirmed) return not_enrolled();
  const auto secret = open_totp_secret(call.services, call.user->id, record->sealed);
  const auto step = match_totp(secret, body->totp.reveal(), call.seconds());
  if (!step) return denied(guard, "The code is wrong or too old");
  if (auto refused = guard.refuse_after(Proof::kGood)) return std::move(*refused);
  api::RecoveryCodes codes;
  std::vector<crypto::Sha256Digest> digests;
  for (std::size_t i = 0; i < kRecoveryCodes; ++i) {
    codes.recovery_codes.push_back(make_recovery_code(call.services.random));
    digests.push_back(recovery_digest(codes.recovery_codes.back().reveal()));
  }
  const auto confirmed =
      call.services.store.confirm_totp(call.user->id, record->sealed, *step, digests, call.seconds());
  if (!confirmed && confirmed.error() == StoreError::kNotFound) return not_enrolled();
  if (!confirmed) return store_failure(confirmed.error(), "account");
  guard.audit("ok");
  return json_answer(codes);
}

net::HttpResponse disable_totp(Call& call) {
  const auto body = call.body<api::DisableTotpRequest>();
  if (!body) return invalid_body(body.error());
  LoginGuard guard(call, "totp.disable", call.user->name);
  if (auto refused = guard.refuse_locked()) return std::move(*refused);
  if (!call.services.passwords.verify(body->password, &call.user->password_hash))
    return denied(guard, "The password or the code is wrong");
  const auto factor = check_second_factor(call, call.user->id, body->totp);
  if (!factor) return store_failure(factor.error(), "account");
  if (*factor == SecondFactor::kNotWanted)
    return problem_answer(409, "totp-not-enrolled", "One-time codes are not in force");
  if (*factor != SecondFactor::kGood) return denied(guard, "The password or the code is wrong");
  if (auto refused = guard.refuse_after(Proof::kGood)) return std::move(*refused);
  const auto removed = call.services.store.remove_totp(call.user->id);
  if (!removed) return store_failure(removed.error(), "account");
  guard.audit("ok");
  return no_content();
}

}  // namespace higgs::boson

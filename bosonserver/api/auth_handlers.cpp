// Login by password or certificate, refresh, logout.
#include "api/account.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/api/handlers.h"
#include "bosonserver/api/login_guard.h"
#include "bosonserver/api/second_factor.h"
#include "bosonserver/api/tokens.h"
#include "bosonserver/api/user_rules.h"
#include "crypto/password_hash.h"

namespace higgs::boson {
namespace {

/// Says the same of everybody.
net::HttpResponse bad_credentials(std::string_view = {}) {
  return problem_answer(401, "bad-credentials", "The user name or the password is wrong");
}

net::HttpResponse certificate_refused(std::string_view detail) {
  return problem_answer(401, "certificate-refused", "The client certificate is not accepted", detail);
}

api::TokenResponse token_response(Call& call, const UserRecord& user, const std::string& family,
                                  const std::string& refresh_token, std::int64_t refresh_expires_at) {
  const auto access = access_token(call.services, user, family, call.now);
  api::TokenResponse response;
  response.access_token = access.text;
  response.expires_at = access.expires_at;
  response.refresh_token = refresh_token;
  response.refresh_expires_at = refresh_expires_at;
  if (const auto origin = call.origin()) response.relay_servers = relay_servers(call.services, *origin);
  return response;
}

/// A hash of an older cost is made anew while the password is at hand.
void rehash(Call& call, UserRecord& user, const SecretString& password) {
  if (!crypto::needs_rehash(user.password_hash)) return;
  auto renewed = call.services.passwords.hash(password);
  if (call.services.store.change_password(user.id, user.password_hash, renewed, false, call.seconds()))
    user.password_hash = std::move(renewed);
}

/// A way to log in: how the audit calls it, and what a refusal says of who did not get in by it.
struct Way {
  std::string_view action;
  net::HttpResponse (*refusal)(std::string_view detail);
};
constexpr Way kByPassword{"login", bad_credentials}, kByCertificate{"auth.certificate", certificate_refused};

/// An answer where the second factor is not there. Only who knows the password, or has the certificate, gets here.
std::optional<net::HttpResponse> refuse_without_code(Call& call, LoginGuard& guard, UserId user,
                                                     const std::optional<SecretString>& code) {
  const auto factor = check_second_factor(call, user, code);
  if (!factor) return store_failure(factor.error(), "account");
  const auto wanted = [](std::string_view detail) {
    return problem_answer(401, "totp-required", "A one-time code is needed", detail);
  };
  if (*factor == SecondFactor::kMissing) {
    if (auto refused = guard.refuse_after(Proof::kIncomplete)) return refused;
    guard.audit("code missing");
    return wanted("log in with the present code, or a recovery code, as totp");
  }
  if (*factor == SecondFactor::kWrong)
    return guard.deny("code denied", wanted("the code is wrong, too old, or was used before"));
  return std::nullopt;
}

/// A login of its own, for as long as the password stays the one that was there when it began.
net::HttpResponse begin_login(Call& call, const LoginGuard& guard, const Way& way, const UserRecord& user) {
  const auto family = Uuid::random(call.services.random).to_string();
  const auto refresh_token = random_secret(call.services.random);
  const auto expires_at = call.seconds() + call.services.settings.refresh_lifetime.count();
  // A password that was changed meanwhile has ended all logins; this one would come too late to be among them.
  const auto added = call.services.store.add_refresh_family(family, user.id, digest_of_secret(refresh_token),
                                                            call.seconds(), expires_at, user.password_hash);
  if (!added && added.error() != StoreError::kNotFound) return store_failure(added.error(), "user");
  if (!added) {
    guard.audit("denied: changed meanwhile");
    return way.refusal("the account has changed meanwhile");
  }
  guard.audit_own("ok");
  return json_answer(token_response(call, user, family, refresh_token, expires_at));
}

/// The user whom a certificate names; nullopt: none that there could be, or several.
std::optional<std::string> user_named_by(const net::ClientCertificate& certificate) {
  const auto& names = certificate.common_names;
  if (names.size() != 1 || fault_of_user_name(names.front())) return std::nullopt;
  return names.front();
}

}  // namespace

net::HttpResponse login(Call& call) {
  const auto body = call.body<api::LoginRequest>();
  if (!body) return invalid_body(body.error());
  LoginGuard guard(call, kByPassword.action, body->username);
  if (auto locked = guard.refuse_locked()) return std::move(*locked);
  auto user = call.services.store.user_by_name(body->username);
  if (!user && user.error() != StoreError::kNotFound) return store_failure(user.error(), "user");
  const bool matches = call.services.passwords.verify(body->password, user ? &user->password_hash : nullptr);
  if (!matches || user->disabled) return guard.deny("denied", bad_credentials());
  if (auto refused = refuse_without_code(call, guard, user->id, body->totp)) return std::move(*refused);
  if (auto refused = guard.refuse_after(Proof::kGood)) return std::move(*refused);
  rehash(call, *user, body->password);
  return begin_login(call, guard, kByPassword, *user);
}

/// Who holds a certificate was given the name in it: it is no secret from them what there is of that name.
net::HttpResponse login_by_certificate(Call& call) {
  const auto body = call.body<api::CertificateLoginRequest>();
  if (!body) return invalid_body(body.error());
  const auto& certificate = *call.request.client_certificate;  // the gateway lets nobody pass without
  const auto proof = "certificate:" + to_hex(certificate.fingerprint);
  const auto name = user_named_by(certificate);
  if (!name) {
    call.audit(kByCertificate.action, proof, "denied: it names no user");
    return certificate_refused("its subject must have one CN, and that must be the name of a user");
  }
  LoginGuard guard(call, kByCertificate.action, *name, proof);
  if (auto locked = guard.refuse_locked()) return std::move(*locked);
  const auto user = call.services.store.user_by_name(*name);
  if (!user && user.error() != StoreError::kNotFound) return store_failure(user.error(), "user");
  if (!user) return guard.deny("denied: unknown", certificate_refused("there is no user of its name"));
  if (user->disabled) return guard.deny("denied: disabled", certificate_refused("the account is disabled"));
  if (auto refused = refuse_without_code(call, guard, user->id, body->totp)) return std::move(*refused);
  if (auto refused = guard.refuse_after(Proof::kGood)) return std::move(*refused);
  return begin_login(call, guard, kByCertificate, *user);
}

net::HttpResponse refresh(Call& call) {
  const auto body = call.body<api::RefreshRequest>();
  if (!body) return invalid_body(body.error());
  const auto successor = random_secret(call.services.random);
  const auto expires_at = call.seconds() + call.services.settings.refresh_lifetime.count();
  const auto outcome = call.services.store.rotate_refresh_token(
      digest_of_secret(body->refresh_token.reveal()), digest_of_secret(successor), call.seconds(), expires_at);
  if (!outcome) return store_failure(outcome.error(), "token");
  const auto account = outcome->user ? "user:" + outcome->user->name : "anonymous";
  switch (outcome->kind) {
    case RefreshOutcome::Kind::kRotated:
      return json_answer(token_response(call, *outcome->user, outcome->family, successor, expires_at));
    case RefreshOutcome::Kind::kReused:
      call.audit_as(account, "refresh", account, "reused: the family is revoked");
      break;
    case RefreshOutcome::Kind::kUnknown:
    case RefreshOutcome::Kind::kExpired:
    case RefreshOutcome::Kind::kRevoked:
      call.audit_as(account, "refresh", account, "denied");
      break;
  }
  return problem_answer(401, "bad-refresh-token", "The refresh token is not valid (any more)", "log in again");
}

net::HttpResponse logout(Call& call) {
  const auto body = call.body<api::LogoutRequest>();
  if (!body) return invalid_body(body.error());
  const auto user =
      call.services.store.revoke_refresh_family(digest_of_secret(body->refresh_token.reveal()), call.seconds());
  // Who is logged out already is content.
  if (!user && user.error() == StoreError::kNotFound) return no_content();
  if (!user) return store_failure(user.error(), "token");
  const auto record = call.services.store.user_by_id(*user);
  const auto account = record ? "user:" + record->name : to_string(*user);
  call.audit_as(account, "logout", account, "ok");
  return no_content();
}

}  // namespace higgs::boson

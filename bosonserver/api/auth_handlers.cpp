// Login, refresh, logout.
#include "api/account.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/api/handlers.h"
#include "bosonserver/api/tokens.h"
#include "bosonserver/domain/lockout.h"
#include "crypto/password_hash.h"

namespace higgs::boson {
namespace {

crypto::Sha256Digest digest_of(std::string_view secret) { return crypto::sha256(as_bytes(secret)); }

net::HttpResponse bad_credentials() {
  return problem_answer(401, "bad-credentials", "The user name or the password is wrong");
}

/// The longer of both lock-outs, in seconds.
Result<std::int64_t> locked_seconds(Call& call, const std::string& account, const std::string& place) {
  std::int64_t longest = 0;
  for (const auto& subject : {account, place}) {
    const auto state = call.services.store.lockout(subject);
    if (!state) return state.error();
    longest = std::max(longest, locked_for(*state, call.seconds()));
  }
  return longest;
}

Result<void> count_failure(Call& call, const std::string& account, const std::string& place) {
  const auto& policy = call.services.settings.lockout;
  for (const auto& subject : {account, place}) {
    // Many people may share an address: it is given more room than an account.
    auto own = policy;
    if (subject == place) own.free_failures *= 4;
    const auto counted = call.services.store.update_lockout(
        subject, [&](const Lockout& before) { return after_failure(before, own, call.seconds()); });
    if (!counted) return counted.error();
  }
  return {};
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
  user.password_hash = crypto::hash_password(password, call.services.random);
  (void)call.services.store.update_user(user, false, call.seconds());
}

}  // namespace

net::HttpResponse login(Call& call) {
  const auto body = call.body<api::LoginRequest>();
  if (!body) return invalid_body(body.error());
  const std::string account = "user:" + body->username, place = "address:" + call.address_bucket();
  const auto locked = locked_seconds(call, account, place);
  if (!locked) return store_failure(locked.error(), "account");
  if (*locked > 0) {
    call.audit_as("anonymous", "login", account, "locked");
    return later(429, "locked", "Too many failed logins", *locked);
  }
  auto user = call.services.store.user_by_name(body->username);
  if (!user && user.error() != StoreError::kNotFound) return store_failure(user.error(), "user");
  // The same work whether or not there is such a user, so that the time does not tell.
  const bool matches = crypto::verify_password(body->password, user ? user->password_hash : call.services.dummy_hash);
  if (!matches || !user || user->disabled) {
    if (const auto counted = count_failure(call, account, place); !counted)
      return store_failure(counted.error(), "account");
    call.audit_as("anonymous", "login", account, "denied");
    return bad_credentials();
  }
  (void)call.services.store.clear_lockout(account);
  rehash(call, *user, body->password);
  const auto family = Uuid::random(call.services.random).to_string();
  const auto refresh_token = random_secret(call.services.random);
  const auto expires_at = call.seconds() + call.services.settings.refresh_lifetime.count();
  const auto added =
      call.services.store.add_refresh_family(family, user->id, digest_of(refresh_token), call.seconds(), expires_at);
  if (!added) return store_failure(added.error(), "user");
  call.audit_as(account, "login", account, "ok");
  return json_answer(token_response(call, *user, family, refresh_token, expires_at));
}

net::HttpResponse refresh(Call& call) {
  const auto body = call.body<api::RefreshRequest>();
  if (!body) return invalid_body(body.error());
  const auto successor = random_secret(call.services.random);
  const auto expires_at = call.seconds() + call.services.settings.refresh_lifetime.count();
  const auto outcome = call.services.store.rotate_refresh_token(digest_of(body->refresh_token.reveal()),
                                                                digest_of(successor), call.seconds(), expires_at);
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
  const auto user = call.services.store.revoke_refresh_family(digest_of(body->refresh_token.reveal()), call.seconds());
  // Who is logged out already is content.
  if (!user && user.error() == StoreError::kNotFound) return no_content();
  if (!user) return store_failure(user.error(), "token");
  const auto record = call.services.store.user_by_id(*user);
  const auto account = record ? "user:" + record->name : to_string(*user);
  call.audit_as(account, "logout", account, "ok");
  return no_content();
}

}  // namespace higgs::boson

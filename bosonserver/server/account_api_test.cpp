#include <deque>

#include "bosonserver/api/answers.h"
#include "bosonserver/api/login_guard.h"
#include "bosonserver/server/testing/server_fixture.h"
#include "crypto/password_hash.h"
#include "jwt/verifier.h"

namespace higgs::boson::testing {
namespace {

class AccountApi : public ServerFixture {
 protected:
  net::HttpResponse login(const std::string& name, const std::string& password) {
    api::LoginRequest body{name, SecretString(password), std::nullopt};
    return call("POST", "/api/v1/auth/login", {}, api::encode(body));
  }
  net::HttpResponse refresh(const std::string& token) {
    return call("POST", "/api/v1/auth/refresh", {}, api::encode(api::RefreshRequest{SecretString(token)}));
  }
  UserRecord add_alice(api::Role role = api::Role::kUser) {
    return add_user("alice", role, crypto::hash_password(SecretString("correct horse"), random_));
  }
  std::vector<AuditEntry> audit() { return *services().store.audit(std::nullopt, 100); }
};

TEST_F(AccountApi, LoginGivesTokensThatWork) {
  start();
  add_alice();
  const auto tokens = decoded<api::TokenResponse>(login("alice", "correct horse"));
  EXPECT_EQ(call("GET", "/api/v1/nodes", tokens.access_token).status, 200u);
  EXPECT_EQ(call("GET", "/api/v1/users", tokens.access_token).status, 403u);
  const auto claims =
      jwt::verify(tokens.access_token, *jwt::KeySet::from_jwks(call("GET", "/.well-known/jwks.json").body), "",
                  jwt::Audience::kApi, now().wall);
  ASSERT_TRUE(claims) << "the published keys verify what the server signs";
  EXPECT_EQ(claims->role, "user");
  pass(settings_.api.access_lifetime + std::chrono::seconds(31));
  EXPECT_EQ(call("GET", "/api/v1/nodes", tokens.access_token).status, 401u);
  const auto renewed = decoded<api::TokenResponse>(refresh(tokens.refresh_token));
  EXPECT_EQ(call("GET", "/api/v1/nodes", renewed.access_token).status, 200u);
}

TEST_F(AccountApi, WrongPasswordsAndUnknownUsersLookAlike) {
  start();
  add_alice();
  const auto wrong = login("alice", "wrong");
  const auto unknown = login("mallory", "wrong");
  EXPECT_EQ(outcome(wrong), "401 bad-credentials");
  EXPECT_EQ(wrong.body, unknown.body);
}

TEST_F(AccountApi, ALoginCostsTheSameWhoeverItIsFor) {
  settings_.api.lockout.free_failures = 3;
  start();
  const auto disabled =
      add_user("disabled", api::Role::kUser, crypto::hash_password(SecretString("correct horse"), random_));
  add_alice();
  ASSERT_TRUE(services().store.change_user(disabled.id, {.disabled = true}, 1));
  const auto work = [&](const std::string& name, const std::string& password) {
    const auto before = services().passwords.verified();
    const auto answer = login(name, password);
    return outcome(answer) + " for " + std::to_string(services().passwords.verified() - before);
  };
  EXPECT_EQ(work("alice", "wrong"), "401 bad-credentials for 1");
  EXPECT_EQ(work("nobody", "wrong"), "401 bad-credentials for 1");
  EXPECT_EQ(work("disabled", "wrong"), "401 bad-credentials for 1");
  EXPECT_EQ(work("disabled", "correct horse"), "401 bad-credentials for 1");
  for (const auto* name : {"alice", "nobody", "disabled"})
    for (int i = 0; i < 4; ++i) login(name, "wrong");
  EXPECT_EQ(work("alice", "correct horse"), "429 locked for 0");
  EXPECT_EQ(work("nobody", "wrong"), "429 locked for 0") << "who does not exist is locked as well";
  EXPECT_EQ(work("disabled", "wrong"), "429 locked for 0");
}

TEST_F(AccountApi, FailuresLockTheAccountForLongerAndLonger) {
  start();
  add_alice();
  for (int i = 0; i < 6; ++i) EXPECT_EQ(login("alice", "wrong").status, 401u);
  const auto locked = login("alice", "correct horse");
  EXPECT_EQ(outcome(locked), "429 locked") << "also with the right password";
  EXPECT_EQ(locked.headers.get("Retry-After"), "2");
  EXPECT_EQ(login("bob", "wrong").status, 401u) << "others are not locked";
  pass(std::chrono::seconds(2));
  EXPECT_EQ(login("alice", "wrong").status, 401u);
  EXPECT_EQ(login("alice", "wrong").headers.get("Retry-After"), "4");
  restart();
  EXPECT_EQ(outcome(login("alice", "correct horse")), "429 locked") << "a restart does not unlock";
  pass(std::chrono::seconds(4));
  EXPECT_EQ(login("alice", "correct horse").status, 200u);
  EXPECT_EQ(services().store.lockout("user:alice")->failures, 0u);
}

TEST_F(AccountApi, TriesThatComeTogetherLearnNoMoreThanOneAfterTheOther) {
  settings_.api.lockout.free_failures = 2;
  start();
  add_alice();
  net::HttpRequest request;
  request.remote = *Endpoint::parse("192.0.2.1:1000");
  Call call{request, services(), now(), {}};
  std::deque<LoginGuard> tries;
  for (int i = 0; i < 6; ++i) {
    tries.emplace_back(call, "login", "alice");
    ASSERT_FALSE(tries.back().refuse_locked()) << "none has failed yet";
  }
  const auto deny = [](LoginGuard& guard) {
    return outcome(guard.deny("denied", problem_answer(401, "bad-credentials", "The password is wrong")));
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(deny(tries[i]), "401 bad-credentials");
  EXPECT_EQ(deny(tries[3]), "429 locked");
  const auto after = [&](LoginGuard& guard, Proof proof) {
    const auto refused = guard.refuse_after(proof);
    return refused ? outcome(*refused) : "";
  };
  EXPECT_EQ(after(tries[4], Proof::kIncomplete), "429 locked") << "that the password was right is not told";
  EXPECT_EQ(after(tries[5], Proof::kGood), "429 locked");
  EXPECT_EQ(services().store.lockout("user:alice")->failures, 3u);
  pass(std::chrono::seconds(2));
  Call later{request, services(), now(), {}};
  LoginGuard again(later, "login", "alice");
  EXPECT_EQ(after(again, Proof::kIncomplete), "");
  EXPECT_EQ(services().store.lockout("user:alice")->failures, 3u) << "and no way to have failures forgotten";
  EXPECT_EQ(after(again, Proof::kGood), "");
  EXPECT_EQ(services().store.lockout("user:alice")->failures, 0u);
}

TEST_F(AccountApi, ManyNamesFromOneAddressLockTheAddress) {
  settings_.api.lockout.free_failures = 1;
  start();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(login("name" + std::to_string(i), "x").status, 401u);
  EXPECT_EQ(outcome(login("another", "x")), "429 locked");
}

TEST_F(AccountApi, AReusedRefreshTokenEndsTheFamily) {
  start();
  add_alice();
  const auto first = decoded<api::TokenResponse>(login("alice", "correct horse"));
  const auto second = decoded<api::TokenResponse>(refresh(first.refresh_token));
  EXPECT_NE(first.refresh_token, second.refresh_token);
  EXPECT_EQ(outcome(refresh(first.refresh_token)), "401 bad-refresh-token");
  EXPECT_EQ(outcome(refresh(second.refresh_token)), "401 bad-refresh-token") << "the thief's or the owner's: both end";
  EXPECT_EQ(outcome(refresh("nonsense")), "401 bad-refresh-token");
  bool noted = false;
  for (const auto& entry : audit()) noted = noted || entry.outcome == "reused: the family is revoked";
  EXPECT_TRUE(noted);
}

TEST_F(AccountApi, LogoutEndsTheFamily) {
  start();
  add_alice();
  const auto tokens = decoded<api::TokenResponse>(login("alice", "correct horse"));
  const auto body = api::encode(api::LogoutRequest{SecretString(tokens.refresh_token)});
  EXPECT_EQ(call("POST", "/api/v1/auth/logout", {}, body).status, 204u);
  EXPECT_EQ(call("POST", "/api/v1/auth/logout", {}, body).status, 204u);
  EXPECT_EQ(outcome(refresh(tokens.refresh_token)), "401 bad-refresh-token");
}

TEST_F(AccountApi, AdminsManageUsers) {
  start();
  const auto admin = add_user("root", api::Role::kAdmin);
  const auto token = token_of(admin);
  const auto created =
      call("POST", "/api/v1/users", token, R"({"username":"bob","password":"long enough","role":"operator"})");
  ASSERT_EQ(created.status, 201u) << created.body;
  const auto bob = decoded<api::User>(created);
  EXPECT_EQ(created.headers.get("Location"), "/api/v1/users/" + to_string(bob.user_id));
  EXPECT_EQ(
      outcome(call("POST", "/api/v1/users", token, R"({"username":"bob","password":"long enough","role":"user"})")),
      "409 user-exists");
  EXPECT_EQ(
      outcome(call("POST", "/api/v1/users", token, R"({"username":"b o b","password":"long enough","role":"user"})")),
      "422 invalid-fields");
  EXPECT_EQ(decoded<api::UserList>(call("GET", "/api/v1/users", token)).users.size(), 2u);
  const auto tokens = decoded<api::TokenResponse>(login("bob", "long enough"));
  const auto path = "/api/v1/users/" + to_string(bob.user_id);
  EXPECT_TRUE(decoded<api::User>(call("PATCH", path, token, R"({"disabled":true})")).disabled);
  EXPECT_EQ(login("bob", "long enough").status, 401u);
  EXPECT_EQ(outcome(refresh(tokens.refresh_token)), "401 bad-refresh-token");
  EXPECT_EQ(call("GET", "/api/v1/nodes", tokens.access_token).status, 401u) << "at once";
  EXPECT_EQ(call("PATCH", path, token, R"({"disabled":false,"password":"another one"})").status, 200u);
  EXPECT_EQ(login("bob", "another one").status, 200u);
  EXPECT_EQ(call("DELETE", path, token).status, 204u);
  EXPECT_EQ(call("GET", path, token).status, 404u);
  for (const auto* action : {"user.create", "user.update", "user.delete"}) {
    bool noted = false;
    for (const auto& entry : audit()) noted = noted || (entry.action == action && entry.actor == "user:root");
    EXPECT_TRUE(noted) << action;
  }
}

TEST_F(AccountApi, TheLastAdminStays) {
  start();
  const auto admin = add_user("root", api::Role::kAdmin);
  const auto token = token_of(admin);
  const auto path = "/api/v1/users/" + to_string(admin.id);
  EXPECT_EQ(outcome(call("DELETE", path, token)), "409 last-admin");
  EXPECT_EQ(outcome(call("PATCH", path, token, R"({"role":"user"})")), "409 last-admin");
  EXPECT_EQ(outcome(call("PATCH", path, token, R"({"disabled":true})")), "409 last-admin");
  add_user("second", api::Role::kAdmin);
  EXPECT_EQ(call("PATCH", path, token, R"({"role":"user"})").status, 200u);
}

TEST_F(AccountApi, EveryLoginIsAuditedAndTheAuditIsPaged) {
  start();
  add_alice(api::Role::kOperator);
  login("alice", "wrong");
  const auto tokens = decoded<api::TokenResponse>(login("alice", "correct horse"));
  const auto page = decoded<api::AuditList>(call("GET", "/api/v1/admin/audit?limit=1", tokens.access_token));
  ASSERT_EQ(page.entries.size(), 1u);
  EXPECT_EQ(page.entries[0].action, "login");
  EXPECT_EQ(page.entries[0].outcome, "ok");
  EXPECT_EQ(page.entries[0].address, "127.0.0.1");
  ASSERT_TRUE(page.next_cursor);
  const auto next =
      decoded<api::AuditList>(call("GET", "/api/v1/admin/audit?cursor=" + *page.next_cursor, tokens.access_token));
  ASSERT_EQ(next.entries.size(), 1u);
  EXPECT_EQ(next.entries[0].outcome, "denied");
  for (const auto& entry : audit()) {
    EXPECT_EQ(entry.outcome.find("horse"), std::string::npos);
    EXPECT_EQ(entry.object.find("horse"), std::string::npos);
  }
  EXPECT_EQ(outcome(call("GET", "/api/v1/admin/audit?cursor=x", tokens.access_token)), "400 bad-query");
}

TEST_F(AccountApi, RatesAreLimited) {
  settings_.api.rates.login = 3;
  start();
  for (int i = 0; i < 3; ++i) {
    const auto answer = refresh("nonsense");
    EXPECT_EQ(answer.status, 401u);
    EXPECT_EQ(answer.headers.get("RateLimit-Limit"), "3");
    EXPECT_EQ(answer.headers.get("RateLimit-Remaining"), std::to_string(2 - i));
  }
  const auto refused = refresh("nonsense");
  EXPECT_EQ(outcome(refused), "429 too-many-requests");
  EXPECT_TRUE(refused.headers.get("Retry-After"));
  EXPECT_TRUE(refused.headers.get("RateLimit-Reset"));
  EXPECT_EQ(call("GET", "/healthz").status, 200u);
}

}  // namespace
}  // namespace higgs::boson::testing

// Passwords, one-time codes, invites and API keys, through a whole server.

#include "bosonserver/api/second_factor.h"
#include "bosonserver/server/testing/server_fixture.h"
#include "crypto/password_hash.h"

namespace higgs::boson::testing {
namespace {

class CredentialApi : public ServerFixture {
 protected:
  net::HttpResponse login(const std::string& name, const std::string& password,
                          const std::optional<std::string>& code = std::nullopt) {
    api::LoginRequest body{name, SecretString(password), std::nullopt};
    if (code) body.totp = SecretString(*code);
    return call("POST", "/api/v1/auth/login", {}, api::encode(body));
  }
  UserRecord add_alice(api::Role role = api::Role::kUser) {
    return add_user("alice", role, crypto::hash_password(SecretString("correct horse"), random_));
  }
  std::string login_token(const std::string& name, const std::string& password) {
    return decoded<api::TokenResponse>(login(name, password)).access_token;
  }
  net::HttpResponse post(const std::string& path, const std::string& token, const std::string& body) {
    return call("POST", "/api/v1" + path, token, body);
  }
  /// A tunnel of this caller.
  SessionId open_session(const std::string& token) {
    if (!node_) {
      node_.emplace(random_);
      if (register_node(*node_).status != 200) throw std::runtime_error("cannot register");
    }
    return decoded<api::RoutingResponse>(request_route(token, routing_request())).selected_route.session_id;
  }
  bool noted(const std::string& action, const std::string& outcome) {
    for (const auto& entry : *services().store.audit(std::nullopt, 100))
      if (entry.action == action && entry.outcome.starts_with(outcome)) return true;
    return false;
  }

  // One-time codes.
  /// Enrols and confirms; the recovery codes.
  std::vector<SecretString> enrol(const UserRecord& user, const std::string& token) {
    const auto enrolment =
        decoded<api::TotpEnrolment>(post("/auth/totp/enrol", token, R"({"password":"correct horse"})"));
    secret_.emplace(open_totp_secret(services(), user.id, services().store.totp(user.id)->sealed));
    EXPECT_EQ(enrolment.secret, totp_text(*secret_));
    return decoded<api::RecoveryCodes>(post("/auth/totp/confirm", token, R"({"totp":")" + code() + R"("})"))
        .recovery_codes;
  }
  /// Of the server's present, or so many steps off.
  std::string code(std::int64_t offset = 0) {
    return totp_code(*secret_, totp_step(unix_seconds(now().wall)) + offset);
  }
  /// Six digits that are no code now.
  std::string wrong_code() {
    for (int i = 0;; ++i) {
      auto text = "00000" + std::to_string(i);
      if (text != code(-1) && text != code(0) && text != code(1)) return text;
    }
  }

  std::optional<TestNode> node_;
  std::optional<TotpSecret> secret_;
};

// --- passwords

TEST_F(CredentialApi, ANewPasswordEndsLoginsAndTunnels) {
  start();
  add_alice();
  const auto token = login_token("alice", "correct horse"), elsewhere = login_token("alice", "correct horse");
  const auto session = open_session(token);
  open_session(elsewhere);
  const auto changed =
      post("/auth/password", token, R"({"currentPassword":"correct horse","newPassword":"battery staple"})");
  ASSERT_EQ(changed.status, 200u) << changed.body;
  EXPECT_EQ(decoded<api::PasswordChanged>(changed).ended_sessions, 2u);
  EXPECT_EQ(services().store.session(session)->end_reason, "password changed");
  EXPECT_EQ(call("GET", "/api/v1/nodes", token).status, 401u) << "its own login, too";
  EXPECT_EQ(call("GET", "/api/v1/nodes", elsewhere).status, 401u);
  EXPECT_EQ(login("alice", "correct horse").status, 401u);
  EXPECT_EQ(login("alice", "battery staple").status, 200u);
  EXPECT_TRUE(noted("password.change", "ok: ended 2 sessions"));
}

TEST_F(CredentialApi, WrongPasswordsAtAChangeCountAsFailedLogins) {
  settings_.api.lockout.free_failures = 2;
  start();
  const auto token = token_of(add_alice());
  const std::string wrong = R"({"currentPassword":"x","newPassword":"battery staple"})";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(outcome(post("/auth/password", token, wrong)), "403 bad-credentials");
  EXPECT_EQ(
      outcome(post("/auth/password", token, R"({"currentPassword":"correct horse","newPassword":"battery staple"})")),
      "429 locked");
  EXPECT_EQ(outcome(login("alice", "correct horse")), "429 locked");
  EXPECT_EQ(outcome(post("/auth/password", token, R"({"currentPassword":"x","newPassword":"short"})")),
            "422 invalid-fields");
}

TEST_F(CredentialApi, AnAdminsNewPasswordEndsLoginsAndTunnels) {
  start();
  const auto alice = add_alice();
  const auto admin = token_of(add_user("root", api::Role::kAdmin)), token = login_token("alice", "correct horse");
  open_session(token);
  const auto path = "/api/v1/users/" + to_string(alice.id);
  EXPECT_EQ(decoded<api::UpdatedUser>(call("PATCH", path, admin, R"({"role":"operator"})")).ended_sessions, 0u);
  EXPECT_EQ(call("GET", "/api/v1/admin/audit", token).status, 200u) << "a role is there at once";
  EXPECT_EQ(decoded<api::UpdatedUser>(call("PATCH", path, admin, R"({"password":"battery staple"})")).ended_sessions,
            1u);
  EXPECT_EQ(call("GET", "/api/v1/nodes", token).status, 401u);
}

TEST_F(CredentialApi, AnEndedLoginsAccessTokenEndsWithIt) {
  start();
  add_alice();
  const auto tokens = decoded<api::TokenResponse>(login("alice", "correct horse"));
  const auto other = login_token("alice", "correct horse");
  EXPECT_EQ(post("/auth/logout", "", api::encode(api::LogoutRequest{SecretString(tokens.refresh_token)})).status, 204u);
  EXPECT_EQ(outcome(call("GET", "/api/v1/nodes", tokens.access_token)), "401 unauthorized");
  EXPECT_EQ(call("GET", "/api/v1/nodes", other).status, 200u) << "another login goes on";
}

// --- one-time codes

TEST_F(CredentialApi, ACodeIsWantedOnlyFromWhoKnowsThePassword) {
  start();
  const auto alice = add_alice();
  enrol(alice, token_of(alice));
  const auto without = login("alice", "correct horse");
  EXPECT_EQ(outcome(without), "401 totp-required");
  EXPECT_EQ(outcome(login("alice", "wrong")), "401 bad-credentials");
  EXPECT_EQ(outcome(login("alice", "wrong", code(1))), "401 bad-credentials") << "whatever the code";
  EXPECT_EQ(login("alice", "correct horse", code(1)).status, 200u) << "and it was not used up by that";
}

TEST_F(CredentialApi, ACodeWorksOnce) {
  start();
  const auto alice = add_alice();
  enrol(alice, token_of(alice));
  EXPECT_EQ(outcome(login("alice", "correct horse", code())), "401 totp-required") << "it confirmed";
  pass(kTotpStep * 2);
  const auto once = code();
  EXPECT_EQ(login("alice", "correct horse", once).status, 200u);
  EXPECT_EQ(outcome(login("alice", "correct horse", once)), "401 totp-required");
  EXPECT_EQ(outcome(login("alice", "correct horse", code(-1))), "401 totp-required") << "nor one before it";
  restart();
  EXPECT_EQ(outcome(login("alice", "correct horse", once)), "401 totp-required");
  EXPECT_EQ(login("alice", "correct horse", code(1)).status, 200u);
}

TEST_F(CredentialApi, WrongCodesCountAsFailedLogins) {
  settings_.api.lockout.free_failures = 2;
  start();
  const auto alice = add_alice();
  enrol(alice, token_of(alice));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(outcome(login("alice", "correct horse")), "401 totp-required");
  EXPECT_EQ(services().store.lockout("user:alice")->failures, 0u) << "to give none is no failure";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(outcome(login("alice", "correct horse", wrong_code())), "401 totp-required");
  EXPECT_EQ(outcome(login("alice", "correct horse", code(1))), "429 locked");
  EXPECT_TRUE(noted("login", "code denied"));
}

TEST_F(CredentialApi, ARecoveryCodeWorksOnce) {
  start();
  const auto alice = add_alice();
  const auto codes = enrol(alice, token_of(alice));
  ASSERT_EQ(codes.size(), kRecoveryCodes);
  EXPECT_EQ(login("alice", "correct horse", std::string(codes[3].reveal())).status, 200u);
  EXPECT_EQ(outcome(login("alice", "correct horse", std::string(codes[3].reveal()))), "401 totp-required");
  EXPECT_EQ(login("alice", "correct horse", std::string(codes[4].reveal())).status, 200u);
}

TEST_F(CredentialApi, EnrollingWantsThePasswordAndAConfirmation) {
  start();
  const auto alice = add_alice();
  const auto token = token_of(alice);
  EXPECT_EQ(outcome(post("/auth/totp/enrol", token, R"({"password":"wrong"})")), "403 bad-credentials");
  EXPECT_EQ(outcome(post("/auth/totp/confirm", token, R"({"totp":"000000"})")), "409 totp-not-enrolled");
  const auto enrolment =
      decoded<api::TotpEnrolment>(post("/auth/totp/enrol", token, R"({"password":"correct horse"})"));
  EXPECT_TRUE(enrolment.uri.reveal().starts_with("otpauth://totp/Higgs%20127.0.0.1%3A")) << enrolment.uri.reveal();
  EXPECT_EQ(login("alice", "correct horse").status, 200u) << "it is not in force yet";
  secret_.emplace(open_totp_secret(services(), alice.id, services().store.totp(alice.id)->sealed));
  EXPECT_EQ(outcome(post("/auth/totp/confirm", token, R"({"totp":")" + wrong_code() + R"("})")), "403 bad-credentials");
  EXPECT_EQ(post("/auth/totp/confirm", token, R"({"totp":")" + code() + R"("})").status, 200u);
  EXPECT_EQ(outcome(post("/auth/totp/enrol", token, R"({"password":"correct horse"})")), "409 totp-enrolled");
  const auto sealed = services().store.totp(alice.id)->sealed;
  EXPECT_EQ(std::search(sealed.begin(), sealed.end(), secret_->reveal().begin(), secret_->reveal().end()),
            sealed.end());
}

TEST_F(CredentialApi, DisablingWantsPasswordAndCode) {
  start();
  const auto alice = add_alice();
  const auto token = token_of(alice);
  EXPECT_EQ(outcome(post("/auth/totp/disable", token, R"({"password":"correct horse","totp":"000000"})")),
            "409 totp-not-enrolled");
  enrol(alice, token);
  const auto disable = [&](const std::string& password, const std::string& totp) {
    return post("/auth/totp/disable", token,
                api::encode(api::DisableTotpRequest{SecretString(password), SecretString(totp)}));
  };
  EXPECT_EQ(outcome(disable("wrong", code(1))), "403 bad-credentials");
  EXPECT_EQ(outcome(disable("correct horse", wrong_code())), "403 bad-credentials");
  EXPECT_EQ(disable("correct horse", code(1)).status, 204u);
  EXPECT_EQ(login("alice", "correct horse").status, 200u);
}

TEST_F(CredentialApi, AnAdminHelpsWhoHasLostTheAuthenticator) {
  start();
  const auto alice = add_alice();
  enrol(alice, token_of(alice));
  const auto admin = token_of(add_user("root", api::Role::kAdmin));
  const auto path = "/api/v1/users/" + to_string(alice.id);
  EXPECT_EQ(outcome(call("PATCH", path, admin, R"({"totp":true})")), "422 invalid-fields");
  EXPECT_EQ(call("PATCH", path, admin, R"({"totp":false})").status, 200u);
  EXPECT_EQ(login("alice", "correct horse").status, 200u);
  EXPECT_TRUE(noted("user.update", "ok: totp removed"));
}

// --- invites

TEST_F(CredentialApi, AnInviteMakesAnAccount) {
  start();
  const auto operator_token = token_of(add_user("op", api::Role::kOperator));
  const auto invite = decoded<api::CreatedInvite>(post("/invites", operator_token, R"({"role":"operator"})"));
  const auto body = [&](const std::string& name) {
    return api::encode(api::SignUpRequest{invite.invite, name, SecretString("correct horse")});
  };
  EXPECT_EQ(outcome(post("/auth/register", "", R"({"username":"eve","password":"correct horse"})")), "403 bad-invite");
  EXPECT_EQ(outcome(post("/auth/register", "", R"({"invite":"x","username":"eve","password":"correct horse"})")),
            "403 bad-invite");
  EXPECT_EQ(services().passwords.hashed(), 0u) << "who has no invite makes nobody work";
  EXPECT_EQ(outcome(post("/auth/register", "", body("op"))), "409 user-exists");
  EXPECT_EQ(outcome(post("/auth/register", "", body("b b"))), "422 invalid-fields");
  const auto made = post("/auth/register", "", body("bob"));
  ASSERT_EQ(made.status, 201u) << made.body;
  EXPECT_EQ(decoded<api::User>(made).role, api::Role::kOperator);
  EXPECT_EQ(login("bob", "correct horse").status, 200u);
  EXPECT_EQ(outcome(post("/auth/register", "", body("carol"))), "403 bad-invite") << "it was for one";
  EXPECT_TRUE(noted("user.register", "ok: operator"));
}

TEST_F(CredentialApi, InvitesAreListedAndRevoked) {
  start();
  const auto op = token_of(add_user("op", api::Role::kOperator));
  std::vector<api::CreatedInvite> made;
  for (int i = 0; i < 3; ++i) made.push_back(decoded<api::CreatedInvite>(post("/invites", op, R"({"role":"user"})")));
  const auto answer = call("GET", "/api/v1/invites?limit=2", op);
  const auto first = decoded<api::InviteList>(answer);
  ASSERT_EQ(first.invites.size(), 2u);
  ASSERT_TRUE(first.next_cursor);
  EXPECT_EQ(decoded<api::InviteList>(call("GET", "/api/v1/invites?cursor=" + *first.next_cursor, op)).invites.size(),
            1u);
  EXPECT_EQ(first.invites[0].created_by, "user:op");
  for (const auto& invite : made)
    EXPECT_EQ(answer.body.find(invite.invite.reveal()), std::string::npos) << "it is not shown again";
  const auto path = "/api/v1/invites/" + made[0].id;
  EXPECT_EQ(outcome(call("DELETE", path, op)), "204");
  EXPECT_EQ(outcome(call("DELETE", path, op)), "404 not-found");
  EXPECT_EQ(outcome(call("DELETE", "/api/v1/invites/x", op)), "404 not-found");
  const auto entry = services().store.audit({}, 3)->back();  // and two refusals since
  EXPECT_EQ(entry.actor + " " + entry.action + " " + entry.object, "user:op invite.revoke " + made[0].id);
  const auto sign_up = [&](const SecretString& invite) {
    return outcome(
        post("/auth/register", "", api::encode(api::SignUpRequest{invite, "bob", SecretString("correct horse")})));
  };
  EXPECT_EQ(sign_up(made[0].invite), "403 bad-invite");
  EXPECT_EQ(sign_up(made[1].invite), "201");
  EXPECT_EQ(decoded<api::InviteList>(call("GET", "/api/v1/invites", op)).invites.size(), 1u) << "used up, revoked";
}

TEST_F(CredentialApi, AnInviteGivesAtMostTheInvitersRoleAndEnds) {
  start();
  const auto operator_token = token_of(add_user("op", api::Role::kOperator));
  EXPECT_EQ(outcome(post("/invites", operator_token, R"({"role":"admin"})")), "403 forbidden");
  const auto invite =
      decoded<api::CreatedInvite>(post("/invites", operator_token, R"({"role":"user","uses":5,"lifetimeSeconds":60})"));
  EXPECT_EQ(invite.uses, 5u);
  pass(std::chrono::seconds(60));
  EXPECT_EQ(outcome(post("/auth/register", "",
                         api::encode(api::SignUpRequest{invite.invite, "bob", SecretString("correct horse")}))),
            "403 bad-invite");
}

TEST_F(CredentialApi, OpenRegistrationMakesUsersOnly) {
  settings_.api.registration = Registration::kOpen;
  start();
  const auto made = post("/auth/register", "", R"({"username":"bob","password":"correct horse","role":"admin"})");
  ASSERT_EQ(made.status, 201u);
  EXPECT_EQ(decoded<api::User>(made).role, api::Role::kUser);
  EXPECT_EQ(outcome(post("/auth/register", "", R"({"username":"bob","password":"correct horse"})")), "409 user-exists");
  EXPECT_EQ(outcome(post("/auth/register", "", R"({"invite":"x","username":"eve","password":"correct horse"})")),
            "403 bad-invite")
      << "a bad invite is not passed over";
}

// --- API keys

TEST_F(CredentialApi, AnApiKeyActsForItsUserUpToItsRole) {
  start();
  const auto root = add_user("root", api::Role::kAdmin);
  const auto token = token_of(root);
  const auto created = decoded<api::CreatedApiKey>(post("/api-keys", token, R"({"name":"backup","role":"operator"})"));
  const std::string key(created.key.reveal());
  EXPECT_TRUE(key.starts_with("hk_"));
  EXPECT_EQ(call("GET", "/api/v1/nodes", key).status, 200u);
  EXPECT_EQ(call("GET", "/api/v1/admin/audit", key).status, 200u);
  EXPECT_EQ(call("GET", "/api/v1/users", key).status, 403u) << "the key's role counts";
  EXPECT_EQ(outcome(post("/invites", key, R"({"role":"admin"})")), "403 forbidden");
  EXPECT_EQ(post("/invites", key, R"({"role":"operator"})").status, 201u);
  const auto newest = services().store.audit(std::nullopt, 1)->front();
  EXPECT_EQ(newest.actor, "user:root key:backup");
  EXPECT_EQ(outcome(post("/api-keys", key, R"({"name":"another"})")), "403 forbidden") << "a thief would stay";
  EXPECT_EQ(outcome(post("/auth/password", key, R"({"currentPassword":"x","newPassword":"12345678"})")),
            "403 forbidden");

  add_user("other", api::Role::kAdmin);
  ASSERT_TRUE(services().store.change_user(root.id, {.role = api::Role::kUser}, 1));
  EXPECT_EQ(call("GET", "/api/v1/admin/audit", key).status, 403u) << "nor more than the user may by now";
  ASSERT_TRUE(services().store.change_user(root.id, {.disabled = true}, 1));
  EXPECT_EQ(call("GET", "/api/v1/nodes", key).status, 401u);
}

TEST_F(CredentialApi, AnApiKeyHasNoPowerOverItsOwnAccount) {
  start();
  const auto root = add_user("root", api::Role::kAdmin), other = add_user("other", api::Role::kAdmin);
  const auto created =
      decoded<api::CreatedApiKey>(post("/api-keys", token_of(root), R"({"name":"ci","role":"admin"})"));
  const std::string key(created.key.reveal());
  const auto own = "/api/v1/users/" + to_string(root.id), others = "/api/v1/users/" + to_string(other.id);
  for (const auto* change : {R"({"password":"a thief's own"})", R"({"totp":false})", R"({"role":"user"})"})
    EXPECT_EQ(outcome(call("PATCH", own, key, change)), "403 forbidden") << change;
  EXPECT_EQ(outcome(call("DELETE", own, key)), "403 forbidden");
  EXPECT_EQ(services().store.user_by_id(root.id)->password_hash, root.password_hash);
  EXPECT_EQ(outcome(call("PATCH", others, key, R"({"disabled":true})")), "200");
  EXPECT_EQ(outcome(call("DELETE", others, key)), "204");
}

TEST_F(CredentialApi, ApiKeysAreListedWithoutTheirSecretAndEnd) {
  start();
  const auto alice = add_alice();
  const auto token = token_of(alice);
  EXPECT_EQ(outcome(post("/api-keys", token, R"({"name":"a","role":"operator"})")), "403 forbidden");
  EXPECT_EQ(outcome(post("/api-keys", token, R"({"name":"a","expiresAt":1})")), "422 invalid-fields");
  const auto seconds = unix_seconds(now().wall);
  const auto first = decoded<api::CreatedApiKey>(
      post("/api-keys", token, R"({"name":"a","expiresAt":)" + std::to_string(seconds + 7200) + "}"));
  EXPECT_EQ(outcome(post("/api-keys", token, R"({"name":"a"})")), "409 key-exists");
  const std::string key(first.key.reveal());
  EXPECT_EQ(call("GET", "/api/v1/nodes", key).status, 200u);
  pass(std::chrono::minutes(59));
  EXPECT_EQ(call("GET", "/api/v1/nodes", key).status, 200u);
  const auto list = call("GET", "/api/v1/api-keys", key);
  EXPECT_EQ(list.status, 200u);
  EXPECT_EQ(list.body.find(key), std::string::npos);
  ASSERT_EQ(decoded<api::ApiKeyList>(list).keys.size(), 1u);
  EXPECT_EQ(decoded<api::ApiKeyList>(list).keys[0].last_used_at, seconds) << "to the hour";
  pass(std::chrono::minutes(2));
  EXPECT_EQ(call("GET", "/api/v1/nodes", key).status, 200u);
  EXPECT_EQ(decoded<api::ApiKeyList>(call("GET", "/api/v1/api-keys", key)).keys[0].last_used_at, seconds + 61 * 60);
  pass(std::chrono::minutes(60));
  EXPECT_EQ(call("GET", "/api/v1/nodes", key).status, 401u) << "expired";

  const auto fresh = token_of(alice);
  const auto second = decoded<api::CreatedApiKey>(post("/api-keys", fresh, R"({"name":"b"})"));
  const auto path = "/api/v1/api-keys/" + second.api_key.id;
  const auto bob = token_of(add_user("bob", api::Role::kAdmin));
  EXPECT_EQ(call("DELETE", path, bob).status, 404u) << "another's";
  EXPECT_EQ(call("DELETE", path, fresh).status, 204u);
  EXPECT_EQ(outcome(call("GET", "/api/v1/nodes", std::string(second.key.reveal()))), "401 unauthorized");
}

// --- the allow-list

TEST_F(CredentialApi, TheAllowListAdmitsNodes) {
  settings_.api.admission.mode = AdmissionPolicy::Mode::kAllowlist;
  start();
  const auto token = token_of(add_user("op", api::Role::kOperator));
  TestNode node(random_);
  EXPECT_EQ(outcome(register_node(node)), "403 not-admitted");
  EXPECT_EQ(outcome(post("/admin/allowlist", token, "{}")), "422 invalid-fields");
  const auto identity = crypto::public_key_of_ed25519(node.identity).to_base64();
  const auto body = R"({"identityKey":")" + identity + R"(","note":"Bob's"})";
  const auto entry = decoded<api::AllowListEntry>(post("/admin/allowlist", token, body));
  EXPECT_EQ(entry.created_by, "user:op");
  EXPECT_EQ(outcome(post("/admin/allowlist", token, body)), "409 entry-exists");
  EXPECT_EQ(register_node(node).status, 200u);
  const auto path = "/api/v1/admin/allowlist/" + entry.id;
  EXPECT_EQ(call("DELETE", path, token).status, 204u);
  EXPECT_EQ(call("DELETE", path, token).status, 404u);
  TestNode other(random_);
  EXPECT_EQ(outcome(register_node(other)), "403 not-admitted");
  EXPECT_EQ(post("/admin/allowlist", token, R"({"network":"127.0.0.0/8"})").status, 201u);
  EXPECT_EQ(register_node(other).status, 200u);
  EXPECT_EQ(decoded<api::AllowList>(call("GET", "/api/v1/admin/allowlist", token)).entries.size(), 1u);
}

}  // namespace
}  // namespace higgs::boson::testing

// What administrators do by the API beyond accounts and admission, and that all of it is in the audit.
#include <SQLiteCpp/SQLiteCpp.h>

#include "bosonserver/api/endpoint.h"
#include "bosonserver/server/testing/server_fixture.h"

namespace higgs::boson::testing {
namespace {

class AdministrationApi : public ServerFixture {
 protected:
  void begin() {
    start();
    root_ = add_user("root", api::Role::kAdmin);
    admin_ = token_of(root_);
  }
  struct Key {
    std::string id, secret;
  };
  Key add_key(const UserRecord& user, const std::string& name) {
    const auto secret = std::string(kApiKeyPrefix) + random_secret(random_);
    const ApiKeyRecord key{
        Uuid::random(random_).to_string(), user.id, name, digest_of_secret(secret), api::Role::kUser, 1, {}, {}};
    EXPECT_TRUE(services().store.add_api_key(key));
    return {key.id, secret};
  }
  unsigned try_key(const Key& key) { return call("GET", "/api/v1/nodes", key.secret).status; }
  AuditEntry newest() {
    const auto entries = *services().store.audit({}, 1);
    return entries.empty() ? AuditEntry{} : entries.front();
  }
  /// "ACTION OBJECT: OUTCOME".
  std::string newest_act() {
    const auto entry = newest();
    return entry.action + " " + entry.object + ": " + entry.outcome;
  }
  static std::string path_of(const UserRecord& user) { return "/api/v1/users/" + to_string(user.id); }
  /// From here on this statement of the store fails.
  void break_store(const std::string& when) {
    SQLite::Database((settings_.state_dir / "store.db").string(), SQLite::OPEN_READWRITE)
        .exec("CREATE TRIGGER broken BEFORE " + when + " BEGIN SELECT RAISE(ABORT, 'broken'); END");
  }

  UserRecord root_;
  std::string admin_;
};

TEST_F(AdministrationApi, AnAdminListsAndEndsApiKeysOfOthers) {
  begin();
  const auto alice = add_user("alice", api::Role::kUser), bob = add_user("bob", api::Role::kUser);
  const auto backup = add_key(alice, "backup"), cron = add_key(alice, "cron"), other = add_key(bob, "other");
  const auto path = path_of(alice) + "/api-keys";
  const auto answer = call("GET", path, admin_);
  const auto list = decoded<api::ApiKeyList>(answer);
  ASSERT_EQ(list.keys.size(), 2u);
  EXPECT_EQ(list.keys[0].id, backup.id);
  EXPECT_EQ(answer.body.find(backup.secret), std::string::npos);
  EXPECT_EQ(try_key(backup), 200u);
  EXPECT_EQ(outcome(call("DELETE", path + "/" + backup.id, admin_)), "204");
  EXPECT_EQ(try_key(backup), 401u) << "at once";
  EXPECT_EQ(try_key(cron), 200u);
  EXPECT_EQ(newest().actor, "user:root");
  EXPECT_EQ(newest_act(), "api-key.delete " + backup.id + ": ok: backup of alice");
  EXPECT_EQ(outcome(call("DELETE", path + "/" + backup.id, admin_)), "404 not-found");
  EXPECT_EQ(outcome(call("DELETE", path + "/" + other.id, admin_)), "404 not-found") << "another's";
  EXPECT_EQ(outcome(call("DELETE", path + "/x", admin_)), "404 not-found");
  EXPECT_EQ(outcome(call("GET", "/api/v1/users/" + Uuid().to_string() + "/api-keys", admin_)), "404 not-found");
  EXPECT_EQ(try_key(other), 200u);
}

TEST_F(AdministrationApi, ANewPasswordSaysHowManyApiKeysStandOrEndsThem) {
  begin();
  const auto alice = add_user("alice", api::Role::kUser);
  const auto first = add_key(alice, "first"), second = add_key(alice, "second");
  const auto change = [&](const char* body) { return call("PATCH", path_of(alice), admin_, body); };
  EXPECT_EQ(decoded<api::UpdatedUser>(change(R"({"password":"battery staple"})")).api_keys_left, 2u);
  EXPECT_EQ(try_key(first), 200u) << "programs go on";
  EXPECT_EQ(outcome(change(R"({"password":"battery staple","apiKeys":true})")), "422 invalid-fields");
  EXPECT_EQ(decoded<api::UpdatedUser>(change(R"({"password":"battery staple","apiKeys":false})")).api_keys_left, 0u);
  EXPECT_EQ(newest_act(), "user.update alice: ok: password, revoked 2 API keys");
  EXPECT_EQ(try_key(first), 401u);
  EXPECT_EQ(try_key(second), 401u);
}

TEST_F(AdministrationApi, WhatWasDoneIsInTheAuditAlsoWhereTheRestFails) {
  begin();
  const auto alice = add_user("alice", api::Role::kUser);
  add_key(alice, "first");
  break_store("DELETE ON api_keys");
  const auto answer = call("PATCH", path_of(alice), admin_, R"({"disabled":true,"apiKeys":false,"relayQuota":5})");
  EXPECT_GE(answer.status, 500u);
  EXPECT_TRUE(services().store.user_by_id(alice.id)->disabled);
  EXPECT_TRUE(newest_act().starts_with("user.update alice: ok: disabled, then failed: ")) << newest_act();
}

TEST_F(AdministrationApi, ActionsThatWaitAreListed) {
  begin();
  TestNode node(random_);
  ASSERT_EQ(register_node(node).status, 200u);
  const auto path = "/api/v1/admin/nodes/" + to_string(node.id()) + "/actions";
  EXPECT_TRUE(decoded<api::ActionList>(call("GET", path, admin_)).actions.empty());
  const auto created =
      decoded<api::CreatedAction>(call("POST", path, admin_, R"({"type":"maintenance","payload":{"on":true}})"));
  EXPECT_EQ(call("POST", path, admin_, R"({"type":"restart","payload":{}})").status, 201u);
  const auto waiting = decoded<api::ActionList>(call("GET", path, admin_)).actions;
  ASSERT_EQ(waiting.size(), 2u);
  EXPECT_EQ(waiting[0].id, created.id);
  EXPECT_EQ(waiting[0].type, api::ActionType::kMaintenance);
  EXPECT_EQ(waiting[0].payload.text, R"({"on":true})");
  EXPECT_EQ(waiting[0].created_at, unix_seconds(now().wall));
  EXPECT_EQ(waiting[1].type, api::ActionType::kRestart);
  EXPECT_EQ(outcome(call("GET", "/api/v1/admin/nodes/" + Uuid().to_string() + "/actions", admin_)), "404 not-found");
}

/// The endpoint table is walked, so a new row is tested as soon as it stands.
TEST_F(AdministrationApi, EveryActThatIsRefusedIsInTheAudit) {
  begin();
  const std::string nobody = "00000000-0000-4000-8000-000000000001";
  unsigned walked = 0;
  for (const auto& endpoint : endpoints()) {
    SCOPED_TRACE(std::string(endpoint.method) + " " + std::string(endpoint.path));
    const bool acts = endpoint.least_role > api::Role::kUser && endpoint.method != "GET";
    ASSERT_EQ(!endpoint.act.empty(), acts) << "every act has a name";
    if (!acts) continue;
    ++walked;
    std::string path(endpoint.path);
    for (auto at = path.find('{'); at != path.npos; at = path.find('{'))
      path.replace(at, path.find('}') - at + 1, nobody);
    const auto before = newest().id;
    const auto answer = call(std::string(endpoint.method), path, admin_, endpoint.takes_body ? "{}" : "");
    ASSERT_GE(answer.status, 400u);
    const auto entry = newest();
    EXPECT_EQ(entry.id, before + 1) << "once";
    EXPECT_EQ(entry.actor, "user:root");
    EXPECT_EQ(entry.address, "127.0.0.1");
    EXPECT_EQ(entry.action, endpoint.act);
    EXPECT_EQ(entry.outcome, "refused: " + outcome(answer));
    if (path != endpoint.path) {
      EXPECT_NE(entry.object.find(nobody), std::string::npos) << entry.object;
    }
  }
  EXPECT_GE(walked, 10u);
}

TEST_F(AdministrationApi, ARefusalNamesWhatItWasAbout) {
  begin();
  EXPECT_EQ(outcome(call("DELETE", path_of(root_), admin_)), "409 last-admin");
  EXPECT_EQ(newest_act(), "user.delete root: refused: 409 last-admin");
  EXPECT_EQ(outcome(call("PATCH", path_of(root_), admin_, R"({"disabled":true})")), "409 last-admin");
  EXPECT_EQ(newest_act(), "user.update root: refused: 409 last-admin");
  const auto body = R"({"username":"root","password":"long enough","role":"user"})";
  EXPECT_EQ(outcome(call("POST", "/api/v1/users", admin_, body)), "409 user-exists");
  EXPECT_EQ(newest_act(), "user.create root: refused: 409 user-exists");
  const std::string node = "/api/v1/admin/nodes/" + Uuid().to_string();
  EXPECT_EQ(outcome(call("POST", node + "/ban", admin_)), "404 not-found");
  EXPECT_EQ(newest_act(), "node.ban node:" + Uuid().to_string() + ": refused: 404 not-found");
  EXPECT_EQ(outcome(call("DELETE", "/api/v1/invites/" + std::string(2000, 'x'), admin_)), "404 not-found");
  EXPECT_EQ(newest_act(), "invite.revoke : refused: 404 not-found") << "only ids of a path";
}

TEST_F(AdministrationApi, WhoMayNotActFillsNoAudit) {
  begin();
  const auto user = token_of(add_user("mallory", api::Role::kUser));
  const auto before = newest().id;
  EXPECT_EQ(outcome(call("DELETE", path_of(root_), user)), "403 forbidden");
  EXPECT_EQ(outcome(call("DELETE", path_of(root_))), "401 unauthorized");
  EXPECT_EQ(newest().id, before);
}

}  // namespace
}  // namespace higgs::boson::testing

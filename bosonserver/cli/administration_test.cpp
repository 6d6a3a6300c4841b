// What administrators do at the command line: the same as by the API, and in the audit as that is.
#include <SQLiteCpp/SQLiteCpp.h>

#include "bosonserver/cli/testing/command_line_fixture.h"

namespace higgs::boson::testing {
namespace {

class AdministrationTest : public CommandLineTest {
 protected:
  AdministrationTest() { EXPECT_EQ(run({"migrate", "up", "--state-dir", state()}), 0) << err_; }

  int node(std::vector<std::string> words) {
    words.insert(words.begin(), "node");
    words.insert(words.end(), {"--state-dir", state()});
    return run(std::move(words));
  }
  UserRecord add_account(const std::string& name, api::Role role = api::Role::kUser) {
    const UserRecord user{UserId(Uuid::random(random_)), name, "hash", role, false, 1};
    EXPECT_TRUE(open()->add_user(user));
    return user;
  }
  std::string add_key(const UserRecord& user, const std::string& name) {
    ApiKeyRecord key{Uuid::random(random_).to_string(), user.id, name, {}, api::Role::kUser, 7, {}, {}};
    key.digest = crypto::sha256(as_bytes(name));
    EXPECT_TRUE(open()->add_api_key(key));
    return key.id;
  }
  /// From here on this statement of the store fails.
  void break_store(const std::string& when) {
    SQLite::Database((directory_ / "state" / "store.db").string(), SQLite::OPEN_READWRITE)
        .exec("CREATE TRIGGER broken BEFORE " + when + " BEGIN SELECT RAISE(ABORT, 'broken'); END");
  }
};

TEST_F(AdministrationTest, ActionsAreQueuedForANodeAndListed) {
  const auto store = open();
  const auto id = to_string(add_node(*store));
  ASSERT_EQ(node({"update-config", id, R"({"logLevel": "debug", "maxConnections": null})", "--json"}), 0) << err_;
  const std::string first = json()["id"];
  EXPECT_EQ(newest_act(), "node.action.create node:" + id + ": ok: updateConfig " + first);
  EXPECT_EQ(store->audit({}, 1)->front().actor, "console");
  ASSERT_EQ(node({"maintenance", id, "on"}), 0) << err_;
  ASSERT_EQ(node({"restart", id}), 0) << err_;
  const auto waiting = store->pending_actions(*parse_id<NodeId>(id));
  ASSERT_EQ(waiting->size(), 3u);
  EXPECT_EQ((*waiting)[0].payload, R"({"logLevel":"debug","maxConnections":null})");
  EXPECT_EQ((*waiting)[1].payload, R"({"on":true})");
  EXPECT_EQ((*waiting)[2].type, api::ActionType::kRestart);
  ASSERT_EQ(node({"actions", id, "--json"}), 0) << err_;
  ASSERT_EQ(json().size(), 3u);
  EXPECT_EQ(json()[0]["id"], first);
  EXPECT_EQ(json()[0]["payload"]["logLevel"], "debug");
  ASSERT_TRUE(store->finish_action(*parse_id<NodeId>(id), first, true, "", 1));
  ASSERT_EQ(node({"actions", id}), 0);
  EXPECT_EQ(out_.find(first), std::string::npos) << "it was answered";
  EXPECT_NE(out_.find("restart"), std::string::npos) << out_;
}

TEST_F(AdministrationTest, WhatTheApiRefusesOfActionsIsRefusedHere) {
  const auto store = open();
  const auto id = to_string(add_node(*store));
  for (const auto* config : {R"({"egressDeny":[]})", R"({"heartbeatInterval":1})", R"({"logLevel":"off"})", "[]", "x"})
    EXPECT_EQ(node({"update-config", id, config}), 1) << config;
  EXPECT_EQ(node({"update-config", id, R"({"logLevel":"off"})"}), 1);
  EXPECT_NE(err_.find("/payload/logLevel"), std::string::npos) << err_;
  EXPECT_EQ(node({"maintenance", id, "perhaps"}), 2);
  EXPECT_EQ(store->pending_actions(*parse_id<NodeId>(id))->size(), 0u);
  const auto nobody = to_string(NodeId());
  for (const auto* command : {"restart", "actions", "approve", "ban", "show"}) {
    EXPECT_EQ(node({command, nobody}), 1) << command;
    EXPECT_NE(err_.find("there is no node " + nobody), std::string::npos) << command << ": " << err_;
  }
  for (std::size_t i = 0; i < kMaxPendingActions; ++i) ASSERT_EQ(node({"restart", id}), 0) << err_;
  EXPECT_EQ(node({"restart", id}), 1);
  EXPECT_NE(err_.find("too many actions"), std::string::npos) << err_;
}

TEST_F(AdministrationTest, TheAllowListIsKept) {
  const auto store = open();
  ASSERT_EQ(node({"allow", "192.0.2.0/24", "--note", "the office", "--json"}), 0) << err_;
  const std::string network = json()["id"];
  EXPECT_EQ(newest_act(), "allowlist.add 192.0.2.0/24: ok");
  const auto identity = crypto::public_key_of_ed25519(crypto::make_ed25519_key(random_));
  ASSERT_EQ(node({"allow", identity.to_base64()}), 0) << err_;
  const auto entries = *store->allow_entries();
  ASSERT_EQ(entries.size(), 2u);
  ASSERT_EQ(node({"allowlist", "--json"}), 0) << err_;
  ASSERT_EQ(json().size(), 2u);
  const auto shown = json()[json()[0]["id"] == network ? 0 : 1];
  EXPECT_EQ(shown["network"], "192.0.2.0/24");
  EXPECT_EQ(shown["note"], "the office");
  EXPECT_EQ(shown["createdBy"], "console");
  ASSERT_EQ(node({"allowlist"}), 0);
  EXPECT_NE(out_.find("identity:" + identity.to_base64()), std::string::npos) << out_;
  EXPECT_EQ(node({"disallow", network}), 0) << err_;
  EXPECT_EQ(newest_act(), "allowlist.remove " + network + ": ok");
  EXPECT_EQ(store->allow_entries()->size(), 1u);
}

TEST_F(AdministrationTest, WhatTheApiRefusesOfTheAllowListIsRefusedHere) {
  EXPECT_EQ(node({"allow", "everybody"}), 1);
  EXPECT_NE(err_.find("neither a network nor an identity key"), std::string::npos) << err_;
  EXPECT_EQ(node({"allow", "192.0.2.0/24", "--note", std::string(257, 'x')}), 1);
  EXPECT_NE(err_.find("/note"), std::string::npos) << err_;
  EXPECT_EQ(node({"allow", "192.0.2.0/24"}), 0) << err_;
  EXPECT_EQ(node({"allow", "192.0.2.0/24"}), 1);
  EXPECT_NE(err_.find("on the list already"), std::string::npos) << err_;
  EXPECT_EQ(node({"disallow", "x"}), 1);
  EXPECT_EQ(open()->allow_entries()->size(), 1u);
}

TEST_F(AdministrationTest, ApiKeysOfOthersAreListedAndEnded) {
  const auto alice = add_account("alice"), bob = add_account("bob");
  const auto backup = add_key(alice, "backup"), cron = add_key(alice, "cron"), other = add_key(bob, "other");
  ASSERT_EQ(user("api-keys", {"alice", "--json"}), 0) << err_;
  ASSERT_EQ(json().size(), 2u);
  EXPECT_EQ(json()[0]["id"], backup);
  EXPECT_EQ(json()[0]["name"], "backup");
  EXPECT_TRUE(json()[0]["lastUsedAt"].is_null());
  ASSERT_EQ(user("api-keys", {"alice"}), 0);
  EXPECT_NE(out_.find(cron), std::string::npos) << out_;
  EXPECT_EQ(user("revoke-api-key", {"alice", other}), 1) << "another's";
  EXPECT_EQ(user("revoke-api-key", {"alice", backup}), 0) << err_;
  EXPECT_EQ(newest_act(), "api-key.delete " + backup + ": ok: backup of alice");
  EXPECT_EQ(user("revoke-api-key", {"alice", backup}), 1);
  EXPECT_NE(err_.find("no API key"), std::string::npos) << err_;
  EXPECT_FALSE(open()->caller_by_key(crypto::sha256(as_bytes(std::string_view("backup")))));
  EXPECT_EQ(open()->api_keys(alice.id)->size(), 1u);
  EXPECT_EQ(open()->api_keys(bob.id)->size(), 1u);
}

TEST_F(AdministrationTest, ANewPasswordSaysWhichApiKeysStandOrEndsThem) {
  const auto alice = add_account("alice");
  add_key(alice, "backup");
  add_key(alice, "cron");
  const auto password = write("password", "battery staple\n");
  ASSERT_EQ(user("passwd", {"alice", "--password-file", password}), 0) << err_;
  EXPECT_NE(out_.find("2 API keys stand: `bosonserver user api-keys alice`"), std::string::npos) << out_;
  ASSERT_EQ(user("passwd", {"alice", "--password-file", password, "--json"}), 0) << err_;
  EXPECT_EQ(json()["apiKeysLeft"], 2);
  ASSERT_EQ(user("passwd", {"alice", "--password-file", password, "--revoke-api-keys", "--json"}), 0) << err_;
  EXPECT_EQ(json()["apiKeysLeft"], 0);
  EXPECT_EQ(open()->api_keys(alice.id)->size(), 0u);
  EXPECT_EQ(newest_act(), "user.update alice: ok: revoked 2 API keys");
}

TEST_F(AdministrationTest, WhatIsRefusedIsInTheAudit) {
  const auto root = add_account("root", api::Role::kAdmin);
  EXPECT_EQ(user("remove", {"root"}), 1);
  EXPECT_EQ(newest_act(), "user.delete root: refused: this is the last admin: make another one first");
  EXPECT_EQ(user("role", {"root", "user"}), 1);
  EXPECT_EQ(newest_act(), "user.update root: refused: this is the last admin: make another one first");
  const auto nobody = to_string(NodeId());
  EXPECT_EQ(node({"ban", nobody}), 1);
  EXPECT_EQ(newest_act(), "node.ban node:" + nobody + ": refused: there is no node " + nobody);
  EXPECT_EQ(user("revoke-api-key", {"root", "x"}), 1);
  EXPECT_EQ(newest_act(), "api-key.delete x: refused: root has no API key x (any more)");
  const auto entries = open()->audit({}, 100)->size();
  EXPECT_EQ(node({"show", nobody}), 1);
  EXPECT_EQ(user("show", {"nobody"}), 1);
  EXPECT_EQ(open()->audit({}, 100)->size(), entries) << "to look is no act";
}

TEST_F(AdministrationTest, ABanIsInTheAuditAlsoWhereTunnelsCannotBeEnded) {
  const auto store = open();
  const auto id = add_node(*store);
  const auto alice = add_account("alice");
  SessionRow session;
  session.id = SessionId(Uuid::random(random_));
  session.user = alice.id;
  session.node = id;
  session.expires_at = 4'000'000'000;
  ASSERT_TRUE(store->add_session(session));
  break_store("UPDATE ON sessions");
  EXPECT_EQ(node({"ban", to_string(id)}), 1);
  EXPECT_EQ(store->node(id)->admission, NodeAdmission::kBanned);
  EXPECT_EQ(newest_act(), "node.ban node:" + to_string(id) + ": ok");
}

TEST_F(AdministrationTest, ANewPasswordIsInTheAuditAlsoWhereTheRestFails) {
  const auto alice = add_account("alice");
  add_key(alice, "backup");
  break_store("DELETE ON api_keys");
  EXPECT_EQ(user("passwd", {"alice", "--password-file", write("password", "battery staple\n"), "--revoke-api-keys"}),
            1);
  const auto entries = *open()->audit({}, 100);
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[1].outcome, "ok: password");
  EXPECT_TRUE(entries[0].outcome.starts_with("refused: ")) << entries[0].outcome;
}

}  // namespace
}  // namespace higgs::boson::testing

#include <set>

#include <SQLiteCpp/SQLiteCpp.h>

#include "bosonserver/cli/testing/command_line_fixture.h"
#include "crypto/password_hash.h"
#include "runtime/files.h"

namespace higgs::boson::testing {
namespace {

TEST_F(CommandLineTest, MigratesAndSaysWhatIsMissing) {
  EXPECT_EQ(run({"migrate", "status", "--json", "--state-dir", state()}), 0) << err_;
  auto status = nlohmann::json::parse(out_);
  EXPECT_EQ(status["version"], 0);
  EXPECT_EQ(status["pending"].size(), status["newest"]);
  EXPECT_FALSE(std::filesystem::exists(directory_ / "state" / "store.db")) << "looking makes none";
  EXPECT_EQ(run({"migrate", "up", "--state-dir", state()}), 0) << err_;
  EXPECT_NE(out_.find("up to date"), std::string::npos) << out_;
  EXPECT_EQ(run({"migrate", "status", "--json", "--state-dir", state()}), 0) << err_;
  status = nlohmann::json::parse(out_);
  EXPECT_EQ(status["version"], status["newest"]);
  EXPECT_TRUE(status["pending"].empty());
}

TEST_F(CommandLineTest, BacksUpAndRestores) {
  const auto password = write("password", "correct horse\n");
  const auto copy = (directory_ / "copy.db").string(), second = (directory_ / "second").string();
  EXPECT_NE(run({"backup", copy, "--state-dir", state()}), 0) << "there is none yet";
  ASSERT_EQ(run({"user", "add", "alice", "--password-file", password, "--state-dir", state()}), 0) << err_;
  EXPECT_EQ(run({"backup", copy, "--state-dir", state()}), 0) << err_;
  EXPECT_NE(run({"backup", copy, "--state-dir", state()}), 0) << "nothing is overwritten";
  EXPECT_NE(run({"restore", copy, "--state-dir", state()}), 0) << "there is a store";
  EXPECT_EQ(run({"restore", copy, "--state-dir", second}), 0) << err_;
  EXPECT_EQ(run({"user", "list", "--state-dir", second}), 0);
  EXPECT_NE(out_.find("alice"), std::string::npos) << out_;
  std::filesystem::remove(directory_ / "second" / "store.db");
  const auto running = runtime::LockFile::acquire(directory_ / "second" / "lock");
  ASSERT_TRUE(running);
  EXPECT_NE(run({"restore", copy, "--state-dir", second}), 0) << "a server runs";
  EXPECT_NE(run({"backup", copy, "--store", "postgresql:///higgs"}), 0);
  EXPECT_NE(err_.find("pg_dump"), std::string::npos) << err_;
}

TEST_F(CommandLineTest, APasswordInTheStoresUrlIsRefusedAndNotRepeated) {
  for (const std::string url : {"postgresql://higgs:s3cret@db/higgs", "postgresql://db/higgs?password=s3cret"}) {
    EXPECT_NE(run({"user", "list", "--store", url}), 0);
    EXPECT_NE(err_.find("must not hold a password"), std::string::npos) << err_;
    EXPECT_EQ((out_ + err_).find("s3cret"), std::string::npos);
    EXPECT_NE(run({"run", "--print-config", "--state-dir", state(), "--store", url}), 0);
    EXPECT_EQ((out_ + err_).find("s3cret"), std::string::npos);
  }
}

TEST_F(CommandLineTest, AddsAndListsUsers) {
  const auto password = write("password", "correct horse\n");
  EXPECT_EQ(run({"user", "add", "alice", "--role", "admin", "--password-file", password, "--state-dir", state()}), 0)
      << err_;
  const auto store = open_store({"sqlite:" + (directory_ / "state" / "store.db").string()});
  const auto alice = store->user_by_name("alice");
  ASSERT_TRUE(alice);
  EXPECT_EQ(alice->role, api::Role::kAdmin);
  EXPECT_TRUE(crypto::verify_password(SecretString("correct horse"), alice->password_hash));
  EXPECT_EQ(store->audit(std::nullopt, 1)->front().actor, "console");
  EXPECT_EQ(run({"user", "add", "alice", "--password-file", password, "--state-dir", state()}), 1);
  EXPECT_NE(err_.find("already"), std::string::npos);
  EXPECT_EQ(run({"user", "list", "--state-dir", state()}), 0);
  EXPECT_NE(out_.find("alice  admin"), std::string::npos) << out_;
}

TEST_F(CommandLineTest, ManagesUsers) {
  const auto password = write("password", "correct horse\n"), other = write("other", "battery staple\n");
  ASSERT_EQ(user("add", {"root", "--role", "admin", "--password-file", password}), 0) << err_;
  EXPECT_EQ(user("disable", {"root"}), 1);
  EXPECT_NE(err_.find("last admin"), std::string::npos);
  EXPECT_EQ(user("role", {"root", "user"}), 1);
  EXPECT_EQ(user("remove", {"root"}), 1);
  ASSERT_EQ(user("add", {"bob", "--password-file", password}), 0) << err_;
  const auto store = open();
  const auto bob = *store->user_by_name("bob");
  ASSERT_TRUE(store->add_refresh_family("f", bob.id, crypto::sha256(as_bytes("t")), 1, 4'000'000'000));
  SessionRow session;
  session.id = SessionId(Uuid::random(random_));
  session.user = bob.id;
  session.node = add_node(*store);
  session.expires_at = 4'000'000'000;
  ASSERT_TRUE(store->add_session(session));

  EXPECT_EQ(user("show", {"bob", "--json"}), 0);
  EXPECT_EQ(json()["liveSessions"], 1);
  EXPECT_EQ(json()["totp"], false);
  EXPECT_EQ(user("passwd", {"bob", "--password-file", other, "--json"}), 0) << err_;
  EXPECT_EQ(json()["endedSessions"], 1);
  EXPECT_TRUE(crypto::verify_password(SecretString("battery staple"), store->user_by_name("bob")->password_hash));
  EXPECT_FALSE(store->caller_by_login(bob.id, "f")->login_stands);
  EXPECT_EQ(store->session(session.id)->end_reason, "password changed");
  ASSERT_TRUE(store->enrol_totp(bob.id, as_bytes("s"), 1));
  ASSERT_TRUE(store->confirm_totp(bob.id, as_bytes("s"), 1, {}, 1));
  EXPECT_EQ(user("passwd", {"bob", "--password-file", other, "--reset-totp"}), 0) << err_;
  EXPECT_EQ(store->totp(bob.id).error(), StoreError::kNotFound);
  EXPECT_EQ(user("role", {"bob", "operator"}), 0);
  EXPECT_EQ(store->user_by_name("bob")->role, api::Role::kOperator);
  EXPECT_EQ(user("disable", {"bob"}), 0);
  EXPECT_TRUE(store->user_by_name("bob")->disabled);
  EXPECT_EQ(user("enable", {"bob"}), 0);
  EXPECT_FALSE(store->user_by_name("bob")->disabled);
  EXPECT_EQ(user("list", {"--json"}), 0);
  EXPECT_EQ(json().size(), 2u);
  EXPECT_EQ(json()[0]["username"], "bob");
  EXPECT_EQ(user("remove", {"bob"}), 0);
  EXPECT_EQ(user("show", {"bob"}), 1);
  EXPECT_EQ(user("invite", {"--role", "operator", "--uses", "3", "--json"}), 0) << err_;
  const auto invite = store->invite(crypto::sha256(as_bytes(json()["invite"].get<std::string>())), 1);
  ASSERT_TRUE(invite);
  EXPECT_EQ(invite->role, api::Role::kOperator);
  EXPECT_EQ(invite->uses_left, 3u);
  std::multiset<std::string> acts;
  for (const auto& entry : *store->audit(std::nullopt, 100)) {
    EXPECT_EQ(entry.actor, "console");
    acts.insert(entry.action);
  }
  // With the three that were refused: of the last admin.
  EXPECT_EQ(acts, (std::multiset<std::string>{"invite.create", "user.create", "user.create", "user.delete",
                                              "user.delete", "user.update", "user.update", "user.update", "user.update",
                                              "user.update", "user.update", "user.update", "user.update"}));
}

TEST_F(CommandLineTest, ListsAndRevokesInvites) {
  const auto user = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "user");
    words.insert(words.end(), {"--state-dir", state()});
    return run(words);
  };
  ASSERT_EQ(user({"invite", "--uses", "3", "--json"}), 0) << err_;
  const std::string id = json()["id"], secret = json()["invite"];
  ASSERT_EQ(user({"invites"}), 0) << err_;
  EXPECT_NE(out_.find(id), std::string::npos);
  ASSERT_EQ(user({"invites", "--json"}), 0) << err_;
  ASSERT_EQ(json().size(), 1u);
  EXPECT_EQ(json()[0]["usesLeft"], 3);
  EXPECT_EQ(out_.find(secret), std::string::npos) << "it is not shown again";
  EXPECT_EQ(user({"revoke-invite", id}), 0) << err_;
  EXPECT_EQ(user({"revoke-invite", id}), 1);
  EXPECT_NE(err_.find("no invite"), std::string::npos) << err_;
  EXPECT_FALSE(open()->invite(crypto::sha256(as_bytes(secret)), 1));
  EXPECT_EQ(open()->audit(std::nullopt, 1)->front().action, "invite.revoke");
}

TEST_F(CommandLineTest, SetsAndShowsRelayQuotas) {
  const auto user = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "user");
    words.insert(words.end(), {"--state-dir", state()});
    return run(words);
  };
  ASSERT_EQ(user({"add", "bob", "--password-file", write("p", "correct horse\n")}), 0) << err_;
  EXPECT_EQ(user({"quota", "bob", "5000"}), 0) << err_;
  ASSERT_EQ(user({"show", "bob", "--json"}), 0) << err_;
  EXPECT_EQ(json()["relay"]["quotaBytes"], 5000);
  EXPECT_EQ(json()["relay"]["ownQuota"], true);
  EXPECT_EQ(json()["relay"]["usedBytes"], 0);
  ASSERT_EQ(user({"show", "bob"}), 0);
  EXPECT_NE(out_.find("0 of 5000 bytes until "), std::string::npos) << out_;
  EXPECT_EQ(user({"quota", "bob", "lots"}), 1);
  EXPECT_EQ(user({"quota", "bob", "99999999999999999999"}), 1);
  EXPECT_EQ(user({"quota", "bob", "configured"}), 0) << err_;
  EXPECT_EQ(user({"quota", "nobody", "1"}), 1);
  ASSERT_EQ(user({"show", "bob", "--json"}), 0);
  EXPECT_TRUE(json()["relay"]["quotaBytes"].is_null());
}

TEST_F(CommandLineTest, ManagesNodesAndSessions) {
  ASSERT_EQ(run({"node", "list", "--state-dir", state()}), 0) << err_;
  const auto store = open();
  const auto identity = crypto::make_ed25519_key(random_);
  NodeRecord node;
  node.key_certificate = api::sign_key_certificate(identity, crypto::public_key_of(crypto::make_private_key(random_)),
                                                   1, 4'000'000'000, {{25}});
  node.identity_key = node.key_certificate.identity_key;
  node.wireguard_key = node.key_certificate.wireguard_public_key;
  node.id = api::node_id_of(node.identity_key);
  node.network_info.ipv4 = node.address = *IpAddress::parse("192.0.2.1");
  ASSERT_TRUE(store->register_node(node));
  SessionRow session;
  session.id = SessionId(Uuid::random(random_));
  session.node = node.id;
  session.address4 = *IpAddress::parse("10.0.0.2");
  session.expires_at = 4'000'000'000;
  const auto id = to_string(node.id), session_id = to_string(session.id);

  EXPECT_EQ(run({"node", "list", "--json", "--state-dir", state()}), 0);
  EXPECT_EQ(json()[0]["status"], "pending");
  EXPECT_EQ(run({"node", "approve", id, "--state-dir", state()}), 0) << err_;
  EXPECT_EQ(store->node(node.id)->admission, NodeAdmission::kApproved);
  const UserRecord user{UserId(Uuid::random(random_)), "alice", "hash", api::Role::kUser, false, 1};
  ASSERT_TRUE(store->add_user(user));
  session.user = user.id;
  ASSERT_TRUE(store->add_session(session));
  EXPECT_EQ(run({"session", "list", "--live", "--json", "--state-dir", state()}), 0);
  EXPECT_EQ(json()[0]["sessionId"], session_id);
  EXPECT_EQ(run({"session", "end", session_id, "--state-dir", state()}), 0) << err_;
  EXPECT_EQ(run({"session", "list", "--live", "--json", "--state-dir", state()}), 0);
  EXPECT_EQ(json().size(), 0u);
  EXPECT_EQ(run({"session", "end", to_string(SessionId()), "--state-dir", state()}), 1);
  EXPECT_EQ(run({"session", "end", "x", "--state-dir", state()}), 1);
  EXPECT_EQ(run({"node", "ban", id, "--json", "--state-dir", state()}), 0);
  EXPECT_EQ(json()["status"], "banned");
  EXPECT_EQ(json()["endedSessions"], 0);
  EXPECT_EQ(run({"node", "unban", id, "--state-dir", state()}), 0);
  EXPECT_EQ(run({"node", "show", id, "--json", "--state-dir", state()}), 0);
  EXPECT_EQ(json()["status"], "offline");
  EXPECT_EQ(run({"node", "ban", to_string(NodeId()), "--state-dir", state()}), 1);
}

TEST_F(CommandLineTest, FindsAForgedAudit) {
  const auto password = write("password", "correct horse\n");
  for (const auto* name : {"a", "b", "c"}) ASSERT_EQ(user("add", {name, "--password-file", password}), 0) << err_;
  EXPECT_EQ(run({"audit", "verify", "--json", "--state-dir", state()}), 0) << out_ << err_;
  EXPECT_EQ(json()["verified"], 3);
  const auto head = json()["head"].get<std::string>();
  ASSERT_EQ(user("add", {"d", "--password-file", password}), 0) << err_;
  EXPECT_EQ(run({"audit", "verify", "--head", head, "--state-dir", state()}), 0) << out_ << err_;
  EXPECT_EQ(run({"audit", "list", "--limit", "2", "--json", "--state-dir", state()}), 0);
  EXPECT_EQ(json().size(), 2u);
  EXPECT_EQ(json()[1]["object"], "d") << "the newest is last";

  SQLite::Database behind((directory_ / "state" / "store.db").string(), SQLite::OPEN_READWRITE);
  behind.exec(
      "DROP TRIGGER audit_append_only; UPDATE audit SET object = 'x' WHERE id = 2; DELETE FROM audit WHERE id = 4");
  EXPECT_EQ(run({"audit", "verify", "--state-dir", state()}), 1);
  EXPECT_NE(out_.find("entry 2: not what was written"), std::string::npos) << out_;
  EXPECT_NE(out_.find("entry 4: removed"), std::string::npos) << out_;
  EXPECT_EQ(run({"audit", "verify", "--json", "--state-dir", state()}), 1);
  EXPECT_EQ(json()["ok"], false);
  EXPECT_EQ(json()["faults"][0]["first"], 2);
}

TEST_F(CommandLineTest, AHeadThatWasKeptTellsOfAChainThatWasWrittenAnew) {
  const auto password = write("password", "correct horse\n");
  ASSERT_EQ(user("add", {"a", "--password-file", password}), 0) << err_;
  EXPECT_EQ(run({"audit", "verify", "--json", "--state-dir", state()}), 0);
  const auto head = json()["head"].get<std::string>();
  SQLite::Database((directory_ / "state" / "store.db").string(), SQLite::OPEN_READWRITE)
      .exec("DELETE FROM audit; UPDATE audit_chain SET head_id = 0, head_hash = zeroblob(32)");
  ASSERT_TRUE(open()->add_audit({0, 1, "console", "", "user.create", "mallory", "ok"}));
  EXPECT_EQ(run({"audit", "verify", "--state-dir", state()}), 0) << "the chain alone cannot tell";
  EXPECT_EQ(run({"audit", "verify", "--head", head, "--state-dir", state()}), 1);
  EXPECT_EQ(run({"audit", "verify", "--head", "nonsense", "--state-dir", state()}), 1);
}

TEST_F(CommandLineTest, ListsAndRotatesKeys) {
  EXPECT_EQ(run({"keys", "rotate", "--json", "--state-dir", state()}), 0) << err_;
  const auto kid = json()["kid"].get<std::string>();
  EXPECT_EQ(run({"keys", "list", "--json", "--state-dir", state()}), 0);
  EXPECT_EQ(json().size(), 2u) << "the first, and the new one";
  EXPECT_NE(out_.find(kid), std::string::npos);
  EXPECT_EQ(open()->audit(std::nullopt, 1)->front().action, "keys.rotate");
  std::filesystem::remove(directory_ / "state" / "sealing.key");
  EXPECT_EQ(run({"keys", "rotate", "--state-dir", state()}), 1) << "with another sealing key it would stop the servers";
  EXPECT_EQ(open()->signing_keys()->size(), 2u);
}

TEST_F(CommandLineTest, EveryCommandHelpsWithAnExample) {
  for (const auto* group : {"user", "node", "session", "audit", "keys"}) {
    ASSERT_EQ(run({group, "--help"}), 0);
    EXPECT_NE(out_.find("Examples:"), std::string::npos) << group;
    EXPECT_EQ(run({group}), 2) << group;
  }
  for (const auto& [group, command] : std::vector<std::pair<std::string, std::string>>{{"user", "list"},
                                                                                       {"user", "passwd"},
                                                                                       {"user", "invite"},
                                                                                       {"user", "api-keys"},
                                                                                       {"user", "revoke-api-key"},
                                                                                       {"node", "ban"},
                                                                                       {"node", "update-config"},
                                                                                       {"node", "maintenance"},
                                                                                       {"node", "restart"},
                                                                                       {"node", "actions"},
                                                                                       {"node", "allow"},
                                                                                       {"node", "allowlist"},
                                                                                       {"node", "disallow"},
                                                                                       {"audit", "verify"},
                                                                                       {"keys", "rotate"}}) {
    ASSERT_EQ(run({group, command, "--help"}), 0);
    EXPECT_NE(out_.find("Example"), std::string::npos) << group << ' ' << command;
    EXPECT_NE(out_.find("--json"), std::string::npos) << group << ' ' << command;
  }
}

TEST_F(CommandLineTest, RefusesBadUsers) {
  EXPECT_EQ(run({"user", "add", "bob", "--password-file", write("p", "short\n"), "--state-dir", state()}), 1);
  EXPECT_EQ(run({"user", "add", "b b", "--password-file", write("p", "long enough\n"), "--state-dir", state()}), 1);
  EXPECT_EQ(run({"user", "add", "bob", "--role", "god", "--state-dir", state()}), 2);
  EXPECT_EQ(run({"user", "add", "bob", "--password-file", "/nonexistent", "--state-dir", state()}), 1);
}

TEST_F(CommandLineTest, ChecksTheConfiguration) {
  EXPECT_EQ(run({"check-config", "--config", write("good.toml", "dns = [\"9.9.9.9\"]\n[rates]\nlogin = 5\n")}), 0)
      << err_;
  EXPECT_EQ(run({"check-config", "--config", write("bad.toml", "lisen = \"0.0.0.0:1\"\n")}), 2);
  EXPECT_NE(err_.find("did you mean listen"), std::string::npos) << err_;
  EXPECT_EQ(run({"check-config", "--config", write("bad.toml", "public_url = \"http://a\"\n")}), 2);
  EXPECT_EQ(run({"check-config", "--config", write("bad.toml", "store = \"mysql:x\"\n")}), 2);
  EXPECT_EQ(run({"check-config", "--config", write("bad.toml", "[rates]\nlogin = 0\n")}), 2);
  EXPECT_EQ(run({"check-config", "--config", write("bad.toml", "[turn]\nfirst_port = 60000\nlast_port = 50000\n")}), 2);
  EXPECT_EQ(run({"check-config", "--config", write("bad.toml", "[turn]\nrealm = \"" + std::string(65, 'r') + "\"\n")}),
            2);
  EXPECT_EQ(
      run({"check-config", "--config", write("bad.toml", "[turn]\nrelay_addresses = [\"1.1.1.1\", \"1.1.1.2\"]\n")}),
      2);
  EXPECT_EQ(run({"check-config", "--config", write("bad.toml", "cache = \"redis://u:secret@h/x\"\n")}), 2);
  EXPECT_EQ(err_.find("secret"), std::string::npos) << err_;
  EXPECT_EQ(run({"check-config", "--config", "/nonexistent"}), 2);
}

TEST_F(CommandLineTest, TheSecondStunAddressMustBeASecondOne) {
  const auto check = [&](const std::string& text) {
    return run({"check-config", "--config", write("stun.toml", text)});
  };
  const std::string first = "stun_listen = \"192.0.2.1:3478\"\n[stun]\n";
  EXPECT_EQ(check(first + "alternate_address = \"192.0.2.2\"\n"), 0) << err_;
  EXPECT_EQ(check("[stun]\nalternate_address = \"192.0.2.2\"\n"), 2);
  EXPECT_NE(err_.find("stun_listen"), std::string::npos);
  EXPECT_EQ(check(first + "alternate_address = \"192.0.2.1\"\n"), 2);
  EXPECT_EQ(check(first + "alternate_address = \"2001:db8::1\"\n"), 2);
  EXPECT_EQ(check(first + "alternate_address = \"192.0.2.2\"\nalternate_port = 3478\n"), 2);
  EXPECT_EQ(check(first + "alternate_address = \"192.0.2.2\"\nexternal_address = \"198.51.100.1\"\n"), 2);
}

TEST_F(CommandLineTest, PrintsTheEffectiveConfiguration) {
  const auto file = write("a.toml", "mtu = 1300\ncache = \"redis://:secret@127.0.0.1\"\n");
  EXPECT_EQ(run({"run", "--print-config", "--config", file, "--listen", "127.0.0.1:9"}), 0);
  EXPECT_NE(out_.find("mtu = 1300"), std::string::npos) << out_;
  EXPECT_NE(out_.find("listen = \"127.0.0.1:9\""), std::string::npos) << out_;
  EXPECT_NE(out_.find("cache = \"redis://:(hidden)@127.0.0.1:6379/0\""), std::string::npos) << out_;
}

TEST_F(CommandLineTest, HelpsAndComplains) {
  EXPECT_EQ(run({"--help"}), 0);
  EXPECT_NE(out_.find("Examples:"), std::string::npos);
  EXPECT_EQ(run({"--version"}), 0);
  EXPECT_EQ(run({}), 2);
  EXPECT_EQ(run({"run", "--nonsense"}), 2);
  EXPECT_EQ(run({"pin", "--state-dir", state()}), 1);
  EXPECT_EQ(run({"endpoints", "--json"}), 0);
  EXPECT_NE(out_.find("/api/v1/nodes/register"), std::string::npos);
}

TEST_F(CommandLineTest, PasswordsNeverStandOnTheCommandLine) {
  EXPECT_EQ(run({"user", "add", "bob", "--password", "long enough", "--state-dir", state()}), 2);
  EXPECT_EQ(run({"run", "--print-config", "--cache", "redis://:secret@127.0.0.1"}), 2);
  EXPECT_NE(err_.find("cache_password_file"), std::string::npos) << err_;
  EXPECT_EQ(err_.find("secret@"), std::string::npos) << err_;
  EXPECT_EQ(run({"run", "--print-config", "--cache", "redis://127.0.0.1"}), 0);
}

}  // namespace
}  // namespace higgs::boson::testing

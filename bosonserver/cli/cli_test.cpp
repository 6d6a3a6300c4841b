#include "bosonserver/cli/cli.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <stdlib.h>

#include "bosonserver/store/open_store.h"
#include "crypto/password_hash.h"
#include "runtime/files.h"

namespace higgs::boson {
namespace {

class CommandLineTest : public ::testing::Test {
 protected:
  CommandLineTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "higgs-cli-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~CommandLineTest() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& text) {
    const auto file = directory_ / name;
    std::ofstream(file) << text;
    return file.string();
  }
  int run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "bosonserver");
    std::vector<char*> argv;
    argv.reserve(arguments.size());
    for (auto& argument : arguments) argv.push_back(argument.data());
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int status = run_command_line(static_cast<int>(argv.size()), argv.data());
    out_ = ::testing::internal::GetCapturedStdout();
    err_ = ::testing::internal::GetCapturedStderr();
    return status;
  }
  std::string state() const { return (directory_ / "state").string(); }

  std::filesystem::path directory_;
  std::string out_, err_;
};

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
  EXPECT_NE(out_.find("admin  alice"), std::string::npos);
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
}  // namespace higgs::boson

#include "higgsvpn/dns.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "higgsvpn/resolv_conf_file.h"
#include "tunnel/testing/own_network.h"

namespace higgs::vpn {
namespace {

namespace fs = std::filesystem;

const std::string kBefore = "# by hand \xff\nsearch example.org\nnameserver 192.168.7.1";  // no line break at the end

class DnsTest : public ::testing::Test {
 protected:
  DnsTest() {
    std::string pattern = ::testing::TempDir() + "higgs-dns-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    environment_.resolv_conf = directory_ / "resolv.conf";
    environment_.resolved_directory = directory_ / "resolve";
    environment_.run = [this](const std::vector<std::string>& arguments, std::string_view input) {
      std::string line;
      for (const std::string& argument : arguments) line += (line.empty() ? "" : " ") + argument;
      commands_.push_back(line + (input.empty() ? "" : " <<" + std::string(input)));
      tunnel::CommandResult result;
      result.exit_code = command_status_;
      result.out = command_output_;
      return result;
    };
  }
  ~DnsTest() override { fs::remove_all(directory_); }

  tunnel::UndoJournal journal() { return tunnel::UndoJournal::open(directory_ / "journal").value(); }
  void write(const std::string& text) { std::ofstream(environment_.resolv_conf) << text; }
  std::string read() {
    std::stringstream text;
    text << std::ifstream(environment_.resolv_conf).rdbuf();
    return text.str();
  }
  ino_t inode() {
    struct stat info {};
    ::lstat(environment_.resolv_conf.c_str(), &info);
    return info.st_ino;
  }
  /// As the next start after a crash does it.
  void undo() { EXPECT_TRUE(journal().undo(Dns::undo_handlers(environment_.run)).empty()); }

  const std::vector<IpAddress> servers_{*IpAddress::parse("9.9.9.9"), *IpAddress::parse("2620:fe::fe")};
  const std::string ours_ = make_resolv_conf(servers_);
  fs::path directory_;
  DnsEnvironment environment_;
  std::vector<std::string> commands_;
  int command_status_ = 0;
  std::string command_output_;
};

TEST_F(DnsTest, FileIsWrittenInPlaceAndRestoredToTheByte) {
  write(kBefore);
  ::chmod(environment_.resolv_conf.c_str(), 0640);
  const ino_t before = inode();
  auto undo_journal = journal();
  Dns dns(undo_journal, environment_);
  ASSERT_TRUE(dns.apply("higgs0", servers_));
  EXPECT_EQ(read(), ours_);
  EXPECT_NE(read().find("nameserver 2620:fe::fe\n"), std::string::npos);
  EXPECT_TRUE(dns.stands());
  ASSERT_TRUE(dns.apply("higgs1", {*IpAddress::parse("1.1.1.1")})) << "again, for a new session";
  undo();
  EXPECT_EQ(read(), kBefore);
  EXPECT_EQ(inode(), before);
  struct stat info {};
  ::stat(environment_.resolv_conf.c_str(), &info);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST_F(DnsTest, SymlinkComesBackAsItWas) {
  fs::create_directory(directory_ / "run");
  std::ofstream(directory_ / "run" / "resolv.conf") << kBefore;
  fs::create_symlink("run/resolv.conf", environment_.resolv_conf);
  auto undo_journal = journal();
  ASSERT_TRUE(Dns(undo_journal, environment_).apply("higgs0", servers_));
  EXPECT_FALSE(fs::is_symlink(environment_.resolv_conf));
  EXPECT_EQ(read(), ours_);
  // What the link points to belongs to another program, which may go on writing it.
  std::ofstream(directory_ / "run" / "resolv.conf") << "nameserver 192.168.7.9\n";
  EXPECT_EQ(read(), ours_);
  undo();
  ASSERT_TRUE(fs::is_symlink(environment_.resolv_conf));
  EXPECT_EQ(fs::read_symlink(environment_.resolv_conf), "run/resolv.conf");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), fs::directory_iterator()), 2) << "nothing else is left";
}

TEST_F(DnsTest, DanglingSymlinkAndAbsentFile) {
  fs::create_symlink("nowhere/resolv.conf", environment_.resolv_conf);
  {
    auto undo_journal = journal();
    ASSERT_TRUE(Dns(undo_journal, environment_).apply("higgs0", servers_));
    EXPECT_EQ(read(), ours_);
  }
  undo();
  EXPECT_EQ(fs::read_symlink(environment_.resolv_conf), "nowhere/resolv.conf");
  fs::remove(environment_.resolv_conf);
  {
    auto undo_journal = journal();
    ASSERT_TRUE(Dns(undo_journal, environment_).apply("higgs0", servers_));
    EXPECT_EQ(read(), ours_);
  }
  undo();
  EXPECT_FALSE(fs::exists(fs::symlink_status(environment_.resolv_conf)));
}

TEST_F(DnsTest, BindMountedFile) {
  if (!tunnel::testing::in_own_network([&] {
        write("");
        std::ofstream(directory_ / "container") << kBefore;
        ASSERT_EQ(
            ::mount((directory_ / "container").c_str(), environment_.resolv_conf.c_str(), nullptr, MS_BIND, nullptr),
            0);
        auto undo_journal = journal();
        ASSERT_TRUE(Dns(undo_journal, environment_).apply("higgs0", servers_));
        EXPECT_EQ(read(), ours_);
        undo();
        EXPECT_EQ(read(), kBefore);
        ::umount(environment_.resolv_conf.c_str());
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

TEST_F(DnsTest, CrashAfterEachStepIsUndone) {
  const ResolvConfFile file{ResolvConfFile::Kind::kFile, kBefore, {}};
  const ResolvConfFile link{ResolvConfFile::Kind::kLink, {}, "run/resolv.conf"};
  // Every state that a file can be found in between the record and the end of the undoing.
  std::vector<std::string> states{kBefore, "", ours_, ours_ + kBefore.substr(10)};
  for (std::size_t length = 1; length < ours_.size(); length += 9) states.push_back(ours_.substr(0, length));
  for (std::size_t length = 1; length < kBefore.size(); length += 9) states.push_back(kBefore.substr(0, length));
  for (const std::string& state : states) {
    write(state);
    ASSERT_TRUE(journal().record(undo_step_of(environment_.resolv_conf, file)));
    undo();
    EXPECT_EQ(read(), kBefore) << "found: " << state;
  }
  fs::remove(environment_.resolv_conf);
  ASSERT_TRUE(journal().record(undo_step_of(environment_.resolv_conf, file)));
  undo();
  EXPECT_EQ(read(), kBefore);

  for (const std::string& state : {std::string(), ours_}) {
    fs::remove(environment_.resolv_conf);
    write(state);
    ASSERT_TRUE(journal().record(undo_step_of(environment_.resolv_conf, link)));
    std::ofstream(directory_ / ".resolv.conf.higgsvpn") << "half";
    undo();
    EXPECT_EQ(fs::read_symlink(environment_.resolv_conf), "run/resolv.conf");
    EXPECT_FALSE(fs::exists(directory_ / ".resolv.conf.higgsvpn"));
  }
}

TEST_F(DnsTest, SomebodyElsesNewerWordStays) {
  write(kBefore);
  auto undo_journal = journal();
  Dns dns(undo_journal, environment_);
  ASSERT_TRUE(dns.apply("higgs0", servers_));
  write("nameserver 192.168.9.1\n");
  EXPECT_FALSE(dns.stands());
  undo();
  EXPECT_EQ(read(), "nameserver 192.168.9.1\n");
}

TEST_F(DnsTest, OverwrittenWhileConnected) {
  write(kBefore);
  auto undo_journal = journal();
  Dns dns(undo_journal, environment_);
  ASSERT_TRUE(dns.apply("higgs0", servers_));
  write("nameserver 192.168.9.1\n");
  ASSERT_TRUE(dns.apply("higgs0", servers_));
  EXPECT_EQ(read(), ours_);
  EXPECT_TRUE(undo_journal.undo(Dns::undo_handlers(environment_.run)).empty());
  EXPECT_EQ(read(), "nameserver 192.168.9.1\n") << "what the other program wrote last";
}

TEST_F(DnsTest, SystemdResolvedIsTold) {
  fs::create_directory(directory_ / "resolve");
  std::ofstream(directory_ / "resolve" / "stub-resolv.conf") << "nameserver 127.0.0.53\n";
  fs::create_symlink("resolve/stub-resolv.conf", environment_.resolv_conf);
  auto undo_journal = journal();
  Dns dns(undo_journal, environment_);
  ASSERT_TRUE(dns.apply("higgs0", servers_));
  ASSERT_GE(commands_.size(), 3u);
  EXPECT_EQ(commands_[0], "resolvectl dns higgs0 9.9.9.9 2620:fe::fe");
  EXPECT_EQ(commands_[1], "resolvectl domain higgs0 ~.");
  EXPECT_TRUE(fs::is_symlink(environment_.resolv_conf)) << "left alone";
  EXPECT_TRUE(dns.stands());
  commands_.clear();
  undo();
  EXPECT_EQ(commands_, std::vector<std::string>{"resolvectl revert higgs0"});
}

TEST_F(DnsTest, WithoutResolvectlTheFileIsChanged) {
  fs::create_directory(directory_ / "resolve");
  std::ofstream(directory_ / "resolve" / "stub-resolv.conf") << "nameserver 127.0.0.53\n";
  fs::create_symlink("resolve/stub-resolv.conf", environment_.resolv_conf);
  command_status_ = 1;
  auto undo_journal = journal();
  ASSERT_TRUE(Dns(undo_journal, environment_).apply("higgs0", servers_));
  EXPECT_EQ(read(), ours_);
  undo();
  EXPECT_EQ(fs::read_symlink(environment_.resolv_conf), "resolve/stub-resolv.conf");
}

TEST_F(DnsTest, OpenresolvIsTold) {
  write("# Generated by resolvconf\nnameserver 192.168.7.1\n");
  command_output_ = "openresolv 3.12.0\n";
  auto undo_journal = journal();
  ASSERT_TRUE(Dns(undo_journal, environment_).apply("higgs0", servers_));
  EXPECT_EQ(commands_.back(), "resolvconf -a higgs0 -m 0 -x <<" + ours_);
  commands_.clear();
  undo();
  EXPECT_EQ(commands_, std::vector<std::string>{"resolvconf -d higgs0 -f"});
}

TEST_F(DnsTest, FailuresAreTold) {
  auto undo_journal = journal();
  EXPECT_EQ(Dns(undo_journal, environment_).apply("higgs0", {}).error(), DnsError::kNoServers);
  fs::create_directory(environment_.resolv_conf);
  EXPECT_EQ(Dns(undo_journal, environment_).apply("higgs0", servers_).error(), DnsError::kNotWritable);
}

}  // namespace
}  // namespace higgs::vpn

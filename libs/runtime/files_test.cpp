#include "runtime/files.h"

#include <filesystem>
#include <thread>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/uuid.h"
#include "runtime/backoff.h"
#include "runtime/log.h"

namespace higgs::runtime {
namespace {

using namespace std::chrono_literals;

class Files : public testing::Test {
 protected:
  void SetUp() override {
    SystemRandom random;
    directory_ = std::filesystem::temp_directory_path() / ("higgs-test-" + Uuid::random(random).to_string());
    ASSERT_TRUE(make_private_directory(directory_));
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  static unsigned mode_of(const std::filesystem::path& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 07777u : 0;
  }
  std::filesystem::path directory_;
};

TEST_F(Files, AreWrittenWholeAndPrivate) {
  const auto path = directory_ / "key";
  ASSERT_TRUE(write_file_atomic(path, "first"));
  EXPECT_EQ(mode_of(path), 0600u);
  ASSERT_TRUE(write_file_atomic(path, "second", 0644));
  EXPECT_EQ(mode_of(path), 0644u);
  EXPECT_EQ(read_file(path).value(), "second");
  EXPECT_FALSE(std::filesystem::exists(directory_ / "key.new"));
}

TEST_F(Files, WhatACrashLeftBesideIsReplacedEvenIfItIsALink) {
  const auto victim = directory_ / "victim";
  ASSERT_TRUE(write_file_atomic(victim, "untouched"));
  std::filesystem::create_symlink(victim, directory_ / "key.new");
  ASSERT_TRUE(write_file_atomic(directory_ / "key", "mine"));
  EXPECT_EQ(read_file(victim).value(), "untouched");
  EXPECT_EQ(read_file(directory_ / "key").value(), "mine");
}

TEST_F(Files, AreBoundedWhenRead) {
  ASSERT_TRUE(write_file_atomic(directory_ / "f", std::string(10'000, 'x')));
  EXPECT_EQ(read_file(directory_ / "f", 9'999).error(), FileError::kTooLarge);
  EXPECT_TRUE(read_file(directory_ / "f", 10'000).has_value());
  EXPECT_EQ(read_file_if_there(directory_ / "none").value(), std::nullopt);
  EXPECT_TRUE(read_file(directory_ / "none").has_error());
  EXPECT_TRUE(remove_file(directory_ / "none").has_value());
}

TEST_F(Files, ASecretThatOthersMayReadIsOpen) {
  const auto path = directory_ / "key";
  EXPECT_EQ(check_private(path).error(), boost::system::errc::no_such_file_or_directory);
  for (const mode_t good : {0600u, 0400u, 0640u}) {
    ASSERT_TRUE(write_file_atomic(path, "secret", good));
    EXPECT_TRUE(check_private(path)) << good;
  }
  for (const mode_t bad : {0644u, 0604u, 0601u, 0660u, 0650u}) {
    ASSERT_TRUE(write_file_atomic(path, "secret", bad));
    EXPECT_EQ(check_private(path).error(), make_error_code(FileError::kOpenToOthers)) << bad;
  }
}

TEST_F(Files, ADirectoryThatOthersWriteToIsRefused) {
  const auto deep = directory_ / "a" / "b";
  ASSERT_TRUE(make_private_directory(deep));
  EXPECT_EQ(mode_of(deep), 0700u);
  EXPECT_EQ(mode_of(directory_ / "a"), 0700u);
  std::filesystem::permissions(deep, std::filesystem::perms::all);
  EXPECT_TRUE(make_private_directory(deep).has_error());
}

TEST_F(Files, ALockHoldsAgainstAnotherProcessAndEndsWithIt) {
  const auto path = directory_ / "lock";
  {
    auto lock = LockFile::acquire(path);
    ASSERT_TRUE(lock);
    EXPECT_EQ(LockFile::holder(path), ::getpid());
    const pid_t child = ::fork();
    if (child == 0) ::_exit(LockFile::acquire(path).error() == FileError::kInUse ? 0 : 1);
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(LockFile::holder(path), std::nullopt);
  EXPECT_TRUE(LockFile::acquire(path));
}

TEST_F(Files, ALockThatOnlyAnOrphanOfADeadHolderHasIsWaitedFor) {
  const auto path = directory_ / "lock";
  int gate[2] = {-1, -1}, ready[2] = {-1, -1};
  ASSERT_EQ(::pipe(gate), 0);
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t holder = ::fork();
  if (holder == 0) {
    const auto lock = LockFile::acquire(path);
    if (!lock || ::fork() != 0) ::_exit(lock ? 0 : 1);
    ::close(gate[1]);
    char end = 'r';
    if (::write(ready[1], &end, 1) != 1) ::_exit(1);
    (void)!::read(gate[0], &end, 1);  // until the test closes its end
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(holder, &status, 0), holder);
  ASSERT_EQ(status, 0);
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_TRUE(LockFile::holder(path).has_value()) << "the orphan still has it";
  bool acquired = false;
  std::thread next([&] { acquired = LockFile::acquire(path).has_value(); });
  ::close(gate[1]);
  next.join();
  EXPECT_TRUE(acquired);
  for (const int fd : {gate[0], ready[0], ready[1]}) ::close(fd);
}

TEST(Backoff, GrowsToItsEarlyCapThenToItsCapAndStartsAgain) {
  SeededRandom random(7);
  Backoff backoff;
  Instant now{};
  auto previous_cap = 100ms;
  for (int i = 0; i < 5; ++i) {
    const auto wait = backoff.next(now, random);
    EXPECT_LE(wait, previous_cap);
    EXPECT_GE(wait, previous_cap / 2);
    previous_cap = std::min(previous_cap * 2, 2000ms);
    now += wait;
  }
  while (now < Instant{} + 30s) {
    const auto wait = backoff.next(now, random);
    EXPECT_LE(wait, 2000ms);
    now += wait;
  }
  std::chrono::milliseconds longest{0};
  for (int i = 0; i < 50; ++i) longest = std::max(longest, backoff.next(now, random));
  EXPECT_GT(longest, 20s);
  EXPECT_LE(longest, 30s);
  backoff.reset();
  EXPECT_LE(backoff.next(now, random), 100ms);
}

TEST(Log, KnowsItsLevels) {
  EXPECT_EQ(log::parse_level("warn"), log::Level::kWarn);
  EXPECT_EQ(log::parse_level("loud"), std::nullopt);
}

TEST(Log, WhatAPeerSentCannotForgeALine) {
  testing::internal::CaptureStderr();
  log::configure({.level = log::Level::kInfo, .format = log::Format::kText, .program = "test"});
  log::info("a node registered", {{"name", std::string("x\n2026 info all is well")}, {"count", 3}});
  log::debug("not shown");
  log::configure({.level = log::Level::kInfo, .format = log::Format::kJson, .program = "test"});
  log::warn("json", {{"text", "a\"b\n"}, {"n", -1}, {"ok", true}, {"bad", std::string("\xff")}});
  const auto written = testing::internal::GetCapturedStderr();
  log::configure({});
  EXPECT_NE(written.find("a node registered name=\"x\\n2026 info all is well\" count=3\n"), written.npos) << written;
  EXPECT_EQ(written.find("not shown"), written.npos);
  EXPECT_NE(written.find(R"("level":"warn","program":"test","message":"json","text":"a\"b\n","n":-1,"ok":true)"),
            written.npos)
      << written;
  EXPECT_EQ(std::count(written.begin(), written.end(), '\n'), 2);
}

}  // namespace
}  // namespace higgs::runtime

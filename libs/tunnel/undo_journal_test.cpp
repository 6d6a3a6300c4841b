#include "tunnel/undo_journal.h"

#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tunnel/testing/own_network.h"

namespace higgs::tunnel {
namespace {

class UndoJournalTest : public ::testing::Test {
 protected:
  UndoJournalTest() {
    std::string pattern = ::testing::TempDir() + "higgs-journal-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    file_ = directory_ / "journal";
  }
  ~UndoJournalTest() override { std::filesystem::remove_all(directory_); }
  UndoJournal open() { return UndoJournal::open(file_).value(); }
  UndoHandlers noting(std::vector<std::string>& into) {
    return {{"a", [&into](const UndoStep& step) -> Result<void> {
               into.push_back(step.fields.at("x"));
               return {};
             }}};
  }

  std::filesystem::path directory_, file_;
};

TEST_F(UndoJournalTest, SurvivesAndUndoesNewestFirst) {
  const std::string odd("\xff\0\n\"}", 5);
  {
    UndoJournal journal = open();
    EXPECT_TRUE(journal.record({"a", {{"x", "1"}}}));
    EXPECT_TRUE(journal.record({"a", {{"x", odd}}}));
    EXPECT_TRUE(journal.record({"a", {{"x", "1"}}})) << "known already";
  }
  struct stat info {};
  ASSERT_EQ(::stat(file_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  UndoJournal journal = open();
  EXPECT_EQ(journal.steps().size(), 2u);
  std::vector<std::string> undone;
  EXPECT_TRUE(journal.undo(noting(undone)).empty());
  EXPECT_EQ(undone, (std::vector<std::string>{odd, "1"}));
  EXPECT_FALSE(std::filesystem::exists(file_));
  EXPECT_TRUE(journal.record({"a", {{"x", "2"}}}));
  EXPECT_EQ(open().steps().size(), 1u);
}

TEST_F(UndoJournalTest, WhatFailsOrIsKeptStays) {
  UndoJournal journal = open();
  ASSERT_TRUE(journal.record({"keep", {}}));
  ASSERT_TRUE(journal.record({"bad", {}}));
  ASSERT_TRUE(journal.record({"a", {{"x", "1"}}}));
  ASSERT_TRUE(journal.record({"unknown", {}}));
  std::vector<std::string> undone;
  UndoHandlers handlers = noting(undone);
  handlers["bad"] = [](const UndoStep&) -> Result<void> { return JournalError::kUnwritable; };
  const auto failures = journal.undo(handlers, [](const UndoStep& step) { return step.kind == "keep"; });
  EXPECT_EQ(failures.size(), 2u);
  EXPECT_EQ(undone.size(), 1u);
  const UndoJournal again = open();
  ASSERT_EQ(again.steps().size(), 3u);
  EXPECT_EQ(again.steps()[0].kind, "keep");
  EXPECT_EQ(again.steps()[1].kind, "bad");
  EXPECT_EQ(again.steps(), journal.steps());
}

TEST_F(UndoJournalTest, TornLastLineIsCutOff) {
  { ASSERT_TRUE(open().record({"a", {{"x", "1"}}})); }
  const auto whole = std::filesystem::file_size(file_);
  { ASSERT_TRUE(open().record({"a", {{"x", "2"}}})); }
  const auto both = std::filesystem::file_size(file_);
  for (auto size = whole + 1; size < both; size += 7) {
    std::filesystem::resize_file(file_, size);
    UndoJournal journal = open();
    EXPECT_EQ(journal.steps().size(), 1u);
    ASSERT_TRUE(journal.record({"a", {{"x", "2"}}}));
    EXPECT_EQ(open().steps().size(), 2u);
  }
}

TEST_F(UndoJournalTest, DamageIsToldNotGuessed) {
  for (const char* text :
       {"garbage\n", "{}\n", "[1]\n", "{\"number\":1}\n", "{\"number\":1,\"undo\":3,\"fields\":{}}\n",
        "{\"number\":-1,\"undo\":\"a\",\"fields\":{}}\n",
        "{\"number\":1,\"undo\":\"a\",\"fields\":{\"x\":\"***\"}}\n"}) {
    std::ofstream(file_) << text;
    EXPECT_EQ(UndoJournal::open(file_).error(), JournalError::kDamaged) << text;
  }
}

TEST_F(UndoJournalTest, DirectoryMissing) {
  UndoJournal journal = UndoJournal::open(directory_ / "nowhere" / "journal").value();
  EXPECT_EQ(journal.record({"a", {}}).error(), JournalError::kUnwritable);
  EXPECT_TRUE(journal.empty()) << "a change that is not on record must not be thought recorded";
}

TEST_F(UndoJournalTest, Sysctl) {
  if (!testing::in_own_network([&] {
        const auto value = [] { return testing::output_of({"cat", "/proc/sys/net/ipv4/conf/lo/src_valid_mark"}); };
        ASSERT_EQ(value(), "0\n");
        UndoJournal journal = open();
        ASSERT_TRUE(set_sysctl(journal, "net/ipv4/conf/lo/src_valid_mark", "0"));
        EXPECT_TRUE(journal.empty());
        ASSERT_TRUE(set_sysctl(journal, "net/ipv4/conf/lo/src_valid_mark", "1"));
        EXPECT_EQ(value(), "1\n");
        EXPECT_FALSE(set_sysctl(journal, "net/ipv4/conf/none/src_valid_mark", "1"));
        UndoJournal later = open();
        EXPECT_TRUE(later.undo({{"sysctl", sysctl_undo_handler()}}).empty());
        EXPECT_EQ(value(), "0\n");
        ASSERT_TRUE(later.record({"sysctl", {{"name", "net/ipv4/conf/gone/src_valid_mark"}, {"value", "0"}}}));
        EXPECT_TRUE(later.undo({{"sysctl", sysctl_undo_handler()}}).empty());
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

constexpr const char* kSwitch = "net/ipv4/conf/lo/src_valid_mark";

TEST_F(UndoJournalTest, ASysctlThatSomebodyElseHasSetStays) {
  if (!testing::in_own_network([&] {
        const auto value = [] { return testing::output_of({"cat", "/proc/sys/net/ipv4/conf/lo/rp_filter"}); };
        ASSERT_TRUE(run_command({"sysctl", "-qw", "net.ipv4.conf.lo.rp_filter=0"}).ok());
        UndoJournal journal = open();
        ASSERT_TRUE(set_sysctl(journal, "net/ipv4/conf/lo/rp_filter", "1"));
        ASSERT_TRUE(run_command({"sysctl", "-qw", "net.ipv4.conf.lo.rp_filter=2"}).ok());
        EXPECT_TRUE(journal.undo({{"sysctl", sysctl_undo_handler()}}).empty());
        EXPECT_EQ(value(), "2\n");
        EXPECT_TRUE(journal.empty());
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

TEST_F(UndoJournalTest, ASysctlOfAnotherBootStays) {
  if (!testing::in_own_network([&] {
        const auto value = [] { return testing::output_of({"cat", std::string("/proc/sys/") + kSwitch}); };
        UndoJournal journal = open();
        ASSERT_TRUE(set_sysctl(journal, kSwitch, "1"));
        UndoStep step = journal.steps().at(0);
        ASSERT_TRUE(step.fields.contains("boot"));
        EXPECT_TRUE(journal.undo({{"sysctl", sysctl_undo_handler()}}).empty());
        ASSERT_EQ(value(), "0\n");
        // The power went; the machine comes back, and its owner sets the same value for a reason of his own.
        ASSERT_TRUE(run_command({"sysctl", "-qw", "net.ipv4.conf.lo.src_valid_mark=1"}).ok());
        step.fields["boot"] = "00000000-0000-4000-8000-000000000000";
        ASSERT_TRUE(journal.record(step));
        ASSERT_TRUE(journal.record({"a", {{"x", "1"}}}));
        std::vector<std::string> undone;
        auto handlers = noting(undone);
        handlers["sysctl"] = sysctl_undo_handler();
        EXPECT_TRUE(open().undo(handlers).empty());
        EXPECT_EQ(value(), "1\n");
        EXPECT_EQ(undone.size(), 1u) << "what outlives a boot is undone";
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

TEST_F(UndoJournalTest, ASysctlThatFollowsAnotherReturnsAfterIt) {
  if (!testing::in_own_network([&] {
        const auto value = [](const char* of) {
          return testing::output_of({"cat", std::string("/proc/sys/net/ipv4/") + of});
        };
        ASSERT_TRUE(run_command({"sysctl", "-qw", "net.ipv4.conf.lo.forwarding=1"}).ok());
        UndoJournal journal = open();
        ASSERT_TRUE(remember_sysctl(journal, "net/ipv4/conf/lo/forwarding", "0"));
        ASSERT_TRUE(remember_sysctl(journal, "net/ipv4/conf/none/forwarding", "0"));
        EXPECT_EQ(journal.steps().size(), 1u);
        ASSERT_TRUE(set_sysctl(journal, "net/ipv4/ip_forward", "1"));
        EXPECT_TRUE(journal.undo({{"sysctl", sysctl_undo_handler()}}).empty());
        EXPECT_EQ(value("ip_forward"), "0\n");
        EXPECT_EQ(value("conf/lo/forwarding"), "1\n");
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

}  // namespace
}  // namespace higgs::tunnel

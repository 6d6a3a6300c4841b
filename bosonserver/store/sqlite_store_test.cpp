// What SQLite alone does, and the bound on rows.
#include <filesystem>

#include <SQLiteCpp/SQLiteCpp.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "bosonserver/store/row_limit.h"
#include "bosonserver/store/testing/store_contract.h"

namespace higgs::boson {
namespace {

TEST(RowLimitTest, CountsNowAndThenAndBeforeItRefuses) {
  RowLimit limit(RowLimit::kRecountEvery + 10);
  std::size_t rows = 0, counts = 0;
  const auto count = [&] {
    ++counts;
    return rows;
  };
  for (; rows < RowLimit::kRecountEvery + 10; ++rows) ASSERT_FALSE(limit.full(count)) << rows;
  EXPECT_EQ(counts, 2u);
  EXPECT_TRUE(limit.full(count));
  --rows;
  EXPECT_FALSE(limit.full(count)) << "there is room again";
}

TEST(SqliteStoreTest, AStoreOfANewerVersionIsLeftAlone) {
  SqliteSubject subject;
  subject.open();
  SQLite::Database(subject.file().string(), SQLite::OPEN_READWRITE).exec("PRAGMA user_version = 99");
  EXPECT_THROW(subject.open(), std::runtime_error);
}

TEST(SqliteStoreTest, ABusyStoreIsUnavailableNotStuck) {
  SqliteSubject subject;
  const auto store = subject.open();
  SQLite::Database other(subject.file().string(), SQLite::OPEN_READWRITE);
  other.exec("BEGIN EXCLUSIVE");
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(store->add_nonce("n", 1, 2).error(), StoreError::kUnavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
  EXPECT_TRUE(store->user_by_name("nobody").error() == StoreError::kNotFound) << "reading goes on";
  other.exec("ROLLBACK");
  EXPECT_TRUE(store->add_nonce("n", 1, 2));
}

TEST(SqliteStoreTest, TheAuditCannotBeRewritten) {
  SqliteSubject subject;
  const auto store = subject.open();
  ASSERT_TRUE(store->add_audit({0, 1, "a", "", "b", "c", "denied"}));
  SQLite::Database other(subject.file().string(), SQLite::OPEN_READWRITE);
  EXPECT_THROW(other.exec("UPDATE audit SET outcome = 'ok'"), SQLite::Exception);
  EXPECT_EQ(store->audit(std::nullopt, 1)->front().outcome, "denied");
}

TEST(SqliteStoreTest, RefusesWhatItCannotUse) {
  EXPECT_THROW(open_store({"sqlite:/nonexistent/dir/store.db"}), std::runtime_error);
  std::string pattern = (std::filesystem::temp_directory_path() / "higgs-store-XXXXXX").string();
  const std::filesystem::path file = pattern;
  const int fd = ::mkstemp(pattern.data());
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::write(fd, "this is no database at all, but long enough to be looked at", 59), 59);
  ::close(fd);
  EXPECT_THROW(open_store({"sqlite:" + pattern}), std::runtime_error);
  std::filesystem::remove(pattern);
}

}  // namespace
}  // namespace higgs::boson

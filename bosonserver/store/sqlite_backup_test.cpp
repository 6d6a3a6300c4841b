#include "bosonserver/store/sqlite_backup.h"

#include <fstream>

#include <SQLiteCpp/SQLiteCpp.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "bosonserver/store/open_store.h"

namespace higgs::boson {
namespace {

class SqliteBackupTest : public ::testing::Test {
 protected:
  SqliteBackupTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "higgs-backup-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~SqliteBackupTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<Store> open(const std::filesystem::path& file) { return open_store({"sqlite:" + file.string()}); }
  /// That it fails, and leaves nothing behind.
  void refuses(const std::filesystem::path& from) {
    EXPECT_THROW(copy_sqlite(from, directory_ / "refused"), std::runtime_error) << from;
    EXPECT_FALSE(std::filesystem::exists(directory_ / "refused"));
    EXPECT_FALSE(std::filesystem::exists(directory_ / "refused.partial"));
  }

  std::filesystem::path directory_;
};

TEST_F(SqliteBackupTest, CopiesAStoreThatIsInUse) {
  const auto store = open(directory_ / "store.db");
  ASSERT_TRUE(store->add_nonce("before", 1, 1'000));
  copy_sqlite(directory_ / "store.db", directory_ / "copy.db");
  ASSERT_TRUE(store->add_nonce("after", 1, 1'000));
  struct stat status {};
  ASSERT_EQ(::stat((directory_ / "copy.db").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_FALSE(std::filesystem::exists(directory_ / "copy.db-wal")) << "one file is all of it";
  const auto copy = open(directory_ / "copy.db");
  EXPECT_TRUE(*copy->consume_nonce("before", 1));
  EXPECT_FALSE(*copy->consume_nonce("after", 1));
  EXPECT_TRUE(*store->consume_nonce("before", 1)) << "the copy is one";
}

TEST_F(SqliteBackupTest, NeverOverwrites) {
  open(directory_ / "store.db");
  std::ofstream(directory_ / "there") << "precious";
  EXPECT_THROW(copy_sqlite(directory_ / "store.db", directory_ / "there"), std::runtime_error);
  EXPECT_EQ(std::filesystem::file_size(directory_ / "there"), 8u);
}

TEST_F(SqliteBackupTest, RefusesWhatIsNoSoundStore) {
  refuses(directory_ / "missing");
  std::ofstream(directory_ / "text") << std::string(10'000, 'x');
  refuses(directory_ / "text");
  std::ofstream(directory_ / "empty").flush();
  refuses(directory_ / "empty");
  SQLite::Database(directory_ / "foreign", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE)
      .exec("CREATE TABLE cats (name TEXT); PRAGMA user_version = 1");
  refuses(directory_ / "foreign");

  open(directory_ / "newer");
  SQLite::Database(directory_ / "newer", SQLite::OPEN_READWRITE).exec("PRAGMA user_version = 99");
  refuses(directory_ / "newer");
  open(directory_ / "dangling");
  SQLite::Database(directory_ / "dangling", SQLite::OPEN_READWRITE)
      .exec("PRAGMA foreign_keys = OFF; INSERT INTO refresh_families VALUES ('f', 'nobody', 1, NULL)");
  refuses(directory_ / "dangling");

  const auto store = open(directory_ / "damaged");
  for (int i = 0; i < 2'000; ++i) ASSERT_TRUE(store->add_audit({0, i, "user:a", "", "login", "a", "ok"}));
  copy_sqlite(directory_ / "damaged", directory_ / "whole");
  std::fstream file(directory_ / "whole", std::ios::in | std::ios::out | std::ios::binary);
  const auto middle = static_cast<std::streamoff>(std::filesystem::file_size(directory_ / "whole") / 2);
  file.seekp(middle);
  file << std::string(16'384, '\xff');
  file.close();
  refuses(directory_ / "whole");
}

}  // namespace
}  // namespace higgs::boson

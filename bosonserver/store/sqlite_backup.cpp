#include "bosonserver/store/sqlite_backup.h"

#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>

#include <SQLiteCpp/Backup.h>
#include <SQLiteCpp/SQLiteCpp.h>
#include <fcntl.h>
#include <unistd.h>

#include "bosonserver/migrations/migrations.h"
#include "runtime/descriptor.h"

namespace higgs::boson {
namespace {

/// For a server that is just writing.
constexpr int kBusyTimeoutMs = 10'000;
constexpr int kAllPages = -1;

[[noreturn]] void fail(const std::filesystem::path& file) {
  throw std::runtime_error("cannot write " + file.string() + ": " + std::strerror(errno));
}

/// A file that is gone again unless it was put in its place.
class PartialFile {
 public:
  explicit PartialFile(const std::filesystem::path& place) : place_(place), file_(place.string() + ".partial") {
    std::filesystem::remove(file_);
    const runtime::Descriptor made(::open(file_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (made.get() < 0) fail(file_);
  }
  ~PartialFile() {
    std::error_code ignored;
    std::filesystem::remove(file_, ignored);
  }
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  const std::filesystem::path& path() const { return file_; }
  void put_in_place() const {
    sync(file_);
    if (::renameat2(AT_FDCWD, file_.c_str(), AT_FDCWD, place_.c_str(), RENAME_NOREPLACE) != 0) fail(place_);
    sync(std::filesystem::absolute(place_).parent_path());
  }

 private:
  static void sync(const std::filesystem::path& what) {
    const runtime::Descriptor opened(::open(what.c_str(), O_RDONLY | O_CLOEXEC));
    if (opened.get() < 0 || ::fsync(opened.get()) != 0) fail(what);
  }

  const std::filesystem::path place_, file_;
};

void check(SQLite::Database& database, const std::filesystem::path& from) {
  const auto version = static_cast<std::size_t>(database.execAndGet("PRAGMA user_version").getInt());
  if (version == 0 || !database.tableExists("users")) throw std::runtime_error(from.string() + " is no store of ours");
  if (version > sqlite_migrations().size())
    throw std::runtime_error(from.string() + " was made by a newer version of bosonserver");
  const std::string found = database.execAndGet("PRAGMA integrity_check").getString();
  if (found != "ok") throw std::runtime_error(from.string() + " is damaged: " + found);
  if (SQLite::Statement(database, "PRAGMA foreign_key_check").executeStep())
    throw std::runtime_error(from.string() + " is damaged: a record refers to another that is missing");
}

}  // namespace

void copy_sqlite(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (std::filesystem::exists(to)) throw std::runtime_error(to.string() + " exists already");
  const PartialFile partial(to);
  try {
    SQLite::Database source(from.string(), SQLite::OPEN_READONLY, kBusyTimeoutMs);
    SQLite::Database target(partial.path().string(), SQLite::OPEN_READWRITE);
    // At once: readers hold up nobody, and writers between two steps would make it begin anew.
    SQLite::Backup(target, source).executeStep(kAllPages);
    // One file, without a write-ahead log beside it; the store that opens it makes its own.
    target.exec("PRAGMA journal_mode = DELETE");
    check(target, from);
  } catch (const SQLite::Exception& error) {
    throw std::runtime_error("cannot copy " + from.string() + ": " + error.what());
  }
  partial.put_in_place();
}

}  // namespace higgs::boson

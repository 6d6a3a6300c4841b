// For tests: a store on an SQLite file in a directory of its own, that counts its calls, can be away, and can wait.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>

#include <stdlib.h>

#include "bosonserver/store/sql_store.h"
#include "bosonserver/store/sqlite_database.h"
#include "bosonserver/store/testing/forwarding_database.h"

namespace higgs::boson::testing {

class CountingStore {
 public:
  CountingStore() {
    std::string pattern = (std::filesystem::temp_directory_path() / "higgs-store-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    auto database = std::make_unique<Database>(directory_ / "store.db", *this);
    database->migrate();
    store_ = std::make_unique<SqlStore>(std::move(database));
    calls = 0;
  }
  ~CountingStore() {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }
  SqlStore& operator*() { return *store_; }
  SqlStore* operator->() { return store_.get(); }

  std::atomic<unsigned> calls = 0;
  std::atomic<unsigned> catch_ups = 0;
  std::atomic<bool> away = false;
  std::function<void()> before_call = [] {};

 private:
  class Database final : public ForwardingDatabase {
   public:
    Database(const std::filesystem::path& file, CountingStore& owner)
        : ForwardingDatabase(std::make_unique<SqliteDatabase>(file)), owner_(owner) {}
    void transact(SqlAccess access, const Work& work) override {
      ++owner_.calls;
      owner_.before_call();
      if (owner_.away) throw SqlError(SqlError::Kind::kAway, "away");
      ForwardingDatabase::transact(access, work);
    }
    void catch_up() override { ++owner_.catch_ups; }

   private:
    CountingStore& owner_;
  };

  std::filesystem::path directory_;
  std::unique_ptr<SqlStore> store_;
};

}  // namespace higgs::boson::testing

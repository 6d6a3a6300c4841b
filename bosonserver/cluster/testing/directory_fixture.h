// For tests: the directories of three servers on one store. Two share presence, the third is in another region.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "bosonserver/cache/memory_presence.h"
#include "bosonserver/cluster/server_directory.h"
#include "bosonserver/store/open_store.h"
#include "bosonserver/store/sql_store.h"
#include "bosonserver/store/testing/failing_database.h"
#include "runtime/log.h"

namespace higgs::boson::testing {

/// Presence that can be out of reach, and tells what was renewed.
class FlakyPresence final : public Presence {
 public:
  explicit FlakyPresence(std::function<Instant()> clock) : inner_(std::move(clock)) {}
  Result<void> set(const std::string& key, const std::string& value, std::chrono::milliseconds ttl) override {
    if (down) return PresenceError::kUnavailable;
    return inner_.set(key, value, ttl);
  }
  Result<void> renew(const std::string& directory, const std::vector<std::string>& names, const std::string& value,
                     std::chrono::milliseconds ttl) override {
    if (down) return PresenceError::kUnavailable;
    renewals.push_back(names);
    return inner_.renew(directory, names, value, ttl);
  }
  Result<std::optional<std::string>> get(const std::string& key) override {
    if (down) return make_error_code(PresenceError::kUnavailable);
    return inner_.get(key);
  }
  Result<bool> erase(const std::string& key, const std::string& only_if_value) override {
    if (down) return {boost::system::in_place_error, make_error_code(PresenceError::kUnavailable)};
    return inner_.erase(key, only_if_value);
  }
  Result<std::vector<Entry>> all(const std::string& directory) override {
    if (down) return make_error_code(PresenceError::kUnavailable);
    return inner_.all(directory);
  }
  bool down = false;
  std::vector<std::vector<std::string>> renewals;

 private:
  MemoryPresence inner_;
};

class DirectoryFixture : public ::testing::Test {
 protected:
  DirectoryFixture() { runtime::log::set_level(runtime::log::Level::kOff); }
  ~DirectoryFixture() override {
    store_.reset();
    std::filesystem::remove_all(path_);
  }
  static std::filesystem::path make_directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "higgs-directory-XXXXXX").string();
    return ::mkdtemp(pattern.data());
  }
  std::unique_ptr<Store> open_failing_store() {
    auto database = open_database({"sqlite:" + (path_ / "store.db").string()});
    database->migrate();
    return std::make_unique<SqlStore>(std::make_unique<FailingDatabase>(std::move(database), store_away_));
  }
  /// Entries of this directory by who is listed there.
  static std::map<std::string, ServerEntry> listed(const ServerDirectory& directory) {
    std::map<std::string, ServerEntry> entries;
    for (const auto& other : directory.others()) entries[host_of_origin(other.url)] = other;
    return entries;
  }
  using Listed = std::map<std::string, ServerEntry>;
  ServerEntry entry(const std::string& host) {
    ServerEntry made;
    made.id = ServerId(Uuid::random(random_));
    made.url = "https://" + host + ":8443";
    made.pin = "sha256/" + host;
    made.relay_workers = 3;
    return made;
  }
  Now now() const { return {Instant(monotonic_), from_unix_seconds(1'800'000'000) + monotonic_}; }

  SeededRandom random_{9};
  std::chrono::nanoseconds monotonic_ = std::chrono::hours(1);
  std::filesystem::path path_ = make_directory();
  std::shared_ptr<std::atomic<bool>> store_away_ = std::make_shared<std::atomic<bool>>(false);
  std::unique_ptr<Store> store_ = open_failing_store();
  FlakyPresence presence_{[this] { return now().monotonic; }}, far_presence_{[this] { return now().monotonic; }};
  ServerDirectory a_{*store_, presence_, [this] { return now(); }}, b_{*store_, presence_, [this] { return now(); }};
  ServerDirectory far_{*store_, far_presence_, [this] { return now(); }};
};

}  // namespace higgs::boson::testing

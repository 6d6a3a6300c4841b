// What an operator may say about the cache, and what comes of it.
#include "bosonserver/cache/shared_state.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "bosonserver/cache/testing/redis_server.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace higgs::boson {
namespace {

using std::chrono::seconds;

class CacheSettingsTest : public ::testing::Test {
 protected:
  CacheSettingsTest() { runtime::log::set_level(runtime::log::Level::kOff); }
  ~CacheSettingsTest() override {
    if (!file_.empty()) std::filesystem::remove(file_);
  }
  /// All problems, in one text.
  std::string load(const std::string& text) {
    settings_ = {};
    schema_.emplace();
    settings_.declare(*schema_);
    std::string all;
    const auto variable = [this](const std::string& name) {
      const auto found = environment_.find(name);
      return found == environment_.end() ? std::nullopt : std::optional(found->second);
    };
    for (const auto& problem :
         schema_->load({.file_text = text, .file_name = "bosonserver.toml", .variable = variable}))
      all += config::to_string(problem) + "\n";
    return all;
  }
  std::string write(const std::string& text) {
    file_ = std::filesystem::temp_directory_path() / ("higgs-cache-password-" + std::to_string(::getpid()));
    std::ofstream(file_) << text;
    return file_.string();
  }
  SharedState make() {
    return SharedState(settings_, random_, [] { return runtime::now().monotonic; });
  }
  static bool wait_connected(const SharedState& state) {
    const auto end = std::chrono::steady_clock::now() + seconds(20);
    while (!state.connected() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    return state.connected();
  }

  SystemRandom random_;
  CacheSettings settings_;
  std::optional<config::Schema> schema_;
  std::map<std::string, std::string> environment_;
  std::filesystem::path file_;
};

TEST_F(CacheSettingsTest, MemoryIsTheDefault) {
  EXPECT_EQ(load(""), "");
  EXPECT_FALSE(settings_.location.redis);
  EXPECT_NE(schema_->effective_toml().find("cache = \"memory\""), std::string::npos);
  EXPECT_EQ(load("cache = \"memory\""), "");
  auto state = make();
  EXPECT_FALSE(state.redis());
  EXPECT_TRUE(state.connected());
  state.cache().set("a", "1", seconds(100), {});
  EXPECT_EQ(state.cache().get("a"), "1");
  EXPECT_TRUE(state.presence().set("node/a", "1", seconds(100)));
  EXPECT_TRUE(state.events().publish("a", ""));
}

TEST_F(CacheSettingsTest, SettingsThatContradictEachOtherAreRefused) {
  EXPECT_EQ(load("cache = 'redis://h'"), "");
  EXPECT_EQ(load("cache = 'rediss://h'\ncache_ca_file = '/ca.pem'\ncache_password_file = '/p'"), "");
  EXPECT_NE(load("cache = 'redis://h/x'").find("database"), std::string::npos);
  EXPECT_NE(load("cache = 'memcached://h'").find("redis://"), std::string::npos);
  EXPECT_NE(load("cache_password_file = '/p'"), "");
  EXPECT_NE(load("cache = 'redis://h'\ncache_ca_file = '/ca.pem'"), "");
  EXPECT_NE(load("cache = 'redis://u:p@h'\ncache_password_file = '/p'").find("more than once"), std::string::npos);
  EXPECT_NE(load("cache = 'redis://h'\ncache_prefix = ''"), "");
  EXPECT_NE(load("cache = 'redis://h'\ncache_prefix = 'a b'"), "");
}

TEST_F(CacheSettingsTest, NobodyIsShownAPassword) {
  environment_["HIGGS_CACHE_PASSWORD"] = "topsecret";
  EXPECT_EQ(load("cache = 'redis://higgs@h'"), "");
  EXPECT_EQ(settings_.redis_options().url.password.reveal(), "topsecret");
  EXPECT_EQ(schema_->effective_toml().find("topsecret"), std::string::npos);
  environment_.clear();
  EXPECT_EQ(load("cache = 'redis://higgs:topsecret@h'"), "");
  EXPECT_EQ(settings_.redis_options().url.password.reveal(), "topsecret");
  EXPECT_EQ(schema_->effective_toml().find("topsecret"), std::string::npos);
  EXPECT_NE(schema_->effective_toml().find("redis://higgs:(hidden)@h:6379/0"), std::string::npos);
  for (const auto* bad : {"redis://u:topsecret@h/x", "redis//u:topsecret@h", "topsecret"}) {
    const auto problems = load(std::string("cache = '") + bad + "'");
    EXPECT_NE(problems, "");
    EXPECT_EQ(problems.find("topsecret"), std::string::npos) << problems;
    EXPECT_EQ(schema_->effective_toml().find("topsecret"), std::string::npos);
  }
}

TEST_F(CacheSettingsTest, APasswordComesFromAFile) {
  testing::RedisServer server({.password = "from a file"});
  const auto url = "cache = 'redis://127.0.0.1:" + std::to_string(server.port()) + "'\n";
  ASSERT_EQ(load(url + "cache_password_file = '" + write("from a file\n") + "'"), "");
  auto state = make();
  ASSERT_TRUE(state.redis());
  ASSERT_TRUE(wait_connected(state));
  state.cache().set("a", "1", seconds(100), {});
  EXPECT_EQ(state.cache().get("a"), "1");
  EXPECT_TRUE(state.presence().set("node/a", "1", seconds(100)));
  EXPECT_TRUE(state.events().publish("a", ""));
  ASSERT_EQ(load(url + "cache_password_file = '/nonexistent'"), "");
  EXPECT_THROW(make(), std::runtime_error);
  ASSERT_EQ(load(url + "cache_password_file = '" + write("\n") + "'"), "");
  EXPECT_THROW(make(), std::runtime_error);
}

TEST_F(CacheSettingsTest, AnAccountOfItsOwnNeedsNoMoreThanTheManualSays) {
  testing::RedisServer server;
  RedisConnection admin(server.options(), random_);
  ASSERT_TRUE(admin.wait_connected(seconds(20)));
  // docs/operations.md, "Redis".
  ASSERT_TRUE(admin.call({{"ACL", "SETUSER", "higgs", "on", ">secret", "~higgs:*", "&higgs:events", "+@read", "+@write",
                           "+@scripting", "+@pubsub", "+@connection", "+time"},
                          is_status}));
  ASSERT_EQ(load("cache = 'redis://higgs:secret@127.0.0.1:" + std::to_string(server.port()) + "'"), "");
  auto state = make();
  ASSERT_TRUE(wait_connected(state));
  state.cache().set("a", "1", seconds(100), {"n"});
  EXPECT_EQ(state.cache().get("a"), "1");
  state.cache().drop_tagged("n");
  state.cache().erase("a");
  EXPECT_EQ(state.cache().count("k", seconds(100)).count, 1u);
  EXPECT_TRUE(state.presence().set("node/a", "1", seconds(100)));
  EXPECT_TRUE(state.presence().renew("node", {"a"}, "1", seconds(100)));
  EXPECT_EQ(state.presence().get("node/a").value(), "1");
  EXPECT_EQ(state.presence().all("node")->size(), 1u);
  EXPECT_TRUE(state.presence().erase("node/a", "1").value());
  EXPECT_TRUE(state.events().publish("a", ""));
  EXPECT_TRUE(state.cache().get("once more") == std::nullopt);  // after it, in order
  EXPECT_EQ(state.redis()->failures, 0u);
  EXPECT_EQ(state.event_stats().lost, 0u);
}

}  // namespace
}  // namespace higgs::boson

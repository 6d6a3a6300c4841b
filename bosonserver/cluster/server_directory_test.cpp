#include "bosonserver/cluster/server_directory.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "bosonserver/cache/local_event_bus.h"
#include "bosonserver/cache/memory_presence.h"
#include "bosonserver/cluster/node_locator.h"
#include "bosonserver/store/open_store.h"
#include "bosonserver/store/sql_store.h"
#include "bosonserver/store/testing/failing_database.h"
#include "bosonserver/store/testing/records.h"
#include "runtime/log.h"

namespace higgs::boson {
namespace {

using namespace std::chrono_literals;

/// Presence that can be out of reach.
class FlakyPresence final : public Presence {
 public:
  explicit FlakyPresence(std::function<Instant()> clock) : inner_(std::move(clock)) {}
  Result<void> set(const std::string& key, const std::string& value, std::chrono::milliseconds ttl) override {
    if (down) return PresenceError::kUnavailable;
    return inner_.set(key, value, ttl);
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

 private:
  MemoryPresence inner_;
};

class Directory : public ::testing::Test {
 protected:
  Directory() { runtime::log::set_level(runtime::log::Level::kOff); }
  ~Directory() override {
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
    return std::make_unique<SqlStore>(std::make_unique<testing::FailingDatabase>(std::move(database), store_away_));
  }
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
  std::chrono::nanoseconds monotonic_{1h};
  std::filesystem::path path_ = make_directory();
  std::shared_ptr<std::atomic<bool>> store_away_ = std::make_shared<std::atomic<bool>>(false);
  std::unique_ptr<Store> store_ = open_failing_store();
  FlakyPresence presence_{[this] { return now().monotonic; }}, far_presence_{[this] { return now().monotonic; }};
  ServerDirectory a_{*store_, presence_, [this] { return now(); }}, b_{*store_, presence_, [this] { return now(); }};
  ServerDirectory far_{*store_, far_presence_, [this] { return now(); }};
};

TEST_F(Directory, ServersFindEachOtherAndForgetWhoFallsSilent) {
  const auto first = entry("a.test"), second = entry("b.test");
  a_.refresh(first);
  EXPECT_TRUE(a_.others().empty());
  b_.refresh(second);
  a_.refresh(first);
  EXPECT_EQ(a_.others(), std::vector{second});
  EXPECT_EQ(b_.find(first.id), first);
  EXPECT_EQ(a_.self(), first);
  monotonic_ += kServerSilence + 1s;
  a_.refresh(first);
  EXPECT_TRUE(a_.others().empty());
}

TEST_F(Directory, WithoutPresenceTheStoreTells) {
  const auto first = entry("a.test"), second = entry("b.test");
  presence_.down = true;
  a_.refresh(first);
  b_.refresh(second);
  a_.refresh(first);
  EXPECT_EQ(a_.others(), std::vector{second});
  // It comes back empty, and knows only who has spoken since.
  presence_.down = false;
  a_.refresh(first);
  EXPECT_EQ(a_.others(), std::vector{second});
  b_.leave();
  a_.refresh(first);
  EXPECT_TRUE(a_.others().empty());
}

TEST_F(Directory, ServersOfAnotherRegionHaveAnotherPresence) {
  const auto first = entry("a.test"), second = entry("b.test"), third = entry("c.test");
  const auto all_say = [&] {
    a_.refresh(first);
    b_.refresh(second);
    far_.refresh(third);
  };
  all_say();
  all_say();
  EXPECT_EQ(a_.others(), (std::vector{second, third}));
  EXPECT_EQ(b_.others(), (std::vector{first, third}));
  EXPECT_EQ(far_.others().size(), 2u);

  auto busy = second;
  busy.load = 50;
  ASSERT_TRUE(presence_.set("server/" + to_string(second.id), encode_entry(busy), kServerSilence));
  a_.refresh(first);
  EXPECT_EQ(a_.find(second.id), busy) << "presence is newer than the store";

  // Without the store the other region is taken to be as it was, and this one is seen as it is.
  *store_away_ = true;
  monotonic_ += kServerSilence + 1s;
  a_.refresh(first);
  EXPECT_EQ(a_.others(), std::vector{third});
  monotonic_ += kDirectoryGrace;
  a_.refresh(first);
  EXPECT_TRUE(a_.others().empty());
  *store_away_ = false;
  all_say();
  far_.leave();
  a_.refresh(first);
  EXPECT_EQ(a_.others(), std::vector{second});
}

TEST_F(Directory, AServerThatLeavesIsGoneAtOnce) {
  const auto first = entry("a.test");
  a_.refresh(first);
  b_.refresh(entry("b.test"));
  b_.leave();
  a_.refresh(first);
  EXPECT_TRUE(a_.others().empty());
}

TEST_F(Directory, EntriesOfOthersAreReadStrictly) {
  auto good = entry("a.test");
  good.draining = true;
  good.load = 12.5;
  EXPECT_EQ(decode_entry(encode_entry(good)), good);
  EXPECT_EQ(good.shown().host, "a.test");
  EXPECT_EQ(good.shown().port, 8443);
  for (const char* text : {"", "{}", "[]", "nonsense", "{\"id\":1}"}) EXPECT_FALSE(decode_entry(text)) << text;
  auto bad = good;
  bad.url = "";
  EXPECT_FALSE(decode_entry(encode_entry(bad))) << "a server without a name is nobody's way";
  bad = good;
  bad.relay_workers = 0;
  EXPECT_FALSE(decode_entry(encode_entry(bad)));
  bad = good;
  bad.load = 101;
  EXPECT_FALSE(decode_entry(encode_entry(bad)));
  EXPECT_EQ(host_of_origin("https://[2001:db8::1]:443"), "2001:db8::1");
  EXPECT_EQ(port_of_origin("https://[2001:db8::1]:443"), 443);
}

class Locator : public Directory {
 protected:
  Locator() {
    node_.key_certificate =
        api::sign_key_certificate(crypto::make_ed25519_key(random_),
                                  crypto::public_key_of(crypto::make_private_key(random_)), 1, 4'000'000'000, {{25}});
    node_.identity_key = node_.key_certificate.identity_key;
    node_.wireguard_key = node_.key_certificate.wireguard_public_key;
    node_.id = api::node_id_of(node_.identity_key);
    node_.tunnel_prefixes = {*IpPrefix::parse("10.1.0.0/24")};
    EXPECT_TRUE(store_->register_node(node_));
    a_.refresh(first_);
    b_.refresh(second_);
    a_.refresh(first_);
  }

  ServerEntry first_ = entry("a.test"), second_ = entry("b.test");
  NodeRecord node_;
  LocalEventBus bus_;
  NodeLocator at_a_{*store_, presence_, bus_, a_, first_.id}, at_b_{*store_, presence_, bus_, b_, second_.id};
};

TEST_F(Locator, ANodeIsWhereItsLinkCameUpLast) {
  EXPECT_FALSE(at_a_.locate(node_.id));
  at_b_.link_up(node_.id);
  EXPECT_EQ(at_a_.locate(node_.id), second_);
  EXPECT_FALSE(at_b_.locate(node_.id)) << "it is here, and at no other server";
  at_a_.link_up(node_.id);
  at_b_.link_down(node_.id);
  EXPECT_EQ(at_b_.locate(node_.id), first_) << "an old link that ends takes nothing away";
  at_a_.link_down(node_.id);
  EXPECT_FALSE(at_b_.locate(node_.id));
}

TEST_F(Locator, TheStoreKnowsWherePresenceDoesNot) {
  at_b_.link_up(node_.id);
  presence_.down = true;
  EXPECT_EQ(at_a_.locate(node_.id), second_);
  presence_.down = false;
  monotonic_ += kNodePresence + 1s;  // nobody repeated it
  b_.refresh(second_);
  a_.refresh(first_);
  EXPECT_EQ(at_a_.locate(node_.id), second_);
  at_b_.forget_own();
  EXPECT_FALSE(at_a_.locate(node_.id)) << "a server that begins anew has no links";
}

TEST_F(Locator, WhatIsTrueIsRepeated) {
  at_b_.link_up(node_.id);
  for (int i = 0; i < 5; ++i) {
    monotonic_ += kNodePresenceInterval;
    at_b_.refresh(now().monotonic);
  }
  const auto said = presence_.get("node/" + to_string(node_.id));
  ASSERT_TRUE(said);
  EXPECT_EQ(*said, to_string(second_.id));
}

TEST_F(Locator, WhatHasMovedOnIsNotClaimedBack) {
  at_b_.link_up(node_.id);
  at_a_.link_up(node_.id);  // B still holds its link, half open
  monotonic_ += kNodePresenceInterval;
  at_b_.refresh(now().monotonic);
  EXPECT_EQ(*presence_.get("node/" + to_string(node_.id)), to_string(first_.id));
}

TEST_F(Locator, AServerThatIsGoneIsNoWay) {
  at_b_.link_up(node_.id);
  monotonic_ += kServerSilence + 1s;
  a_.refresh(first_);
  EXPECT_FALSE(at_a_.locate(node_.id));
}

TEST_F(Locator, TheStoreIsToldLaterWhatItMissed) {
  const auto other = testing::make_node(random_).id;
  *store_away_ = true;
  at_a_.link_up(node_.id);
  *store_away_ = false;
  ASSERT_FALSE(store_->node(node_.id)->server);
  at_a_.refresh(now().monotonic);
  EXPECT_EQ(store_->node(node_.id)->server, first_.id);
  *store_away_ = true;
  at_a_.link_down(node_.id);
  at_a_.link_down(other);
  at_a_.refresh(now().monotonic);
  *store_away_ = false;
  ASSERT_EQ(store_->node(node_.id)->server, first_.id);
  at_a_.refresh(now().monotonic);
  EXPECT_FALSE(store_->node(node_.id)->server);
  // It has gone on to B while A could not say that it had come.
  *store_away_ = true;
  at_a_.link_up(node_.id);
  *store_away_ = false;
  at_b_.link_up(node_.id);
  at_a_.refresh(now().monotonic);
  EXPECT_EQ(store_->node(node_.id)->server, second_.id);
}

TEST_F(Locator, EventsAreReadStrictly) {
  const auto text = to_string(node_.id) + " " + to_string(first_.id);
  EXPECT_EQ(parse_node_moved(text), std::pair(node_.id, first_.id));
  for (const auto& bad : {std::string(), std::string(" "), text.substr(1), text + "x", to_string(node_.id)})
    EXPECT_FALSE(parse_node_moved(bad)) << bad;
}

}  // namespace
}  // namespace higgs::boson

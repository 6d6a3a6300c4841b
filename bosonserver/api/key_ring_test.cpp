#include "bosonserver/api/key_ring.h"

#include <deque>
#include <filesystem>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "bosonserver/api/maintenance.h"
#include "bosonserver/store/open_store.h"

namespace higgs::boson {
namespace {

using std::chrono::hours;

class KeyRingTest : public ::testing::Test {
 protected:
  KeyRingTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "higgs-keys-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    store_ = open_store({"sqlite:" + (directory_ / "store.db").string()});
  }
  ~KeyRingTest() override {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }
  KeyRing make(const SealingKey& sealing) {
    return KeyRing(*store_, sealers_.emplace_back(sealing, random_), random_, hours(24), now_);
  }
  bool verifies(const KeyRing& ring, const std::string& token) const {
    return ring.verify(token, "", jwt::Audience::kApi, now_).has_value();
  }
  jwt::Claims claims() const {
    const auto unix_now = unix_seconds(now_);
    return {"i", "s", jwt::Audience::kApi, "user", unix_now, unix_now, unix_now + 1'000'000, "id", ""};
  }

  SeededRandom random_{1};
  std::filesystem::path directory_;
  std::unique_ptr<Store> store_;
  std::deque<Sealer> sealers_;
  SealingKey sealing_{random_.array<32>()};
  WallTime now_ = from_unix_seconds(1'000'000);
};

TEST_F(KeyRingTest, KeysSurviveARestart) {
  const auto first = make(sealing_);
  const auto token = first.sign(claims());
  const auto second = make(sealing_);
  EXPECT_TRUE(verifies(second, token));
  EXPECT_EQ(second.keys()->size(), 1u);
}

TEST_F(KeyRingTest, KeysAreSealedInTheStore) {
  make(sealing_);
  EXPECT_THROW(make(SealingKey(random_.array<32>())), std::runtime_error);
  const auto record = store_->signing_keys()->at(0);
  EXPECT_EQ(record.sealed.size(), 24u + 32u + 16u);
}

TEST_F(KeyRingTest, KeysRotateAndOldOnesVerifyForAWhile) {
  auto ring = make(sealing_);
  const auto token = ring.sign(claims());
  now_ += hours(25);
  ASSERT_TRUE(ring.refresh(now_));
  EXPECT_EQ(ring.keys()->size(), 2u);
  EXPECT_TRUE(verifies(ring, token));
  now_ += kKeySettling;
  ASSERT_TRUE(ring.refresh(now_));
  const auto newer = ring.sign(claims());
  now_ += hours(24);
  ASSERT_TRUE(ring.refresh(now_));
  EXPECT_FALSE(verifies(ring, token)) << "the first key is gone";
  EXPECT_TRUE(verifies(ring, newer));
}

TEST_F(KeyRingTest, ANewKeySignsOnceAllServersKnowIt) {
  auto ring = make(sealing_);
  auto other = make(sealing_);
  const auto made = other.rotate(now_);
  ASSERT_TRUE(made);
  EXPECT_TRUE(verifies(ring, other.sign(claims()))) << "still with the key that both know";
  ASSERT_TRUE(ring.refresh(now_ + kPurgeInterval));
  EXPECT_EQ(ring.keys()->size(), 2u) << "it did not make one of its own";
  now_ += kKeySettling;
  ASSERT_TRUE(other.refresh(now_));
  const auto token = other.sign(claims());
  EXPECT_NE(token.substr(0, token.find('.')), ring.sign(claims()).substr(0, token.find('.'))) << "another key id";
  EXPECT_TRUE(verifies(ring, token));
}

}  // namespace
}  // namespace higgs::boson

#include "bosonserver/cluster/node_locator.h"

#include <set>

#include <gtest/gtest.h>

#include "bosonserver/cache/local_event_bus.h"
#include "bosonserver/cluster/testing/directory_fixture.h"
#include "bosonserver/store/testing/records.h"

namespace higgs::boson {
namespace {

using namespace std::chrono_literals;

class Locator : public testing::DirectoryFixture {
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

TEST_F(Locator, ManyAreRepeatedByAndByWithOneCallAtATime) {
  std::set<std::string> all;
  for (int i = 0; i < 100; ++i) {
    const NodeId node(Uuid::random(random_));
    at_b_.link_up(node);
    all.insert(to_string(node));
  }
  at_b_.refresh(now().monotonic);
  ASSERT_EQ(presence_.renewals.size(), 1u);
  presence_.renewals.clear();
  std::set<std::string> repeated;
  for (int i = 0; i < 10; ++i) {
    monotonic_ += kNodePresenceInterval / 10;
    at_b_.refresh(now().monotonic);
    ASSERT_EQ(presence_.renewals.size(), static_cast<std::size_t>(i + 1));
    EXPECT_EQ(presence_.renewals.back().size(), all.size() / 10);
    repeated.insert(presence_.renewals.back().begin(), presence_.renewals.back().end());
  }
  EXPECT_EQ(repeated, all);
}

TEST_F(Locator, WhatCouldNotBeRepeatedIsRepeatedOnceItCan) {
  at_b_.link_up(node_.id);
  at_b_.refresh(now().monotonic);
  presence_.down = true;
  monotonic_ += kNodePresence + 1s;
  at_b_.refresh(now().monotonic);
  presence_.down = false;
  at_b_.refresh(now().monotonic);
  EXPECT_EQ(*presence_.get("node/" + to_string(node_.id)), to_string(second_.id));
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
  at_a_.save_missed();
  EXPECT_EQ(store_->node(node_.id)->server, first_.id);
  *store_away_ = true;
  at_a_.link_down(node_.id);
  at_a_.link_down(other);
  at_a_.save_missed();
  *store_away_ = false;
  ASSERT_EQ(store_->node(node_.id)->server, first_.id);
  at_a_.save_missed();
  EXPECT_FALSE(store_->node(node_.id)->server);
  // It has gone on to B while A could not say that it had come.
  *store_away_ = true;
  at_a_.link_up(node_.id);
  *store_away_ = false;
  at_b_.link_up(node_.id);
  at_a_.save_missed();
  EXPECT_EQ(store_->node(node_.id)->server, second_.id);
}

TEST_F(Locator, TheStoreIsToldLittleByLittle) {
  *store_away_ = true;
  std::vector<NodeId> nodes;
  for (int i = 0; i < 120; ++i) {
    nodes.push_back(NodeId(Uuid::random(random_)));
    at_a_.link_up(nodes.back());
  }
  EXPECT_FALSE(at_a_.save_missed()) << "it is still away";
  *store_away_ = false;
  EXPECT_TRUE(at_a_.save_missed());
  EXPECT_TRUE(at_a_.save_missed());
  EXPECT_FALSE(at_a_.save_missed()) << "this was the rest";
}

TEST_F(Locator, EventsAreReadStrictly) {
  const auto text = to_string(node_.id) + " " + to_string(first_.id);
  EXPECT_EQ(parse_node_moved(text), std::pair(node_.id, first_.id));
  for (const auto& bad : {std::string(), std::string(" "), text.substr(1), text + "x", to_string(node_.id)})
    EXPECT_FALSE(parse_node_moved(bad)) << bad;
}

}  // namespace
}  // namespace higgs::boson

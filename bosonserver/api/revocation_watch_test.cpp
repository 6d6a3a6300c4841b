#include "bosonserver/api/revocation_watch.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "bosonserver/store/open_store.h"

namespace higgs::boson {
namespace {

struct FakeRelay final : RelayControl {
  bool node_link_up(NodeId node) const override { return linked.contains(node); }
  void close_session(SessionId session, relay::CloseReason) override { closed.push_back(session); }
  void close_node(NodeId node, relay::CloseReason reason) override {
    EXPECT_EQ(reason, relay::CloseReason::kBanned);
    linked.erase(node);
  }
  void renew_session(SessionId, WallTime) override {}
  bool draining() const override { return false; }

  std::set<NodeId> linked;
  std::vector<SessionId> closed;
};

struct FakeTurn final : TurnControl {
  std::vector<api::TurnServer> admit(SessionId, const std::vector<IpAddress>&, std::int64_t, std::string_view,
                                     WallTime) override {
    return {};
  }
  void renew_session(SessionId, std::int64_t) override {}
  void close_session(SessionId session) override { closed.push_back(session); }

  std::vector<SessionId> closed;
};

class RevocationWatchTest : public ::testing::Test {
 protected:
  RevocationWatchTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "higgs-watch-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    store_ = open_store({"sqlite:" + (directory_ / "store.db").string()});
  }
  ~RevocationWatchTest() override {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }
  SessionId add_session(const std::string& address) {
    SessionRow session;
    session.id = SessionId(Uuid::random(random_));
    session.wireguard_key = crypto::public_key_of(crypto::make_private_key(random_));
    session.address4 = *IpAddress::parse(address);
    session.started_at = 100;
    session.expires_at = 10'000;
    EXPECT_TRUE(store_->add_session(session));
    return session.id;
  }

  SeededRandom random_{9};
  std::filesystem::path directory_;
  std::unique_ptr<Store> store_;
  FakeRelay relay_;
  FakeTurn turn_;
};

TEST_F(RevocationWatchTest, ASessionThatOthersEndedIsClosedOnce) {
  RevocationWatch watch(*store_, relay_, turn_);
  const auto first = add_session("10.0.0.2"), second = add_session("10.0.0.3");
  watch.run(1'000);
  EXPECT_TRUE(relay_.closed.empty());
  ASSERT_TRUE(*store_->end_session(first, "ended", 995));  // by a clock that is behind
  watch.run(1'000);
  watch.run(1'001);
  EXPECT_EQ(relay_.closed, std::vector<SessionId>{first});
  EXPECT_EQ(turn_.closed, std::vector<SessionId>{first});
  ASSERT_TRUE(*store_->end_session(second, "ended", 1'002));
  watch.run(1'002);
  EXPECT_EQ(relay_.closed, (std::vector<SessionId>{first, second}));
  for (std::int64_t now = 1'003; now < 1'100; ++now) watch.run(now);
  EXPECT_EQ(relay_.closed.size(), 2u);
}

TEST_F(RevocationWatchTest, ANodeThatOthersBannedLosesItsLink) {
  const auto identity = crypto::make_ed25519_key(random_);
  NodeRecord node;
  node.key_certificate = api::sign_key_certificate(identity, crypto::public_key_of(crypto::make_private_key(random_)),
                                                   1, 4'000'000'000, {{25}});
  node.identity_key = node.key_certificate.identity_key;
  node.wireguard_key = node.key_certificate.wireguard_public_key;
  node.id = api::node_id_of(node.identity_key);
  node.network_info.ipv4 = node.address = *IpAddress::parse("192.0.2.1");
  ASSERT_TRUE(store_->register_node(node));
  relay_.linked = {node.id};
  RevocationWatch watch(*store_, relay_, turn_);
  watch.run(1'000);
  EXPECT_EQ(relay_.linked.size(), 1u);
  ASSERT_TRUE(store_->set_node_admission(node.id, NodeAdmission::kBanned));
  watch.run(1'000);
  EXPECT_TRUE(relay_.linked.empty());
}

}  // namespace
}  // namespace higgs::boson

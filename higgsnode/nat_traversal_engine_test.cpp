#include "higgsnode/nat_traversal_engine.h"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "higgsnode/testing/fake_driver.h"

namespace higgs::node {
namespace {

using namespace std::chrono_literals;
using testing_support::FakeDriver;

class FakePeers final : public PeerTable {
 public:
  Result<void> add(const crypto::PublicKey& key, const std::vector<IpPrefix>&,
                   const wireguard::PeerAddress& where) override {
    if (full) return make_error_code(tunnel::TunnelError::kLimit);
    peers[key] = where;
    return {};
  }
  Result<void> move(const crypto::PublicKey& key, const wireguard::PeerAddress& where) override {
    peers[key] = where;
    return {};
  }
  Result<void> remove(const crypto::PublicKey& key) override {
    peers.erase(key);
    return {};
  }
  std::optional<wireguard::PeerStatus> status(const crypto::PublicKey&) override { return std::nullopt; }
  std::map<crypto::PublicKey, wireguard::PeerAddress> peers;
  bool full = false;
};

class NatTraversal : public testing::Test {
 protected:
  NatTraversal() {
    engine_.set_events([this](const auto& peer, auto message) { signals_.emplace_back(peer, message.action); },
                       [this](const auto&, const auto& report) { paths_.push_back(report.path); });
  }
  static crypto::PublicKey key(unsigned number = 1) {
    crypto::PublicKey made;
    made.bytes[0] = static_cast<std::byte>(number);
    return made;
  }
  void told_path(std::optional<path::Kind> kind, std::optional<std::chrono::milliseconds> to_direct = {}) {
    path::TraversalReport report;
    report.path = kind;
    report.time_to_direct = to_direct;
    driver_.traversal_events->on_path_changed(key(), report);
    run();
  }
  void run() {
    context_.restart();
    context_.poll();
  }

  boost::asio::io_context context_;
  FakePeers peers_;
  FakeDriver driver_;
  NatTraversalEngine engine_{context_.get_executor(), peers_, driver_, {.traversal = true, .port_mapping = false}};
  std::vector<std::pair<crypto::PublicKey, std::string>> signals_;
  std::vector<std::optional<path::Kind>> paths_;
  wireguard::PeerAddress relay_ = tunnel::relay_address(1, 7);
};

TEST_F(NatTraversal, FollowsTheClientFromTheStartOfASession) {
  ASSERT_TRUE(engine_.add(key(), {}, relay_));
  EXPECT_EQ(peers_.peers.at(key()), relay_);
  EXPECT_EQ(driver_.traversals.at(key()), relay_);
  EXPECT_FALSE(driver_.leads);
  ASSERT_TRUE(engine_.remove(key()));
  EXPECT_TRUE(driver_.traversals.empty());
  EXPECT_TRUE(peers_.peers.empty());
}

TEST_F(NatTraversal, IsToldWhereTheRelayPathLeads) {
  ASSERT_TRUE(engine_.add(key(), {}, relay_));
  engine_.relay_lost(key());
  EXPECT_EQ(driver_.traversals.at(key()), std::nullopt);
  const auto next = tunnel::relay_address(2, 1);
  ASSERT_TRUE(engine_.move(key(), next));
  EXPECT_EQ(driver_.traversals.at(key()), next);
  EXPECT_EQ(peers_.peers.at(key()), next);
}

TEST_F(NatTraversal, WithoutATraversalTheRelayCarriesTheSession) {
  driver_.refuse_traversal = true;
  EXPECT_TRUE(engine_.add(key(), {}, relay_));
  EXPECT_TRUE(engine_.move(key(), tunnel::relay_address(2, 1)));
  engine_.relay_lost(key());
  EXPECT_TRUE(driver_.traversals.empty());
  EXPECT_FALSE(engine_.report(key()));
}

TEST_F(NatTraversal, APeerThatCannotBeAddedGetsNone) {
  peers_.full = true;
  EXPECT_FALSE(engine_.add(key(), {}, relay_));
  EXPECT_TRUE(driver_.traversals.empty());
}

TEST_F(NatTraversal, SignalsGoBothWaysForKnownPeersOnly) {
  engine_.handle_signal(key(), {"candidate", "{}"});
  EXPECT_TRUE(driver_.signals.empty());
  EXPECT_EQ(engine_.counters().signals_refused, 1u);
  ASSERT_TRUE(engine_.add(key(), {}, relay_));
  engine_.handle_signal(key(), {"candidate", "{}"});
  EXPECT_EQ(driver_.signals.size(), 1u);
  driver_.traversal_events->on_signal(key(), {"ice-description", "{}"});
  EXPECT_TRUE(signals_.empty()) << "posted, not called on the device's thread";
  run();
  ASSERT_EQ(signals_.size(), 1u);
  EXPECT_EQ(signals_[0].second, "ice-description");
}

TEST_F(NatTraversal, CountsPathsAndFallBacks) {
  ASSERT_TRUE(engine_.add(key(), {}, relay_));
  told_path(path::Kind::kRelay);
  told_path(path::Kind::kDirectV4, 800ms);
  told_path(path::Kind::kDirectV6, 800ms);
  told_path(path::Kind::kRelay);
  told_path(path::Kind::kDirectV4, 800ms);
  EXPECT_EQ(engine_.counters().paths.at(path::Kind::kRelay), 2u);
  EXPECT_EQ(engine_.counters().paths.at(path::Kind::kDirectV4), 2u);
  EXPECT_EQ(engine_.counters().paths.at(path::Kind::kDirectV6), 1u);
  EXPECT_EQ(engine_.counters().direct_sessions, 1u);
  EXPECT_EQ(engine_.counters().to_direct_sum, 800ms);
  EXPECT_EQ(engine_.counters().fallbacks, 1u);
  EXPECT_EQ(paths_.size(), 5u);
}

TEST_F(NatTraversal, OfAPeerThatIsGoneNothingIsCounted) {
  ASSERT_TRUE(engine_.add(key(), {}, relay_));
  ASSERT_TRUE(engine_.remove(key()));
  told_path(path::Kind::kDirectV4, 1ms);
  EXPECT_TRUE(engine_.counters().paths.empty());
}

TEST_F(NatTraversal, KnowsWhatTheRelayDoesNotCarry) {
  ASSERT_TRUE(engine_.add(key(), {}, relay_));
  EXPECT_FALSE(engine_.carried_without_relay(key()));
  for (const auto& [kind, carried] :
       {std::pair(path::Kind::kDirectV6, true), {path::Kind::kTurn, true}, {path::Kind::kRelay, false}}) {
    driver_.report.emplace().path = kind;
    EXPECT_EQ(engine_.carried_without_relay(key()), carried);
  }
}

TEST_F(NatTraversal, TellsTheDeviceOfEveryChange) {
  engine_.set_stun_servers({*Endpoint::parse("203.0.113.10:3478")});
  tunnel::HostNetwork network;
  network.addresses = {*IpAddress::parse("10.2.0.2")};
  engine_.set_network(network, true);
  engine_.set_port_step(2);
  engine_.set_port_step(2);
  ASSERT_EQ(driver_.networks.size(), 3u);
  EXPECT_FALSE(driver_.networks[0].second);
  EXPECT_TRUE(driver_.networks[1].second);
  EXPECT_EQ(driver_.networks[2].first.stun_servers.size(), 1u);
  EXPECT_EQ(driver_.networks[2].first.addresses, network.addresses);
  EXPECT_EQ(driver_.networks[2].first.port_step, 2);
}

TEST(PortMappings, ThoseBehindASecondNatAreOfNoUse) {
  net::PortMapperStatus status;
  const auto reached = *Endpoint::parse("198.51.100.1:5000"), hidden = *Endpoint::parse("100.64.1.1:5000");
  status.mappings = {{net::MappingProtocol::kPcp, reached, 1h, false},
                     {net::MappingProtocol::kNatPmp, reached, 1h, false},
                     {net::MappingProtocol::kUpnp, hidden, 1h, true}};
  EXPECT_EQ(usable_mappings(status), std::vector{reached});
}

}  // namespace
}  // namespace higgs::node

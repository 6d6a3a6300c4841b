// Two devices in one network: a relay link each, and a shared port each that the other one can reach.
#include <mutex>

#include <gtest/gtest.h>

#include "net/testing/loop_thread.h"
#include "net/udp_socket.h"
#include "stun/binding.h"
#include "tunnel/netlink.h"
#include "tunnel/testing/fresh_network.h"
#include "tunnel/testing/link_relay.h"
#include "tunnel/tunnel_driver.h"

namespace higgs::tunnel {
namespace {

using namespace std::chrono_literals;
using path::Kind;

// Of RFC 5737: nobody's, and no private ones, which peers are not told of.
const IpAddress kHost = *IpAddress::parse("192.0.2.1");

struct NoLinkEvents : RelayLinkEvents {
  void on_control(LinkId, std::string) override {}
  void on_link_closed(LinkId, std::uint16_t, std::string) override {}
  void on_link_doubtful(LinkId) override {}
};

/// Keeps what the traversal says until the test carries it over.
struct Signals : TraversalEvents {
  void on_signal(const wireguard::PublicKey&, relay::PeerMessage message) override {
    const std::lock_guard lock(mutex);
    messages.push_back(std::move(message));
  }
  void on_path_changed(const wireguard::PublicKey&, path::TraversalReport report) override {
    const std::lock_guard lock(mutex);
    reports.push_back(std::move(report));
  }
  std::vector<relay::PeerMessage> take() {
    const std::lock_guard lock(mutex);
    return std::exchange(messages, {});
  }
  std::size_t changes() {
    const std::lock_guard lock(mutex);
    return reports.size();
  }
  std::mutex mutex;
  std::vector<relay::PeerMessage> messages;
  std::vector<path::TraversalReport> reports;
};

class End {
 public:
  End(const char* name, const char* address) {
    InterfaceConfig config;
    config.name = name;
    config.private_key = crypto::make_private_key(random_);
    key_ = crypto::public_key_of(config.private_key);
    config.addresses = {*IpPrefix::parse(address)};
    auto made = make_userspace_driver(config);
    EXPECT_TRUE(made) << made.error().message();
    if (made) driver_ = std::move(*made);
  }
  void connect(net::UpgradedSocket socket, std::uint32_t channel, const End& peer, bool leads,
               std::uint32_t keepalive_seconds) {
    peer_ = peer.key_;
    link_ = driver_->attach_link(std::move(socket), link_events_).value();
    wireguard::PeerConfig config;
    config.public_key = peer_;
    config.address = relay_address(link_, channel);
    config.allowed_ips = {*IpPrefix::parse("10.9.0.0/16")};
    if (keepalive_seconds != 0) config.persistent_keepalive = std::chrono::seconds(keepalive_seconds);
    ASSERT_TRUE(driver_->set_peer(config));
    path::TraversalOptions options;
    options.leads = leads;
    ASSERT_TRUE(driver_->start_traversal(peer_, relay_address(link_, channel), options, signals_));
  }
  void reach(const IpAddress& host) {
    TraversalNetwork network;
    network.addresses = {host};
    network.networks = {*IpPrefix::make(host, 24)};
    ASSERT_TRUE(driver_->set_traversal_network(network, false));
  }
  std::optional<Kind> path() { return driver_->traversal_report(peer_).value().value().path; }
  wireguard::PeerStatus peer_status() { return driver_->peer_status(peer_).value().value(); }
  std::uint16_t port() { return driver_->status()->listen_port; }

  SystemRandom random_;
  wireguard::PublicKey key_, peer_;
  NoLinkEvents link_events_;
  Signals signals_;
  LinkId link_ = 0;
  std::unique_ptr<TunnelDriver> driver_;  // goes first
};

class Pair {
 public:
  Pair() : a("higgs0", "10.9.0.1/32"), b("higgs1", "10.9.0.2/32") {}
  bool ready() const { return a.driver_ && b.driver_; }
  void connect() {
    b.connect(relay.connect(relay.b), 5, a, false, 0);
    a.connect(relay.connect(relay.a), 0, b, true, 1);
  }
  void carry() {
    for (const auto& message : a.signals_.take()) (void)b.driver_->traversal_signal(b.peer_, message);
    for (const auto& message : b.signals_.take()) (void)a.driver_->traversal_signal(a.peer_, message);
  }
  template <class Condition>
  bool until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + 30s;
    for (;;) {
      carry();
      if (condition()) return true;
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::yield();
    }
  }
  bool direct() {
    return until([&] { return a.path() == Kind::kDirectV4 && b.path() == Kind::kDirectV4; });
  }

  testing::LinkRelay relay;
  End a, b;
};

void in_network(const std::function<void(Pair&)>& body) {
  const bool ran = testing::in_fresh_network([&] {
    auto netlink = Netlink::open();
    ASSERT_TRUE(netlink && netlink->set_up("lo", true));
    ASSERT_TRUE(netlink->add_address("lo", kHost, 32));
    Pair pair;
    if (pair.ready()) body(pair);
  });
  if (!ran) FAIL() << "needs root, or a user namespace with a network";
}

TEST(DeviceTraversal, TheTunnelMovesToTheDirectPathAndOutlivesTheRelay) {
  in_network([](Pair& pair) {
    pair.connect();
    ASSERT_TRUE(pair.until([&] { return pair.a.peer_status().has_session && pair.b.peer_status().has_session; }));
    EXPECT_EQ(pair.a.path(), Kind::kRelay);
    EXPECT_TRUE(pair.a.peer_status().pinned);
    pair.a.reach(kHost);
    pair.b.reach(kHost);
    ASSERT_TRUE(pair.direct());
    EXPECT_GE(pair.a.signals_.changes(), 2u);
    const auto report = pair.a.driver_->traversal_report(pair.a.peer_).value().value();
    EXPECT_EQ(report.remote, (Endpoint{kHost, pair.b.port()}));
    EXPECT_TRUE(report.time_to_direct);

    ASSERT_TRUE(pair.a.driver_->detach_link(pair.a.link_));
    ASSERT_TRUE(pair.a.driver_->set_traversal_relay(pair.a.peer_, std::nullopt));
    const auto before = pair.b.peer_status().received_bytes;
    EXPECT_TRUE(pair.until([&] { return pair.b.peer_status().received_bytes > before; })) << "keepalives go on";
    EXPECT_EQ(pair.a.path(), Kind::kDirectV4);
    const auto handshakes = pair.b.driver_->status()->counters.handshakes_completed;
    EXPECT_TRUE(pair.until([&] {
      if (!pair.a.peer_status().has_session) return false;
      return true;
    }));
    ASSERT_TRUE(pair.a.driver_->restart_handshake(pair.a.peer_));
    EXPECT_TRUE(pair.until([&] { return pair.b.driver_->status()->counters.handshakes_completed > handshakes; }))
        << "a new handshake takes the direct path too";
  });
}

TEST(DeviceTraversal, ADeadDirectPathFallsBackToTheRelay) {
  in_network([](Pair& pair) {
    pair.connect();
    pair.a.reach(kHost);
    pair.b.reach(kHost);
    ASSERT_TRUE(pair.direct());
    ASSERT_TRUE(Netlink::open()->remove_address("lo", kHost, 32));
    EXPECT_TRUE(pair.until([&] { return pair.a.path() == Kind::kRelay && pair.b.path() == Kind::kRelay; }));
    const auto before = pair.b.peer_status().received_bytes;
    EXPECT_TRUE(pair.until([&] { return pair.b.peer_status().received_bytes > before; }));
    EXPECT_GE(pair.a.driver_->traversal_report(pair.a.peer_).value()->fallbacks, 1u);
  });
}

TEST(DeviceTraversal, StoppedItIsAnOrdinaryPeerOnTheRelay) {
  in_network([](Pair& pair) {
    pair.connect();
    ASSERT_TRUE(pair.a.driver_->stop_traversal(pair.a.peer_));
    EXPECT_EQ(pair.a.peer_status().address, relay_address(pair.a.link_, 0));
    EXPECT_FALSE(pair.a.peer_status().pinned);
    EXPECT_FALSE(pair.a.driver_->traversal_report(pair.a.peer_).value());
    EXPECT_EQ(pair.a.driver_->stop_traversal(pair.a.peer_).error(), TunnelError::kNoSuchPeer);
    EXPECT_EQ(pair.a.driver_->set_traversal_relay(pair.a.peer_, std::nullopt).error(), TunnelError::kNoSuchPeer);
    EXPECT_EQ(pair.a.driver_->traversal_signal(pair.a.peer_, {}).error(), TunnelError::kNoSuchPeer);
    ASSERT_TRUE(pair.b.driver_->remove_peer(pair.b.peer_)) << "which ends its traversal too";
    EXPECT_FALSE(pair.b.driver_->traversal_report(pair.b.peer_).value());
    EXPECT_EQ(pair.a.driver_->start_traversal(pair.a.key_, {}, {}, pair.a.signals_).error(), TunnelError::kNoSuchPeer);
  });
}

TEST(DeviceTraversal, SetPeerMovesTheRelayPathAndNotThePeer) {
  in_network([](Pair& pair) {
    pair.connect();
    const auto pinned_at = pair.a.peer_status().address;
    const LinkId second = pair.a.driver_->attach_link(pair.relay.connect(pair.relay.a), pair.a.link_events_).value();
    wireguard::PeerConfig config;
    config.public_key = pair.a.peer_;
    config.address = relay_address(second, 0);
    ASSERT_TRUE(pair.a.driver_->set_peer(config));
    EXPECT_EQ(pair.a.peer_status().address, pinned_at);
    EXPECT_TRUE(pair.until([&] { return pair.a.driver_->link_status(second)->sent_packets > 0; }));
  });
}

TEST(DeviceTraversal, StrayDatagramsAreCounted) {
  in_network([](Pair& pair) {
    pair.connect();
    auto socket = net::UdpSocket::open({});
    ASSERT_TRUE(socket);
    const Bytes garbage(40, std::byte{0xff});
    ByteArray<256> buffer;
    const ByteView request = stun::make_binding_request({}, {}, buffer);
    const std::array<ByteView, 2> both{garbage, request};
    ASSERT_TRUE(pair.until([&] {
      socket->send({*IpAddress::parse("127.0.0.1"), pair.a.port()}, both);
      const auto counters = pair.a.driver_->status()->traversal;
      return counters.stray > 0 && counters.stun_for_nobody > 0;
    }));
    relay::PeerMessage bad{"candidate", "{}"};
    ASSERT_TRUE(pair.a.driver_->traversal_signal(pair.a.peer_, bad));
    EXPECT_EQ(pair.a.driver_->status()->traversal.malformed_signals, 1u);
  });
}

}  // namespace
}  // namespace higgs::tunnel

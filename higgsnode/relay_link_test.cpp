#include "higgsnode/relay_link.h"

#include <gtest/gtest.h>

#include "higgsnode/testing/fake_server.h"
#include "higgsnode/testing/run_until.h"
#include "runtime/task_group.h"

namespace higgs::node {
namespace {

using namespace std::chrono_literals;
using testing_support::FakeServer;
using testing_support::run_until;

/// A device without packets: keeps the sockets and what is sent.
class FakeDriver final : public tunnel::TunnelDriver {
 public:
  const std::string& name() const override { return name_; }
  Result<void> set_peer(const wireguard::PeerConfig& peer) override {
    peers[peer.public_key] = peer.address.value_or(wireguard::PeerAddress{});
    return {};
  }
  Result<void> remove_peer(const wireguard::PublicKey& key) override {
    peers.erase(key);
    return {};
  }
  Result<void> restart_handshake(const wireguard::PublicKey&) override { return {}; }
  Result<tunnel::InterfaceStatus> status() override { return tunnel::InterfaceStatus{}; }
  Result<std::optional<wireguard::PeerStatus>> peer_status(const wireguard::PublicKey&) override {
    return std::optional<wireguard::PeerStatus>();
  }
  Result<tunnel::LinkId> attach_link(net::UpgradedSocket socket, tunnel::RelayLinkEvents& told) override {
    events = &told;
    links.emplace(++last, std::move(socket));
    return last;
  }
  Result<void> send_control(tunnel::LinkId link, std::string message) override {
    if (!links.contains(link)) return make_error_code(tunnel::TunnelError::kNoSuchLink);
    sent.push_back(relay::parse_control(message).value());
    return {};
  }
  Result<void> detach_link(tunnel::LinkId link) override {
    links.erase(link);
    return {};
  }
  Result<tunnel::LinkStatus> link_status(tunnel::LinkId) override { return tunnel::LinkStatus{}; }
  Result<void> start_traversal(const wireguard::PublicKey& peer, const wireguard::PeerAddress& relay,
                               path::TraversalOptions, tunnel::TraversalEvents&) override {
    traversals[peer] = relay;
    return {};
  }
  Result<void> stop_traversal(const wireguard::PublicKey& peer) override {
    traversals.erase(peer);
    return {};
  }
  Result<void> set_traversal_relay(const wireguard::PublicKey& peer,
                                   std::optional<wireguard::PeerAddress> relay) override {
    traversals[peer] = relay;
    return {};
  }
  Result<void> traversal_signal(const wireguard::PublicKey&, const relay::PeerMessage& message) override {
    signals.push_back(message);
    return {};
  }
  Result<std::optional<path::TraversalReport>> traversal_report(const wireguard::PublicKey&) override {
    return std::optional<path::TraversalReport>();
  }
  Result<void> set_traversal_network(const tunnel::TraversalNetwork&, bool) override { return {}; }
  Result<std::vector<Endpoint>> reflexive_addresses() override { return std::vector<Endpoint>(); }

  std::map<wireguard::PublicKey, wireguard::PeerAddress> peers;
  std::map<wireguard::PublicKey, std::optional<wireguard::PeerAddress>> traversals;
  std::vector<relay::PeerMessage> signals;
  std::map<tunnel::LinkId, net::UpgradedSocket> links;
  tunnel::LinkId last = 0;
  tunnel::RelayLinkEvents* events = nullptr;
  std::vector<relay::ControlMessage> sent;

 private:
  std::string name_ = "fake0";
};

class DriverPeers final : public PeerTable {
 public:
  explicit DriverPeers(FakeDriver& driver) : driver_(driver) {}
  Result<void> add(const crypto::PublicKey& key, const std::vector<IpPrefix>&,
                   const wireguard::PeerAddress& where) override {
    driver_.peers[key] = where;
    return {};
  }
  Result<void> move(const crypto::PublicKey& key, const wireguard::PeerAddress& where) override {
    driver_.peers[key] = where;
    return {};
  }
  Result<void> remove(const crypto::PublicKey& key) override {
    driver_.peers.erase(key);
    return {};
  }
  std::optional<wireguard::PeerStatus> status(const crypto::PublicKey&) override { return std::nullopt; }

 private:
  FakeDriver& driver_;
};

class Link : public testing::Test {
 protected:
  Link()
      : server_(context_),
        http_(context_.get_executor(), server_.client_options()),
        peers_(driver_),
        sessions_(peers_, {IpPrefix::parse("10.80.0.0/16").value(), std::nullopt}, 10),
        link_(context_.get_executor(), http_, driver_, sessions_, hooks(), random_),
        tasks_(context_.get_executor()) {
    sessions_.set_policy_in_force(true);
    tasks_.spawn("link", link_.run());
  }
  ~Link() override {
    tasks_.cancel();
    http_.close();
    run_until(context_, [this] { return tasks_.size() == 0; });
  }
  RelayLink::Hooks hooks() {
    RelayLink::Hooks made;
    made.up = [this] { ++ups_; };
    made.not_authorized = [this] { ++not_authorized_; };
    return made;
  }
  bool until(const std::function<bool()>& condition) { return run_until(context_, condition); }
  std::string url() const { return "wss" + server_.url().substr(5) + "/relay/some-node"; }
  void connect() {
    link_.set_access({url()}, "token");
    ASSERT_TRUE(until([&] { return ups_ == 1; }));
  }
  static SessionId session() { return SessionId(Uuid::parse("00000000-0000-4000-8000-000000000001").value()); }
  static std::string open(relay::Channel channel) {
    relay::SessionOpen request;
    request.channel = channel;
    request.wireguard_public_key.bytes[0] = std::byte{1};
    request.addresses = {IpPrefix::parse("10.80.1.1").value()};
    return relay::encode_control({session(), relay::Direction::kToNode, request});
  }
  template <class T>
  const T& sent(std::size_t index) const {
    return std::get<T>(driver_.sent.at(index).payload);
  }

  SystemRandom random_;
  boost::asio::io_context context_;
  FakeServer server_;
  net::HttpClient http_;
  FakeDriver driver_;
  DriverPeers peers_;
  SessionManager sessions_;
  int ups_ = 0, not_authorized_ = 0;
  RelayLink link_;
  runtime::TaskGroup tasks_;
};

TEST_F(Link, ConnectsWithTheTokenAndTheSubProtocol) {
  connect();
  ASSERT_EQ(server_.upgrades.size(), 1u);
  EXPECT_EQ(server_.upgrades[0].path, "/relay/some-node");
  EXPECT_EQ(server_.upgrades[0].headers.get("Authorization"), "Bearer token");
  EXPECT_EQ(server_.upgrades[0].headers.get("Sec-WebSocket-Protocol"), "higgs-relay.1");
  EXPECT_TRUE(link_.status().up);
}

TEST_F(Link, ServesASessionThatIsOpened) {
  connect();
  driver_.events->on_control(driver_.last, open(3));
  ASSERT_TRUE(until([&] { return !driver_.sent.empty(); }));
  EXPECT_TRUE(sent<relay::SessionReady>(0).fresh);
  EXPECT_EQ(sent<relay::SessionReady>(0).channel, 3u);
  EXPECT_EQ(driver_.sent[0].session, session());
  EXPECT_EQ(driver_.peers.begin()->second, tunnel::relay_address(driver_.last, 3));
  const relay::SessionClose close{3, relay::CloseReason::kEnded};
  driver_.events->on_control(driver_.last, relay::encode_control({session(), relay::Direction::kToNode, close}));
  ASSERT_TRUE(until([&] { return sessions_.size() == 0; }));
  EXPECT_TRUE(driver_.peers.empty());
}

TEST_F(Link, ALostLinkIsMadeAnewAndTheSessionMovesThere) {
  connect();
  driver_.events->on_control(driver_.last, open(3));
  ASSERT_TRUE(until([&] { return driver_.sent.size() == 1; }));
  const auto first = driver_.last;
  driver_.events->on_link_closed(first, 1006, "");
  ASSERT_TRUE(until([&] { return ups_ == 2; }));
  EXPECT_NE(driver_.last, first);
  EXPECT_FALSE(driver_.links.contains(first));
  EXPECT_EQ(sessions_.size(), 1u);
  driver_.events->on_control(driver_.last, open(1));
  ASSERT_TRUE(until([&] { return driver_.sent.size() == 2; }));
  EXPECT_FALSE(sent<relay::SessionReady>(1).fresh);
  EXPECT_EQ(driver_.peers.begin()->second, tunnel::relay_address(driver_.last, 1));
  // What the old link still had to say comes too late.
  driver_.events->on_control(first, open(9));
  driver_.events->on_link_closed(first, 1006, "");
  driver_.events->on_control(driver_.last, "nonsense");
  ASSERT_TRUE(until([&] { return link_.status().bad_messages == 1; }));
  EXPECT_EQ(driver_.sent.size(), 2u);
  EXPECT_TRUE(link_.status().up);
}

TEST_F(Link, ARefusedTokenAsksForANewRegistration) {
  server_.refuse_upgrade = [](const net::HttpRequest& request) -> std::optional<net::HttpResponse> {
    if (request.headers.get("Authorization") == "Bearer new") return std::nullopt;
    return FakeServer::json("{}", 401);
  };
  link_.set_access({url()}, "old");
  ASSERT_TRUE(until([&] { return not_authorized_ > 0; }));
  EXPECT_EQ(ups_, 0);
  link_.set_access({url()}, "new");
  ASSERT_TRUE(until([&] { return ups_ == 1; }));
}

TEST_F(Link, TriesTheNextAddressWhenOneIsDead) {
  link_.set_access({"wss://127.0.0.1:1/relay/some-node", url()}, "token");
  ASSERT_TRUE(until([&] { return ups_ == 1; }));
  EXPECT_EQ(link_.status().failures, 1u);
}

TEST_F(Link, NoLongerAuthorizedMeansRegisteringAgain) {
  connect();
  driver_.events->on_link_closed(driver_.last, 4002, "banned");
  ASSERT_TRUE(until([&] { return not_authorized_ == 1; }));
}

TEST_F(Link, GoingItClosesEverySession) {
  connect();
  driver_.events->on_control(driver_.last, open(3));
  ASSERT_TRUE(until([&] { return driver_.sent.size() == 1; }));
  link_.close_sessions();
  ASSERT_EQ(driver_.sent.size(), 2u);
  EXPECT_EQ(sent<relay::SessionClose>(1).reason, relay::CloseReason::kNodeGone);
  EXPECT_EQ(sent<relay::SessionClose>(1).channel, 3u);
}

}  // namespace
}  // namespace higgs::node

#include "higgsnode/relay_link.h"

#include <gtest/gtest.h>

#include "higgsnode/testing/fake_driver.h"
#include "higgsnode/testing/fake_server.h"
#include "higgsnode/testing/run_until.h"
#include "runtime/task_group.h"

namespace higgs::node {
namespace {

using namespace std::chrono_literals;
using testing_support::FakeDriver;
using testing_support::FakeServer;
using testing_support::run_until;

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
    made.peer_message = [this](const Session& session, const relay::PeerMessage& message) {
      told_.emplace_back(session.key, message.action);
    };
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
  std::vector<std::pair<crypto::PublicKey, std::string>> told_;
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

TEST_F(Link, PassesOnWhatTheEndsOfASessionTellEachOther) {
  connect();
  const relay::PeerMessage end{"candidates-end", R"({"action":"candidates-end","generation":1})"};
  const auto message = relay::encode_control({session(), relay::Direction::kToNode, end});
  driver_.events->on_control(driver_.last, message);  // of a session that nobody has opened
  driver_.events->on_control(driver_.last, open(3));
  driver_.events->on_control(driver_.last, message);
  ASSERT_TRUE(until([&] { return !told_.empty(); }));
  ASSERT_EQ(told_.size(), 1u);
  const auto& [key, action] = told_[0];
  EXPECT_EQ(action, "candidates-end");
  ASSERT_NE(sessions_.find(key), nullptr);
  link_.send_to_client(*sessions_.find(key), end);
  ASSERT_EQ(driver_.sent.size(), 2u);
  EXPECT_EQ(driver_.sent[1].session, session());
  EXPECT_EQ(driver_.sent[1].direction, relay::Direction::kToClient);
  EXPECT_EQ(sent<relay::PeerMessage>(1).action, "candidates-end");
}

TEST_F(Link, WhatIsToldWithoutALinkIsLost) {
  connect();
  driver_.events->on_control(driver_.last, open(3));
  ASSERT_TRUE(until([&] { return driver_.sent.size() == 1; }));
  driver_.events->on_link_closed(driver_.last, 1006, "");
  ASSERT_TRUE(until([&] { return ups_ == 2; }));
  link_.send_to_client(sessions_.sessions().begin()->second, {"candidates-end", "{}"});
  EXPECT_EQ(driver_.sent.size(), 1u) << "the session has no channel on the new link yet";
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

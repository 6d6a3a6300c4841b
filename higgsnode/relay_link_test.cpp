#include "higgsnode/relay_link.h"

#include <gtest/gtest.h>

#include "higgsnode/testing/fake_driver.h"
#include "higgsnode/testing/fake_server.h"
#include "higgsnode/testing/run_until.h"
#include "runtime/clock.h"
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
        servers_(server_.url()),
        link_(context_.get_executor(), http_, servers_, node(), driver_, sessions_, hooks(), random_, tracer_),
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
  static NodeId node() { return NodeId(Uuid::parse("00000000-0000-8000-8000-000000000002").value()); }
  void connect() {
    link_.set_token("token");
    ASSERT_TRUE(until([&] { return ups_ == 1; }));
  }
  static SessionId session() { return SessionId(Uuid::parse("00000000-0000-4000-8000-000000000001").value()); }
  static std::string open(relay::Channel channel, const std::optional<trace::SpanContext>& trace = {}) {
    relay::SessionOpen request;
    request.channel = channel;
    request.trace = trace;
    request.wireguard_public_key.bytes[0] = std::byte{1};
    request.addresses = {IpPrefix::parse("10.80.1.1").value()};
    return relay::encode_control({session(), relay::Direction::kToNode, request});
  }
  template <class T>
  const T& sent(std::size_t index) const {
    return std::get<T>(driver_.sent.at(index).payload);
  }

  SystemRandom random_;
  trace::Tracer tracer_{1.0, random_, runtime::now};
  boost::asio::io_context context_;
  FakeServer server_;
  net::HttpClient http_;
  FakeDriver driver_;
  DriverPeers peers_;
  SessionManager sessions_;
  int ups_ = 0, not_authorized_ = 0;
  std::vector<std::pair<crypto::PublicKey, std::string>> told_;
  api::ServerChoice servers_;
  RelayLink link_;
  runtime::TaskGroup tasks_;
};

TEST_F(Link, ConnectsWithTheTokenAndTheSubProtocol) {
  connect();
  ASSERT_EQ(server_.upgrades.size(), 1u);
  EXPECT_EQ(server_.upgrades[0].path, "/relay/" + to_string(node()));
  EXPECT_EQ(server_.upgrades[0].headers.get("Authorization"), "Bearer token");
  EXPECT_EQ(server_.upgrades[0].headers.get("Sec-WebSocket-Protocol"), "higgs-relay.1");
  EXPECT_TRUE(link_.status().up);
}

TEST_F(Link, ASessionThatIsOpenedIsAPartOfTheServersTrace) {
  connect();
  const auto parent = trace::parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  driver_.events->on_control(driver_.last, open(3, parent));
  ASSERT_TRUE(until([&] { return driver_.sent.size() == 1; }));
  driver_.events->on_control(driver_.last, open(4));
  ASSERT_TRUE(until([&] { return driver_.sent.size() == 2; }));
  sessions_.drain();
  driver_.events->on_control(driver_.last, open(5, parent));
  ASSERT_TRUE(until([&] { return driver_.sent.size() == 3; }));
  const auto spans = tracer_.queue().take(10);
  ASSERT_EQ(spans.size(), 2u) << "nothing begins a trace here";
  EXPECT_EQ(spans[0].name, "session-open");
  EXPECT_EQ(spans[0].kind, trace::SpanKind::kServer);
  EXPECT_EQ(spans[0].context.trace, parent->trace);
  EXPECT_EQ(spans[0].parent, parent->span);
  EXPECT_FALSE(spans[0].failure);
  EXPECT_EQ(spans[1].failure, "draining");
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
  link_.set_token("old");
  ASSERT_TRUE(until([&] { return not_authorized_ > 0; }));
  EXPECT_EQ(ups_, 0);
  link_.set_token("new");
  ASSERT_TRUE(until([&] { return ups_ == 1; }));
}

/// Two servers of one deployment. Whichever is asked first, the other must be found when it fails.
class TwoServers : public Link {
 protected:
  TwoServers() {
    auto trust = server_.client_options().trust;
    trust.spki_pins.push_back(other_.pin());
    http_.set_trust(trust);
    servers_.learn(now(), {said(server_.url()), said(other_.url())});
    servers_.measured(server_.url(), 10ms);
    servers_.measured(other_.url(), 20ms);
  }
  static Instant now() { return runtime::now().monotonic; }
  static api::RelayServer said(const std::string& url) {
    api::RelayServer server;
    server.host = "127.0.0.1";
    server.port = static_cast<std::uint16_t>(std::stoul(url.substr(url.rfind(':') + 1)));
    return server;
  }
  bool at(const FakeServer& server) const { return link_.status().url.starts_with("wss" + server.url().substr(5)); }

  FakeServer other_{context_};
};

TEST_F(TwoServers, TheNextIsTriedWhereOneRefuses) {
  server_.refuse_upgrade = [](const net::HttpRequest&) { return FakeServer::json("{}", 503); };
  connect();
  EXPECT_TRUE(at(other_));
  EXPECT_EQ(link_.status().failures, 1u);
}

TEST_F(TwoServers, ALostLinkIsMadeAnewAtTheOther) {
  connect();
  ASSERT_TRUE(at(server_));
  driver_.events->on_link_closed(driver_.last, 1006, "");
  ASSERT_TRUE(until([&] { return ups_ == 2; }));
  EXPECT_TRUE(at(other_));
  EXPECT_EQ(server_.upgrades.size(), 1u) << "the dead one is not asked first";
}

TEST_F(TwoServers, AServerThatDrainsIsLeftBeforeItsLinkEnds) {
  connect();
  const auto first = driver_.last;
  driver_.events->on_control(first, open(3));
  ASSERT_TRUE(until([&] { return driver_.sent.size() == 1; }));
  driver_.events->on_control(first,
                             relay::encode_control({std::nullopt, relay::Direction::kToNode, relay::Drain{5, {}}}));
  ASSERT_TRUE(until([&] { return ups_ == 2; }));
  EXPECT_TRUE(at(other_));
  const auto second = driver_.last;
  EXPECT_NE(first, second);
  // What the draining server still says counts, and its session lives on its link until it comes over.
  EXPECT_TRUE(sessions_.find(first, session()) != nullptr);
  driver_.events->on_control(second, open(1));
  ASSERT_TRUE(until([&] { return sessions_.find(second, session()) != nullptr; }));
  driver_.events->on_link_closed(first, 1001, "going away");
  ASSERT_TRUE(until([&] { return !driver_.links.contains(first); }));
  EXPECT_TRUE(sessions_.find(second, session()) != nullptr);
  EXPECT_TRUE(link_.status().up);
}

TEST_F(TwoServers, AServerThatDoesNotAnswerIsLeftBeforeItsLinkIsGivenUp) {
  connect();
  const auto first = driver_.last;
  driver_.events->on_control(first, open(3));
  driver_.events->on_link_doubtful(first);
  ASSERT_TRUE(until([&] { return ups_ == 2; }));
  EXPECT_TRUE(at(other_));
  EXPECT_TRUE(driver_.links.contains(first)) << "it may recover, and clients come over one by one";
  EXPECT_TRUE(sessions_.find(first, session()) != nullptr);
}

TEST_F(Link, WithoutAnotherServerDoubtChangesNothing) {
  connect();
  driver_.events->on_link_doubtful(driver_.last);
  driver_.events->on_control(driver_.last, open(3));
  ASSERT_TRUE(until([&] { return driver_.sent.size() == 1; }));
  EXPECT_EQ(server_.upgrades.size(), 1u);
}

TEST_F(Link, WhereThereIsNoOtherServerADrainingOneIsKept) {
  connect();
  driver_.events->on_control(driver_.last,
                             relay::encode_control({std::nullopt, relay::Direction::kToNode, relay::Drain{5, {}}}));
  driver_.events->on_link_closed(driver_.last, 1001, "going away");
  ASSERT_TRUE(until([&] { return ups_ == 2; }));
  EXPECT_EQ(server_.upgrades.size(), 2u);
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

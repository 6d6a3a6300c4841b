#include "bosonserver/relay/relay_server.h"

#include <condition_variable>
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bosonserver/relay/testing/relay_peer.h"
#include "relay/testing/frames.h"

namespace higgs::boson {
namespace {

using namespace std::chrono_literals;
using relay::testing::make_message;
using relay::testing::make_numbered;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::make_id;
using testing::make_ticket;
using testing::RelayPeer;

/// What the relay told, in order; thread-safe.
class Events : public RelayEvents {
 public:
  void on_session_opened(SessionId, NodeId) override { add("opened"); }
  void on_session_ready(SessionId, NodeId) override { add("ready"); }
  void on_session_refused(SessionId, NodeId, relay::RefusalReason) override { add("refused"); }
  void on_session_ended(SessionId, NodeId, relay::CloseReason reason, SessionBytes bytes) override {
    last_bytes = bytes;
    add("ended " + std::string(relay::to_string(reason)));
  }
  void on_candidate(SessionId, const IpAddress& address) override { add("candidate " + address.to_string()); }
  void on_path_changed(SessionId, std::string_view path) override { add("path " + std::string(path)); }
  void on_node_up(NodeId) override { add("node up"); }
  void on_node_down(NodeId) override { add("node down"); }

  std::size_t count(const std::string& event) const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::count(events_.begin(), events_.end(), event));
  }
  bool wait_for(const std::string& event, std::size_t times = 1) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 20s, [&] {
      return static_cast<std::size_t>(std::count(events_.begin(), events_.end(), event)) >= times;
    });
  }
  SessionBytes last_bytes;

 private:
  void add(std::string event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    changed_.notify_all();
  }
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> events_;
};

class RelayServerTest : public ::testing::Test {
 protected:
  void start(RelayOptions options = {}) {
    if (options.workers == 0) options.workers = 2;
    server_.emplace(options, events_);
  }
  void TearDown() override {
    thread_.call([&] { peers_.clear(); });
    server_.reset();
  }
  RelayPeer& keep(std::unique_ptr<RelayPeer> peer) { return *peers_.emplace_back(std::move(peer)); }
  RelayPeer& node(unsigned number, std::int64_t iat = 100) {
    return keep(testing::connect_node(*server_, thread_, number, iat));
  }
  RelayPeer& client(unsigned session, unsigned on_node, std::int64_t iat = 100) {
    return keep(testing::connect_client(*server_, thread_, make_ticket(session, on_node), iat));
  }
  /// A client whose session its node has made ready.
  RelayPeer& ready_client(unsigned session, unsigned on_node) {
    RelayPeer& peer = client(session, on_node);
    wait([&] { return peer.last<relay::SessionReady>().has_value(); });
    return peer;
  }
  template <class F>
  void wait(F condition) {
    thread_.wait(condition);
  }
  void send(RelayPeer& peer, const Bytes& message) {
    thread_.call([&] { peer.send(message); });
  }

  Events events_;
  std::optional<RelayServer> server_;
  net::testing::LoopThread thread_;
  std::vector<std::unique_ptr<RelayPeer>> peers_;
};

TEST_F(RelayServerTest, PacketsTravelBothWaysAndAreCounted) {
  start();
  RelayPeer& exit = node(1);
  RelayPeer& user = client(1, 1);
  const Bytes first = make_numbered(0, 0, 3, 148);
  send(user, first);  // perhaps before the session is ready: it is held
  wait([&] { return !exit.messages.empty(); });
  thread_.call([&] {
    EXPECT_THAT(exit.messages, ElementsAre(make_numbered(1, 0, 3, 148)));
    exit.send(make_numbered(1, 10, 40, 1452));
  });
  wait([&] { return user.packets == 40; });
  EXPECT_TRUE(events_.wait_for("ready"));
  const auto bytes = server_->session_bytes(make_id<SessionId>(1));
  ASSERT_TRUE(bytes);
  EXPECT_EQ(bytes->up_packets, 3u);
  EXPECT_EQ(bytes->down_packets, 40u);
  EXPECT_EQ(bytes->up_bytes, first.size());

  thread_.call([&] { user.say(make_id<SessionId>(1), relay::SessionClose{std::nullopt, relay::CloseReason::kEnded}); });
  EXPECT_TRUE(events_.wait_for("ended ended"));
  EXPECT_EQ(events_.last_bytes.down_packets, 40u);
  wait([&] { return user.close_code == 4003; });
  EXPECT_FALSE(server_->session_bytes(make_id<SessionId>(1)));
}

TEST_F(RelayServerTest, ManySessionsOfManyNodesStayApart) {
  start();
  std::vector<RelayPeer*> nodes, users;
  for (unsigned i = 0; i < 4; ++i) nodes.push_back(&node(i));
  for (unsigned i = 0; i < 24; ++i) users.push_back(&ready_client(i, i % 4));
  for (unsigned i = 0; i < 24; ++i) send(*users[i], make_numbered(0, static_cast<std::uint16_t>(i), 1, 100 + i));
  wait([&] { return nodes[0]->packets + nodes[1]->packets + nodes[2]->packets + nodes[3]->packets == 24; });
  thread_.call([&] {
    for (unsigned i = 0; i < 24; ++i) {
      const auto channel = nodes[i % 4]->channels.at(make_id<SessionId>(i));
      EXPECT_THAT(nodes[i % 4]->messages, Contains(make_numbered(channel, static_cast<std::uint16_t>(i), 1, 100 + i)));
      nodes[i % 4]->send(make_numbered(channel, static_cast<std::uint16_t>(i), 1, 100 + i));
    }
  });
  for (unsigned i = 0; i < 24; ++i) {
    wait([&] { return users[i]->packets == 1; });
    thread_.call([&] {
      EXPECT_THAT(users[i]->messages, ElementsAre(make_numbered(0, static_cast<std::uint16_t>(i), 1, 100 + i)));
    });
  }
}

TEST_F(RelayServerTest, BadInputClosesTheLinkAndOnlyThat) {
  start();
  RelayPeer& exit = node(1);
  RelayPeer& good = ready_client(1, 1);
  RelayPeer& foreign = ready_client(2, 1);
  RelayPeer& oversized = ready_client(3, 1);
  RelayPeer& flood = ready_client(4, 1);
  RelayPeer& rubbish = ready_client(5, 1);
  send(foreign, make_message(1, {"for another's channel"}));
  wait([&] { return foreign.close_code == 1008; });
  send(oversized, Bytes(relay::kMaxMessageBytes + 1));
  wait([&] { return oversized.close_code == 1009; });
  thread_.call([&] {
    for (int i = 0; i < 2000; ++i)
      flood.say(make_id<SessionId>(4), relay::PeerMessage{"candidate", "{}"}, relay::Direction::kToNode);
  });
  wait([&] { return flood.close_code == 1008; });
  thread_.call([&] { rubbish.say_text("{"); });
  wait([&] { return rubbish.close_code == 1008; });

  send(good, make_message(0, {"still served"}));
  wait([&] { return !exit.messages.empty(); });
  thread_.call([&] {
    EXPECT_THAT(exit.messages, ElementsAre(make_message(exit.channels.at(make_id<SessionId>(1)), {"still served"})));
    EXPECT_FALSE(exit.close_code);
    EXPECT_FALSE(good.close_code);
  });
}

TEST_F(RelayServerTest, NodeLinkIsReplacedWhileSessionsRun) {
  start();
  RelayPeer& old = node(1, 100);
  RelayPeer& user = ready_client(1, 1);
  send(user, make_message(0, {"one"}));
  wait([&] { return old.packets == 1; });

  RelayPeer& fresh = node(1, 100);
  wait([&] { return old.close_code == 4001; });
  EXPECT_TRUE(events_.wait_for("ready", 2));
  send(user, make_message(0, {"two"}));
  wait([&] { return fresh.packets == 1; });
  thread_.call([&] { fresh.send(make_message(fresh.channels.begin()->second, {"back"})); });
  wait([&] { return user.packets == 1; });
  EXPECT_EQ(events_.count("node down"), 0u);
  EXPECT_EQ(events_.count("opened"), 1u);
}

TEST_F(RelayServerTest, SilentOldClientLinkIsReplacedAtOnce) {
  start();
  node(1);
  auto half_open = net::testing::make_socket_pair(true);
  server_->take_client_link(make_ticket(1, 1), 100, {std::move(half_open.server), {}});
  EXPECT_TRUE(events_.wait_for("ready"));
  RelayPeer& user = ready_client(1, 1);
  EXPECT_EQ(server_->stats().replaced, 1u);
  EXPECT_FALSE(user.close_code);
}

TEST_F(RelayServerTest, AdmissionKnowsTokensLimitsAndDraining) {
  RelayOptions options;
  options.sessions = 2;
  options.nodes = 1;
  start(options);
  node(1, 100);
  ready_client(1, 1);
  ready_client(2, 1);
  EXPECT_EQ(server_->standing_iat(make_id<NodeId>(1)), 100);
  EXPECT_EQ(server_->admit_node(make_id<NodeId>(1), 99), Admission::kOlderToken);
  EXPECT_EQ(server_->admit_node(make_id<NodeId>(1), 100), Admission::kAccept);
  EXPECT_EQ(server_->admit_node(make_id<NodeId>(2), 100), Admission::kFull);
  EXPECT_EQ(server_->admit_client(make_id<SessionId>(1), 99), Admission::kOlderToken);
  EXPECT_EQ(server_->admit_client(make_id<SessionId>(1), 101), Admission::kAccept);
  EXPECT_EQ(server_->admit_client(make_id<SessionId>(3), 100), Admission::kFull);
  RelayPeer& late = client(3, 1);
  wait([&] { return late.close_code.has_value(); });
  EXPECT_EQ(server_->stats().sessions, 2u);
  server_->close_session(make_id<SessionId>(2), relay::CloseReason::kEnded);
  EXPECT_TRUE(events_.wait_for("ended ended"));
  EXPECT_EQ(server_->admit_client(make_id<SessionId>(3), 100), Admission::kAccept);
  server_->drain(60s, {});
  EXPECT_EQ(server_->admit_client(make_id<SessionId>(1), 101), Admission::kDraining);
}

TEST_F(RelayServerTest, ReceiverThatReadsNothingStallsNobody) {
  RelayOptions options;
  options.workers = 1;
  options.queue_bytes = 256 * 1024;
  start(options);
  RelayPeer& exit = node(1);
  auto deaf = net::testing::make_socket_pair(true);
  server_->take_client_link(make_ticket(1, 1), 100, {std::move(deaf.server), {}});
  EXPECT_TRUE(events_.wait_for("ready"));
  RelayPeer& user = ready_client(2, 1);
  const Bytes to_deaf = make_numbered(exit.channels.at(make_id<SessionId>(1)), 0, 40, 1400);
  const Bytes to_user = make_numbered(exit.channels.at(make_id<SessionId>(2)), 0, 40, 1400);
  std::uint64_t sent = 0;
  for (int i = 0; i < 300; ++i) {
    wait([&] { return exit.can_send(); });
    send(exit, to_deaf);
    send(exit, to_user);
    sent += 40;
    wait([&] { return user.packets == sent; });
  }
  const auto stats = server_->stats();
  EXPECT_LE(stats.queued_bytes, options.queue_bytes + relay::kMaxMessageBytes);
  EXPECT_GT(stats.drops[relay::DropReason::kQueueFull], 0u);
  wait([&] { return exit.last<relay::QueueReport>().has_value(); });
}

TEST_F(RelayServerTest, DrainTellsAndThenClosesEveryLink) {
  start();
  RelayPeer& exit = node(1);
  RelayPeer& user = ready_client(1, 1);
  server_->drain(1s, {"https://other.example"});
  wait([&] { return user.last<relay::Drain>() && exit.last<relay::Drain>(); });
  send(user, make_message(0, {"still served"}));
  wait([&] { return exit.packets == 1; });
  wait([&] { return user.close_code == 1001 && exit.close_code == 1001; });
  EXPECT_TRUE(events_.wait_for("ended client-gone"));
  wait([&] { return server_->links() == 0; });
}

TEST_F(RelayServerTest, EndOfTheServerClosesEveryLink) {
  start();
  RelayPeer& exit = node(1);
  RelayPeer& user = ready_client(1, 1);
  server_.reset();
  wait([&] { return user.close_code == 1001 && exit.close_code == 1001; });
  EXPECT_EQ(events_.count("ended client-gone"), 1u);
  EXPECT_EQ(events_.count("node down"), 1u);
}

TEST_F(RelayServerTest, TellsOfANodesCandidatesAndAClientsPathAndOfNothingElse) {
  start();
  RelayPeer& exit = node(1);
  RelayPeer& user = ready_client(1, 1);
  const auto session = make_id<SessionId>(1);
  using relay::Direction;
  thread_.call([&] {
    // Neither is for whom it comes from; the others are what a newer or a broken peer may say.
    user.say(session, relay::PeerMessage{"candidate", R"({"address":"198.51.100.66"})"}, Direction::kToNode);
    exit.say(session, relay::PeerMessage{"path-changed", R"({"path":"turn"})"}, Direction::kToClient);
    user.say(session, relay::PeerMessage{"path-changed", R"({"path":"a/../b"})"}, Direction::kToNode);
    exit.say(session, relay::PeerMessage{"candidate", R"({"address":7})"}, Direction::kToClient);
    exit.say(session, relay::PeerMessage{"candidate", R"({"address":"node.example"})"}, Direction::kToClient);
    user.say(session, relay::PeerMessage{"path-changed", R"({"epoch":1,"path":"direct-v4"})"}, Direction::kToNode);
    exit.say(session, relay::PeerMessage{"candidate", R"({"address":"2001:db8::7","port":9})"}, Direction::kToClient);
    return true;
  });
  EXPECT_TRUE(events_.wait_for("candidate 2001:db8::7"));
  EXPECT_TRUE(events_.wait_for("path direct-v4"));
  EXPECT_EQ(events_.count("candidate 198.51.100.66"), 0u);
  EXPECT_EQ(events_.count("path turn"), 0u);
  EXPECT_EQ(events_.count("path a/../b"), 0u);
}

TEST_F(RelayServerTest, BannedNodeTakesItsSessionsAlong) {
  start();
  RelayPeer& exit = node(1);
  RelayPeer& user = ready_client(1, 1);
  server_->close_node(make_id<NodeId>(1), relay::CloseReason::kBanned);
  wait([&] { return user.close_code == 4002 && exit.close_code == 4002; });
  EXPECT_TRUE(events_.wait_for("ended banned"));
  EXPECT_FALSE(server_->standing_iat(make_id<NodeId>(1)));
}

}  // namespace
}  // namespace higgs::boson

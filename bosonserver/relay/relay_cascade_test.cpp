// Two relay servers joined by real WebSockets: clients at A, nodes at B.
#include <condition_variable>
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bosonserver/relay/relay_server.h"
#include "bosonserver/relay/testing/relay_peer.h"
#include "relay/testing/frames.h"

namespace higgs::boson {
namespace {

using namespace std::chrono_literals;
using relay::testing::make_message;
using relay::testing::make_numbered;
using ::testing::ElementsAre;
using testing::make_id;
using testing::make_ticket;
using testing::RelayPeer;

const ServerId kA = make_id<ServerId>(1), kB = make_id<ServerId>(2);

/// What a relay told of other servers, and of the ends of sessions; thread-safe.
class ClusterEvents : public RelayEvents {
 public:
  struct Wanted {
    ServerId server;
    unsigned own_worker, peer_worker;
  };

  void on_session_opened(SessionId, NodeId) override { add("opened"); }
  void on_session_ready(SessionId, NodeId) override { add("ready"); }
  void on_session_refused(SessionId, NodeId, relay::RefusalReason) override { add("refused"); }
  void on_session_ended(SessionId, NodeId, relay::CloseReason reason, SessionBytes) override {
    add("ended " + std::string(relay::to_string(reason)));
  }
  void on_candidate(SessionId, const IpAddress&) override { add("candidate"); }
  void on_path_changed(SessionId, std::string_view) override { add("path"); }
  void on_node_up(NodeId) override { add("node up"); }
  void on_node_down(NodeId) override { add("node down"); }
  void on_node_wanted(NodeId) override { add("node wanted"); }
  void on_server_link_wanted(ServerId server, unsigned own_worker, unsigned peer_worker) override {
    {
      const std::lock_guard lock(mutex_);
      wanted_.push_back({server, own_worker, peer_worker});
    }
    add("link wanted");
  }
  void on_server_link_up(const relay::ServerLink&) override { add("link up"); }
  void on_server_link_down(const relay::ServerLink&) override { add("link down"); }

  std::size_t count(const std::string& event) const {
    const std::lock_guard lock(mutex_);
    return count_locked(event);
  }
  bool wait_for(const std::string& event, std::size_t times = 1) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 20s, [&] { return count_locked(event) >= times; });
  }
  std::vector<Wanted> take_wanted() {
    const std::lock_guard lock(mutex_);
    return std::exchange(wanted_, {});
  }

 private:
  std::size_t count_locked(const std::string& event) const {
    return static_cast<std::size_t>(std::count(events_.begin(), events_.end(), event));
  }
  void add(std::string event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    changed_.notify_all();
  }
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> events_;
  std::vector<Wanted> wanted_;
};

class RelayCascadeTest : public ::testing::Test {
 protected:
  RelayCascadeTest() {
    RelayOptions options;
    options.workers = 2;
    a_.emplace(options, at_a_);
    options.workers = 3;
    b_.emplace(options, at_b_);
  }
  void TearDown() override {
    thread_.call([&] { peers_.clear(); });
    a_.reset();
    b_.reset();
  }
  RelayPeer& node(RelayServer& server, unsigned number) {
    return *peers_.emplace_back(testing::connect_node(server, thread_, number));
  }
  RelayPeer& client(RelayServer& server, unsigned session, unsigned on_node, std::int64_t iat = 100) {
    return *peers_.emplace_back(testing::connect_client(server, thread_, make_ticket(session, on_node), iat));
  }
  /// What presence and the dialer do: A learns that these nodes are at B, and gets the links that it asks for.
  void connect(std::initializer_list<unsigned> nodes) {
    for (const unsigned node : nodes) a_->set_node_server(make_id<NodeId>(node), relay::ServerRef{kB, b_->workers()});
    const auto links = at_a_.count("link up") + nodes.size();
    EXPECT_TRUE(at_a_.wait_for("link wanted", links));
    for (const auto& wanted : at_a_.take_wanted()) {
      EXPECT_EQ(wanted.server, kB);
      auto pair = net::testing::make_socket_pair(true);
      using enum relay::ServerLinkDirection;
      b_->take_server_link({{kA, kIncoming, wanted.own_worker, 100}, wanted.peer_worker}, {std::move(pair.server), {}});
      a_->take_server_link({{kB, kOutgoing, wanted.peer_worker, 100}, wanted.own_worker}, {std::move(pair.client), {}});
    }
    EXPECT_TRUE(at_a_.wait_for("link up", links));
  }
  void wait_ready(RelayPeer& peer) {
    thread_.wait([&] { return peer.last<relay::SessionReady>().has_value(); });
  }

  ClusterEvents at_a_, at_b_;
  std::optional<RelayServer> a_, b_;
  net::testing::LoopThread thread_;
  std::vector<std::unique_ptr<RelayPeer>> peers_;
};

TEST_F(RelayCascadeTest, BatchesTravelFromClientToNodeOverTwoServersAndBack) {
  RelayPeer& exit = node(*b_, 1);
  RelayPeer& user = client(*a_, 1, 1);
  EXPECT_TRUE(at_a_.wait_for("node wanted"));
  const Bytes first = make_numbered(0, 0, 3, 148);
  thread_.call([&] { user.send(first); });  // held by A
  connect({1});
  wait_ready(user);
  thread_.wait([&] { return !exit.messages.empty(); });
  thread_.call([&] {
    EXPECT_THAT(exit.messages, ElementsAre(make_numbered(1, 0, 3, 148)));
    EXPECT_EQ(exit.last<relay::SessionOpen>()->hops, 1u);
    exit.send(make_numbered(1, 10, 44, 1452));
  });
  thread_.wait([&] { return user.packets == 44; });
  thread_.call([&] { EXPECT_THAT(user.messages, ElementsAre(make_numbered(0, 10, 44, 1452))); });
  const auto bytes = a_->session_bytes(make_id<SessionId>(1));
  ASSERT_TRUE(bytes);
  EXPECT_EQ(bytes->up_bytes, first.size());
  EXPECT_EQ(bytes->down_packets, 44u);
  EXPECT_FALSE(b_->session_bytes(make_id<SessionId>(1))) << "counted where the client is";

  thread_.call([&] { user.say(make_id<SessionId>(1), relay::SessionClose{std::nullopt, relay::CloseReason::kEnded}); });
  thread_.wait([&] { return exit.last<relay::SessionClose>().has_value(); });
  EXPECT_TRUE(at_a_.wait_for("ended ended"));
  EXPECT_EQ(at_b_.count("opened") + at_b_.count("ready") + at_b_.count("ended ended"), 0u);
}

TEST_F(RelayCascadeTest, WorkersMeetInPairsAndSessionsStayApart) {
  std::vector<RelayPeer*> nodes, users;
  for (unsigned i = 0; i < 6; ++i) nodes.push_back(&node(*b_, i));
  for (unsigned i = 0; i < 24; ++i) users.push_back(&client(*a_, 100 + i, i % 6));
  EXPECT_TRUE(at_a_.wait_for("node wanted", 6));
  connect({0, 1, 2, 3, 4, 5});  // worker of A: number modulo 2; of B: modulo 3
  for (RelayPeer* user : users) wait_ready(*user);
  EXPECT_EQ(a_->stats().server_links, 6u);
  EXPECT_EQ(b_->stats().cascaded_sessions, 24u);
  for (unsigned i = 0; i < 24; ++i)
    thread_.call([&] { users[i]->send(make_numbered(0, static_cast<std::uint16_t>(i), 1, 100 + i)); });
  for (unsigned i = 0; i < 6; ++i) thread_.wait([&] { return nodes[i]->packets == 4; });
  thread_.call([&] {
    for (unsigned i = 0; i < 24; ++i) {
      const auto channel = nodes[i % 6]->channels.at(make_id<SessionId>(100 + i));
      EXPECT_THAT(nodes[i % 6]->messages,
                  ::testing::Contains(make_numbered(channel, static_cast<std::uint16_t>(i), 1, 100 + i)));
      nodes[i % 6]->send(make_numbered(channel, static_cast<std::uint16_t>(i), 1, 100 + i));
    }
  });
  for (unsigned i = 0; i < 24; ++i) {
    thread_.wait([&] { return users[i]->packets == 1; });
    thread_.call([&] {
      EXPECT_THAT(users[i]->messages, ElementsAre(make_numbered(0, static_cast<std::uint16_t>(i), 1, 100 + i)));
    });
  }
}

TEST_F(RelayCascadeTest, AClientThatMovesToTheNodesServerLeavesTheOther) {
  RelayPeer& exit = node(*b_, 1);
  RelayPeer& user = client(*a_, 1, 1);
  connect({1});
  wait_ready(user);
  RelayPeer& moved = client(*b_, 1, 1);
  wait_ready(moved);
  EXPECT_TRUE(at_a_.wait_for("ended moved"));
  thread_.wait([&] { return user.close_code == 4001; });
  EXPECT_FALSE(a_->standing_iat(make_id<SessionId>(1)));
  EXPECT_EQ(b_->standing_iat(make_id<SessionId>(1)), 100);
  thread_.call([&] { moved.send(make_message(0, {"from here"})); });
  thread_.wait([&] { return exit.packets == 1; });
  thread_.call([&] { EXPECT_FALSE(exit.last<relay::SessionClose>()); });

  // And back, by way of A again.
  RelayPeer& back = client(*a_, 1, 1);
  EXPECT_TRUE(at_a_.wait_for("node wanted", 2));
  a_->set_node_server(make_id<NodeId>(1), relay::ServerRef{kB, b_->workers()});
  wait_ready(back);
  EXPECT_TRUE(at_b_.wait_for("ended moved"));
  EXPECT_FALSE(b_->standing_iat(make_id<SessionId>(1)));
}

TEST_F(RelayCascadeTest, AnOlderTokenLeavesNoTraceWhereANewerClaimStands) {
  node(*b_, 1);
  RelayPeer& user = client(*a_, 1, 1, 200);
  connect({1});
  wait_ready(user);
  RelayPeer& late = client(*b_, 1, 1, 100);
  thread_.wait([&] { return late.close_code == 4001; });
  thread_.wait([&] { return !b_->standing_iat(make_id<SessionId>(1)); });
  EXPECT_FALSE(user.close_code);
}

TEST_F(RelayCascadeTest, AServerThatEndsIsAskedForAgainAndAFailureHeard) {
  node(*b_, 1);
  RelayPeer& user = client(*a_, 1, 1);
  connect({1});
  wait_ready(user);
  b_.reset();
  EXPECT_TRUE(at_a_.wait_for("link down"));
  EXPECT_TRUE(at_a_.wait_for("link wanted", 2));
  const auto wanted = at_a_.take_wanted().at(0);
  a_->server_link_failed(wanted.server, wanted.own_worker, wanted.peer_worker);
  EXPECT_TRUE(at_a_.wait_for("link wanted", 3));
  EXPECT_EQ(at_a_.count("ended client-gone"), 0u);
  // The node has gone to A meanwhile.
  node(*a_, 1);
  EXPECT_TRUE(at_a_.wait_for("ready", 2));
}

TEST_F(RelayCascadeTest, OnlyAWorkerThatThereIsTakesALink) {
  const ServerLinkGrant grant{{kB, relay::ServerLinkDirection::kIncoming, 0, 100}, 2};
  EXPECT_EQ(a_->admit_server(grant), Admission::kNoWorker);
  EXPECT_EQ(b_->admit_server(grant), Admission::kAccept);
  auto pair = net::testing::make_socket_pair(true);
  a_->take_server_link(grant, {std::move(pair.server), {}});
  a_->server_link_failed(kB, 2, 0);
  EXPECT_EQ(a_->links(), 0u);
  b_->drain(60s, {});
  EXPECT_EQ(b_->admit_server(grant), Admission::kAccept) << "clients that left may need a node that has not";
}

}  // namespace
}  // namespace higgs::boson

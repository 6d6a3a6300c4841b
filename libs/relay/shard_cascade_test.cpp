// Links between servers, seen from either end of one: A, where the clients are, and B, where the nodes are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "relay/shard.h"
#include "relay/testing/recording_output.h"

namespace higgs::relay {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::make_message;
using testing::make_numbered;

constexpr LinkKey kNodeLink = 1, kClientLink = 2, kServerLink = 3, kOtherLink = 4;

template <class Id>
Id id(unsigned number) {
  ByteArray<16> bytes{};
  store_be(bytes.data() + 4, number);
  return Id(Uuid(bytes));
}
const ServerId kPeer = id<ServerId>(7), kThird = id<ServerId>(8);

class CascadeTest : public ::testing::Test {
 protected:
  SessionTicket ticket(unsigned session = 1) {
    SessionTicket out;
    out.session = id<SessionId>(session);
    out.node = id<NodeId>(1);
    out.wireguard_public_key.bytes.fill(std::byte(session));
    out.addresses = {*IpPrefix::parse("10.0.0.2/32")};
    out.expires_at = now_.wall + 1h;
    return out;
  }
  void pass(std::chrono::nanoseconds time) {
    const Now end{now_.monotonic + time, now_.wall + time};
    while (const auto next = shard().poll_timeout()) {
      if (*next > end.monotonic) break;
      const auto step = std::max(*next - now_.monotonic, 0ns);
      now_ = {now_.monotonic + step, now_.wall + step};
      shard().handle_timeout(now_);
    }
    now_ = end;
  }
  Shard& shard() {
    if (!shard_) shard_.emplace(limits_, out_);
    return *shard_;
  }
  void node_up() { shard().add_node_link(now_, kNodeLink, id<NodeId>(1), 100); }
  void client_up(LinkKey key = kClientLink, std::int64_t iat = 100, unsigned session = 1) {
    shard().add_client_link(now_, key, ticket(session), iat);
  }
  void server_up(ServerLinkDirection direction, LinkKey key = kServerLink, ServerId peer = kPeer,
                 std::int64_t iat = 100) {
    shard().add_server_link(now_, key, {peer, direction, 0, iat});
  }
  void incoming_up(LinkKey key = kServerLink, ServerId peer = kPeer) {
    server_up(ServerLinkDirection::kIncoming, key, peer);
  }
  void outgoing_up(LinkKey key = kServerLink, ServerId peer = kPeer) {
    server_up(ServerLinkDirection::kOutgoing, key, peer);
  }
  void node_is_at(ServerId server) { shard().set_node_server(now_, id<NodeId>(1), ServerRef{server, 1}); }
  void from(LinkKey key, Bytes message) { shard().on_binary(now_, key, message); }
  void say(LinkKey key, ControlPayload payload, unsigned session = 1, Direction direction = Direction::kToServer) {
    shard().on_text(now_, key, encode_control({id<SessionId>(session), direction, std::move(payload)}));
  }
  SessionOpen open(Channel channel, unsigned session = 1, std::int64_t iat = 100, bool new_link = true) {
    const auto what = ticket(session);
    return {channel,
            what.wireguard_public_key,
            what.addresses,
            std::nullopt,
            1,
            CascadedSession{what.node, iat, unix_seconds(what.expires_at), new_link}};
  }
  void node_ready(bool fresh = true, unsigned session = 1) {
    say(kNodeLink, SessionReady{out_.last<SessionOpen>(kNodeLink).channel, fresh}, session);
  }
  /// As B: a session of a client of A's on channel 7.
  void serve_foreign() {
    node_up();
    incoming_up();
    say(kServerLink, open(7));
    node_ready();
  }
  /// As A: a session whose node is at B, on channel 1.
  void serve_elsewhere() {
    client_up();
    node_is_at(kPeer);
    outgoing_up();
    say(kServerLink, SessionReady{out_.last<SessionOpen>(kServerLink).channel, true});
  }
  void keep_alive(std::initializer_list<LinkKey> links) {
    for (const LinkKey key : links) shard().on_alive(now_, key);
  }

  testing::RecordingOutput out_;
  ShardLimits limits_;
  std::optional<Shard> shard_;
  Now now_{Instant(1000s), WallTime(1'800'000'000s)};
};

// --- where the client is -----------------------------------------------------------------------------------------

TEST_F(CascadeTest, ANodeElsewhereIsLookedUpAndReachedThroughItsServer) {
  client_up();
  EXPECT_EQ(out_.last<ErrorNotice>(kClientLink).code, kNodeOffline);
  EXPECT_EQ(out_.nodes_wanted, 1u);
  from(kClientLink, make_message(0, {"held"}));
  shard().set_node_server(now_, id<NodeId>(1), ServerRef{kPeer, 5});
  const unsigned worker = worker_of(id<NodeId>(1), 5);
  EXPECT_THAT(out_.links_wanted, ElementsAre(std::pair(kPeer, worker)));
  shard().add_server_link(now_, kServerLink, {kPeer, ServerLinkDirection::kOutgoing, worker, 100});
  const auto asked = out_.last<SessionOpen>(kServerLink);
  EXPECT_EQ(asked.hops, 1u);
  ASSERT_TRUE(asked.cascade);
  EXPECT_EQ(asked.cascade->node, id<NodeId>(1));
  EXPECT_EQ(asked.cascade->issued_at, 100);
  EXPECT_EQ(asked.cascade->expires_at, unix_seconds(ticket().expires_at));
  EXPECT_TRUE(asked.cascade->new_link);
  say(kServerLink, SessionReady{asked.channel, true});
  EXPECT_TRUE(out_.last<SessionReady>(kClientLink).fresh);
  EXPECT_FALSE(out_.last<SessionReady>(kClientLink).channel);
  EXPECT_THAT(out_[kServerLink].binary, ElementsAre(make_message(1, {"held"})));
  from(kServerLink, make_message(1, {"down"}));
  EXPECT_THAT(out_[kClientLink].binary, ElementsAre(make_message(0, {"down"})));
  EXPECT_THAT(out_.events, ElementsAre("opened", "server up", "ready"));
  EXPECT_EQ(shard().stats().server_links, 1u);
  EXPECT_EQ(shard().stats().cascaded_sessions, 1u);
}

TEST_F(CascadeTest, ALinkIsAskedForOnceAndAgainOnlyAfterItFailed) {
  client_up();
  node_is_at(kPeer);
  client_up(kOtherLink, 100, 2);
  EXPECT_EQ(out_.links_wanted.size(), 1u);
  EXPECT_EQ(out_.count<ErrorNotice>(kOtherLink), 0u) << "it is not offline while its server is being reached";
  keep_alive({kClientLink, kOtherLink});
  pass(10s);
  EXPECT_EQ(out_.links_wanted.size(), 1u);
  std::vector<std::size_t> asked;
  for (int i = 0; i < 6; ++i) {
    shard().server_link_failed(now_, kPeer, 0);
    keep_alive({kClientLink, kOtherLink});
    const auto before = out_.links_wanted.size();
    std::size_t waited = 0;
    while (out_.links_wanted.size() == before && waited < 200) {
      pass(100ms);
      ++waited;
    }
    asked.push_back(waited);
  }
  EXPECT_THAT(asked, ElementsAre(3, 5, 10, 20, 40, 80))
      << "in tenths of a second: 250 ms, then twice as long each time";
  EXPECT_EQ(out_.count<ErrorNotice>(kOtherLink), 1u) << "a client counts its patience from when it is told";
  shard().server_link_failed(now_, kThird, 0);
  EXPECT_EQ(shard().stats().sessions, 2u);
}

TEST_F(CascadeTest, ANodeIsAskedForLessAndLessOftenAndNotWhenNobodyWaits) {
  client_up();
  for (int i = 0; i < 60; ++i) {
    keep_alive({kClientLink});
    pass(1s);
  }
  EXPECT_EQ(out_.nodes_wanted, 5u + 6u);  // after 0, 0.5, 1.5, 3.5 and 7.5 s, then every 8 s
  shard().on_closed(now_, kClientLink);
  const auto asked = out_.nodes_wanted;
  pass(29s);
  EXPECT_EQ(out_.nodes_wanted, asked);
}

TEST_F(CascadeTest, ALostLinkIsAskedForAgainAndOpensItsSessions) {
  serve_elsewhere();
  pass(6s);
  from(kServerLink, make_message(1, {"alive"}));
  shard().on_closed(now_, kServerLink);
  EXPECT_EQ(out_.links_wanted.size(), 2u);
  EXPECT_EQ(out_.nodes_wanted, 2u) << "its server may be gone for good";
  EXPECT_EQ(shard().stats().cascaded_sessions, 0u);
  from(kClientLink, make_message(0, {"held"}));
  outgoing_up(kOtherLink);
  EXPECT_FALSE(out_.last<SessionOpen>(kOtherLink).cascade->new_link);
  say(kOtherLink, SessionReady{1, false});
  EXPECT_THAT(out_[kOtherLink].binary, ElementsAre(make_message(1, {"held"})));
  EXPECT_EQ(out_.count<ErrorNotice>(kClientLink), 1u) << "only before the node was found";
}

TEST_F(CascadeTest, ALinkThatFailsAtOnceIsNotAskedForAtOnce) {
  serve_elsewhere();
  shard().on_closed(now_, kServerLink);
  EXPECT_EQ(out_.links_wanted.size(), 1u);
  pass(250ms);
  EXPECT_EQ(out_.links_wanted.size(), 2u);
}

TEST_F(CascadeTest, AServerWithoutTheNodeIsLeftWhenTheNodeIsFoundElsewhere) {
  serve_elsewhere();
  say(kServerLink, ErrorNotice{std::string(kNodeOffline), ""});
  EXPECT_EQ(shard().stats().ready_sessions, 0u);
  EXPECT_EQ(out_.count<ErrorNotice>(kClientLink), 2u);
  EXPECT_EQ(out_.nodes_wanted, 2u);
  from(kClientLink, make_message(0, {"held"}));
  EXPECT_THAT(out_[kServerLink].binary, IsEmpty());
  node_is_at(kPeer);  // as it is known already: it may come back there
  EXPECT_EQ(out_.count<SessionClose>(kServerLink), 0u);
  node_is_at(kThird);
  EXPECT_EQ(out_.last<SessionClose>(kServerLink).reason, CloseReason::kMoved);
  EXPECT_EQ(out_.last<SessionClose>(kServerLink).channel, 1u);
  EXPECT_EQ(out_.links_wanted.back().first, kThird);
  outgoing_up(kOtherLink, kThird);
  say(kOtherLink, SessionReady{1, true});
  EXPECT_THAT(out_[kOtherLink].binary, ElementsAre(make_message(1, {"held"})));
  say(kServerLink, SessionReady{1, true});
  EXPECT_EQ(shard().stats().ignored_control, 1u);
}

TEST_F(CascadeTest, AServerMaySayAgainThatItServesASession) {
  serve_elsewhere();
  say(kServerLink, SessionReady{1, true});  // its node has another link
  EXPECT_EQ(out_.count<SessionReady>(kClientLink), 2u);
  EXPECT_EQ(shard().stats().ready_sessions, 1u);
}

TEST_F(CascadeTest, ANodeThatComesHereIsServedHere) {
  serve_elsewhere();
  node_up();
  EXPECT_EQ(out_.last<SessionClose>(kServerLink).reason, CloseReason::kMoved);
  EXPECT_EQ(out_.last<SessionOpen>(kNodeLink).hops, 0u);
  EXPECT_FALSE(out_.last<SessionOpen>(kNodeLink).cascade);
  node_ready(false);
  from(kClientLink, make_message(0, {"up"}));
  EXPECT_THAT(out_[kNodeLink].binary, ElementsAre(make_message(1, {"up"})));
  EXPECT_EQ(shard().stats().cascaded_sessions, 0u);
  // And when it leaves, what was known before it came is not trusted.
  shard().on_closed(now_, kNodeLink);
  EXPECT_EQ(out_.count<SessionOpen>(kServerLink), 1u);
  EXPECT_EQ(out_.nodes_wanted, 2u);
  node_is_at(kPeer);
  EXPECT_EQ(out_.last<SessionOpen>(kServerLink).channel, 2u);
}

TEST_F(CascadeTest, WhatWorksIsKeptWhenNobodyKnowsWhereTheNodeIs) {
  serve_elsewhere();
  shard().set_node_server(now_, id<NodeId>(1), std::nullopt);
  client_up(kOtherLink, 100, 2);
  EXPECT_EQ(out_.count<SessionOpen>(kServerLink), 2u);
  from(kClientLink, make_message(0, {"up"}));
  EXPECT_EQ(out_[kServerLink].binary.size(), 1u);
}

TEST_F(CascadeTest, AnUnreachableServerIsForgottenWhenTheNodeIsNotThereAnyMore) {
  client_up();
  node_is_at(kPeer);
  shard().server_link_failed(now_, kPeer, 0);
  shard().set_node_server(now_, id<NodeId>(1), std::nullopt);
  keep_alive({kClientLink});
  pass(14s);
  EXPECT_EQ(out_.links_wanted.size(), 1u);
  shard().set_node_server(now_, id<NodeId>(1), ServerRef{kPeer, 0});  // no worker: nonsense, as good as nothing
  EXPECT_EQ(out_.links_wanted.size(), 1u);
}

TEST_F(CascadeTest, ASessionThatHasMovedIsForgottenWithoutAWord) {
  serve_elsewhere();
  say(kServerLink, SessionClose{1, CloseReason::kMoved});
  EXPECT_EQ(out_[kClientLink].closed, CloseCode::kReplaced);
  EXPECT_EQ(out_.count<SessionClose>(kClientLink), 0u);
  EXPECT_EQ(out_.count<SessionClose>(kServerLink), 0u);
  EXPECT_EQ(out_.events.back(), "ended moved");
  EXPECT_EQ(shard().stats().sessions, 0u);
  EXPECT_EQ(shard().stats().moved_sessions, 1u);
  EXPECT_FALSE(shard().serves(id<SessionId>(1)));
}

TEST_F(CascadeTest, EndsAndRefusalsComeBackAndGoOut) {
  serve_elsewhere();
  client_up(kOtherLink, 100, 2);
  say(kServerLink, SessionRefused{2, RefusalReason::kFull}, 2);
  EXPECT_EQ(out_.last<SessionRefused>(kOtherLink).reason, RefusalReason::kFull);
  EXPECT_EQ(out_.events.back(), "ended refused");
  say(kServerLink, SessionClose{9, CloseReason::kBanned});
  EXPECT_FALSE(out_[kClientLink].closed) << "another channel's";
  shard().renew_session(now_, id<SessionId>(1), now_.wall + 2h);
  EXPECT_EQ(out_.last<SessionRenew>(kServerLink).channel, 1u);
  EXPECT_EQ(out_.last<SessionRenew>(kServerLink).expires_at, unix_seconds(now_.wall + 2h));
  say(kClientLink, SessionClose{std::nullopt, CloseReason::kEnded});
  EXPECT_EQ(out_.last<SessionClose>(kServerLink).channel, 1u);
  EXPECT_EQ(out_.last<SessionClose>(kServerLink).reason, CloseReason::kEnded);
  EXPECT_EQ(shard().stats().cascaded_sessions, 0u);
}

TEST_F(CascadeTest, ReportsAndPeerMessagesPassBothWays) {
  serve_elsewhere();
  say(kServerLink, QueueReport{1, 20, 3});
  EXPECT_EQ(out_.last<QueueReport>(kClientLink).dropped_packets, 3u);
  EXPECT_FALSE(out_.last<QueueReport>(kClientLink).channel);
  say(kServerLink, PeerMessage{"candidate", "{}"}, 1, Direction::kToClient);
  EXPECT_EQ(out_.last<PeerMessage>(kClientLink).action, "candidate");
  say(kClientLink, PeerMessage{"ice-description", "{}"}, 1, Direction::kToNode);
  EXPECT_EQ(out_.last<PeerMessage>(kServerLink).action, "ice-description");
}

TEST_F(CascadeTest, AnOutgoingLinkThatNobodyNeedsIsClosed) {
  serve_elsewhere();
  shard().close_session(id<SessionId>(1), CloseReason::kEnded);
  for (int i = 0; i < 50; ++i) {
    pass(1s);
    keep_alive({kServerLink});
  }
  EXPECT_FALSE(out_[kServerLink].closed);
  for (int i = 0; i < 45; ++i) {
    pass(1s);
    if (!out_[kServerLink].closed && out_[kServerLink].pings > 0) keep_alive({kServerLink});
  }
  EXPECT_EQ(out_[kServerLink].closed, CloseCode::kNormal);
  EXPECT_EQ(out_.events.back(), "server down");
  EXPECT_EQ(shard().stats().server_links, 0u);
}

TEST_F(CascadeTest, LinksBetweenServersHaveALimit) {
  limits_.server_links = 1;
  incoming_up(kOtherLink, kThird);
  client_up();
  node_is_at(kPeer);
  EXPECT_THAT(out_.links_wanted, IsEmpty());
  outgoing_up();
  EXPECT_EQ(out_[kServerLink].closed, CloseCode::kTryAgainLater);
  EXPECT_EQ(shard().stats().refused_server_links, 2u);
  shard().on_closed(now_, kOtherLink);
  pass(1s);
  EXPECT_EQ(out_.links_wanted.size(), 1u);
}

TEST_F(CascadeTest, ALinkOfTheSameOrANewerTokenReplacesAtOnce) {
  serve_elsewhere();
  outgoing_up(kOtherLink);
  EXPECT_EQ(out_[kServerLink].closed, CloseCode::kReplaced);
  EXPECT_EQ(out_.count<SessionOpen>(kOtherLink), 1u);
  EXPECT_EQ(out_.links_wanted.size(), 1u) << "the new link is there already";
  server_up(ServerLinkDirection::kOutgoing, 9, kPeer, 99);
  EXPECT_EQ(out_[9].closed, CloseCode::kReplaced);
  EXPECT_FALSE(out_[kOtherLink].closed);
  EXPECT_EQ(shard().stats().server_links, 1u);
}

TEST_F(CascadeTest, DrainIsToldAndNothingIsAskedForAtTheEnd) {
  serve_elsewhere();
  incoming_up(kOtherLink, kThird);
  shard().drain(now_, 5s, {});
  EXPECT_EQ(out_.last<Drain>(kServerLink).deadline_seconds, 5u);
  EXPECT_EQ(out_.last<Drain>(kOtherLink).deadline_seconds, 5u);
  shard().on_text(now_, kServerLink, encode_control({std::nullopt, Direction::kToServer, Drain{9, {}}}));
  shard().on_text(now_, kOtherLink, encode_control({std::nullopt, Direction::kToServer, Drain{9, {}}}));
  EXPECT_EQ(shard().stats().ignored_control, 0u);
  const auto nodes = out_.nodes_wanted;
  keep_alive({kServerLink, kOtherLink, kClientLink});
  pass(5s);
  EXPECT_EQ(out_[kServerLink].closed, CloseCode::kGoingAway);
  EXPECT_EQ(out_.links_wanted.size(), 1u);
  EXPECT_EQ(out_.nodes_wanted, nodes);
  incoming_up(9);
  EXPECT_EQ(out_[9].closed, CloseCode::kGoingAway);
  EXPECT_EQ(shard().stats().server_links + shard().stats().sessions + shard().stats().cascaded_sessions, 0u);
}

// --- where the node is -------------------------------------------------------------------------------------------

TEST_F(CascadeTest, AForeignSessionIsServedOnItsChannelAndNotToldOf) {
  serve_foreign();
  EXPECT_EQ(out_.last<SessionOpen>(kNodeLink).hops, 1u);
  EXPECT_FALSE(out_.last<SessionOpen>(kNodeLink).cascade);
  EXPECT_EQ(out_.last<SessionReady>(kServerLink).channel, 7u);
  from(kServerLink, make_message(7, {"up"}));
  EXPECT_THAT(out_[kNodeLink].binary, ElementsAre(make_message(1, {"up"})));
  from(kNodeLink, make_message(1, {"down"}));
  EXPECT_THAT(out_[kServerLink].binary, ElementsAre(make_message(7, {"down"})));
  say(kServerLink, PeerMessage{"candidate", "{}"}, 1, Direction::kToNode);
  EXPECT_EQ(out_.last<PeerMessage>(kNodeLink).action, "candidate");
  say(kServerLink, Throttle{5, 9});
  EXPECT_EQ(out_.last<Throttle>(kNodeLink).dropped_packets, 9u);
  say(kServerLink, QueueReport{7, 20, 3});
  EXPECT_EQ(out_.last<QueueReport>(kNodeLink).channel, 1u);
  EXPECT_THAT(out_.events, ElementsAre("node up", "server up"));
  EXPECT_FALSE(shard().serves(id<SessionId>(1)));
  EXPECT_EQ(shard().stats().cascaded_sessions, 1u);
}

TEST_F(CascadeTest, ForeignSessionsArePolicedByTheirOwnServerOnly) {
  limits_.session_rate_mbps = 1;
  node_up();
  incoming_up();
  auto limited = open(7);
  limited.rate_limit_mbps = 2;
  say(kServerLink, limited);
  EXPECT_EQ(out_.last<SessionOpen>(kNodeLink).rate_limit_mbps, 2);
  node_ready();
  say(kServerLink, open(8, 2), 2);
  EXPECT_FALSE(out_.last<SessionOpen>(kNodeLink).rate_limit_mbps);
  for (int i = 0; i < 40; ++i) from(kServerLink, make_numbered(7, 0, 40, 1400));
  EXPECT_EQ(shard().stats().drops[DropReason::kRate], 0u);
}

TEST_F(CascadeTest, ANodeThatIsNotHereIsToldBySessionAndTheSessionKept) {
  incoming_up();
  shard().set_node_server(now_, id<NodeId>(1), ServerRef{kThird, 1});
  say(kServerLink, open(7));
  EXPECT_EQ(out_.last<ErrorNotice>(kServerLink).code, kNodeOffline);
  EXPECT_EQ(out_[kServerLink].control.back().session, id<SessionId>(1));
  shard().set_node_server(now_, id<NodeId>(1), ServerRef{kThird, 1});
  EXPECT_THAT(out_.links_wanted, IsEmpty()) << "it is not taken any further";
  EXPECT_EQ(out_.nodes_wanted, 0u) << "its own server looks for it";
  node_up();
  node_ready();
  EXPECT_EQ(out_.last<SessionReady>(kServerLink).channel, 7u);
  shard().on_closed(now_, kNodeLink);
  EXPECT_EQ(out_.count<ErrorNotice>(kServerLink), 2u);
}

TEST_F(CascadeTest, WhatMayNotBeOpenedIsRefusedAndCounted) {
  limits_.link_sessions = 1;
  node_up();
  incoming_up();
  auto far = open(1);
  far.hops = 2;
  say(kServerLink, far);
  EXPECT_EQ(out_.last<SessionRefused>(kServerLink).reason, RefusalReason::kTooManyHops);
  EXPECT_EQ(out_.last<SessionRefused>(kServerLink).channel, 1u);
  auto bare = open(2);
  bare.cascade.reset();
  say(kServerLink, bare);
  EXPECT_EQ(out_.last<SessionRefused>(kServerLink).reason, RefusalReason::kPolicy);
  say(kServerLink, open(3));
  auto other_node = open(4);
  other_node.cascade->node = id<NodeId>(2);
  say(kServerLink, other_node);
  EXPECT_EQ(out_.last<SessionRefused>(kServerLink).reason, RefusalReason::kPolicy);
  say(kServerLink, open(5, 2), 2);
  EXPECT_EQ(out_.last<SessionRefused>(kServerLink).reason, RefusalReason::kFull);
  EXPECT_EQ(shard().stats().refused_cascades, 4u);
  EXPECT_EQ(out_.count<SessionOpen>(kNodeLink), 1u);
  say(kServerLink, open(6));  // the same session again, on its server's next channel: no more than before
  EXPECT_EQ(out_.count<SessionOpen>(kNodeLink), 2u);
  EXPECT_EQ(shard().stats().cascaded_sessions, 1u);
  say(kServerLink, open(6));
  EXPECT_EQ(out_[kServerLink].closed, CloseCode::kMalformed) << "a channel is never used again";
  EXPECT_EQ(shard().stats().cascaded_sessions, 0u);
}

TEST_F(CascadeTest, AServerTouchesItsOwnSessionsOnly) {
  serve_foreign();
  client_up(kClientLink, 100, 2);
  incoming_up(kOtherLink, kThird);
  from(kOtherLink, make_message(7, {"not its channel"}));
  EXPECT_EQ(shard().stats().drops[DropReason::kUnknownChannel], 1u);
  for (const unsigned session : {1u, 2u, 3u}) {
    say(kOtherLink, SessionClose{7, CloseReason::kEnded}, session);
    say(kOtherLink, SessionRenew{7, 1}, session);
    say(kOtherLink, SessionReady{1, true}, session);
    say(kOtherLink, PeerMessage{"candidate", "{}"}, session, Direction::kToNode);
  }
  say(kServerLink, SessionClose{6, CloseReason::kEnded});
  say(kServerLink, SessionRenew{6, 1});
  EXPECT_EQ(shard().stats().ignored_control, 14u);
  EXPECT_EQ(shard().stats().sessions, 2u);
  EXPECT_EQ(out_.count<PeerMessage>(kNodeLink), 0u);
  from(kServerLink, make_message(0, {"x"}));
  EXPECT_EQ(out_[kServerLink].closed, CloseCode::kMalformed) << "0 is a client's";
}

TEST_F(CascadeTest, EndsOfAForeignSessionReachItsNodeAndItsServer) {
  serve_foreign();
  say(kServerLink, SessionClose{7, CloseReason::kBanned});
  EXPECT_EQ(out_.last<SessionClose>(kNodeLink).reason, CloseReason::kBanned);
  EXPECT_EQ(out_.count<SessionClose>(kServerLink), 0u);
  say(kServerLink, open(8));
  say(kNodeLink, SessionRefused{2, RefusalReason::kKeyInUse});
  EXPECT_EQ(out_.last<SessionRefused>(kServerLink).channel, 8u);
  EXPECT_EQ(out_.count<SessionClose>(kServerLink), 0u) << "once is enough";
  say(kServerLink, open(9));
  shard().close_session(id<SessionId>(1), CloseReason::kEnded);
  EXPECT_EQ(out_.last<SessionClose>(kServerLink).channel, 9u);
  EXPECT_EQ(shard().stats().sessions + shard().stats().cascaded_sessions, 0u);
  EXPECT_THAT(out_.events, ElementsAre("node up", "server up"));
}

TEST_F(CascadeTest, AForeignSessionHasTheGraceTimeWhenItGoesAnotherWayOrItsLinkIsLost) {
  serve_foreign();
  say(kServerLink, open(8, 2), 2);
  node_ready(true, 2);
  say(kServerLink, SessionClose{7, CloseReason::kMoved});
  shard().on_closed(now_, kServerLink);
  from(kNodeLink, make_message(1, {"to nobody"}));
  EXPECT_EQ(shard().stats().drops[DropReason::kNoReceiver], 1u);
  EXPECT_EQ(out_.count<SessionClose>(kNodeLink), 0u);
  pass(29s);
  keep_alive({kNodeLink});
  incoming_up(kOtherLink);
  say(kOtherLink, open(1, 2, 100, false), 2);
  node_ready(false, 2);
  EXPECT_FALSE(out_.last<SessionReady>(kOtherLink).fresh);
  pass(2s);
  EXPECT_EQ(out_.last<SessionClose>(kNodeLink).reason, CloseReason::kClientGone);
  EXPECT_EQ(shard().stats().sessions, 1u);
}

TEST_F(CascadeTest, ItExpiresOnlyWhenItsOwnServerHasFailedToEndIt) {
  serve_foreign();
  say(kServerLink, SessionRenew{7, unix_seconds(now_.wall + 10s)});
  for (int i = 0; i < 60; ++i) {
    pass(1s);
    keep_alive({kNodeLink, kServerLink});
  }
  EXPECT_EQ(shard().stats().sessions, 1u);
  pass(11s);
  EXPECT_EQ(out_.last<SessionClose>(kServerLink).reason, CloseReason::kExpired);
  EXPECT_EQ(out_.last<SessionClose>(kNodeLink).reason, CloseReason::kExpired);
}

// --- a client that moves -----------------------------------------------------------------------------------------

TEST_F(CascadeTest, TheClientsOwnLinkReplacesItsFormerServers) {
  serve_foreign();
  from(kServerLink, make_message(7, {"counted there"}));
  client_up();
  EXPECT_EQ(out_.last<SessionClose>(kServerLink).reason, CloseReason::kMoved);
  EXPECT_EQ(out_.last<SessionClose>(kServerLink).channel, 7u);
  EXPECT_EQ(out_.count<SessionClose>(kNodeLink), 0u) << "the node hears of a new channel only";
  EXPECT_EQ(out_.last<SessionOpen>(kNodeLink).hops, 0u);
  node_ready(false);
  from(kServerLink, make_message(7, {"late"}));
  EXPECT_EQ(shard().stats().drops[DropReason::kUnknownChannel], 1u);
  EXPECT_THAT(out_.events, ElementsAre("node up", "server up", "opened", "ready"));
  EXPECT_TRUE(shard().serves(id<SessionId>(1)));
  shard().close_session(id<SessionId>(1), CloseReason::kEnded);
  EXPECT_EQ(out_.last_up_bytes, 0u) << "what came over another server is counted there";
  EXPECT_EQ(shard().stats().moved_sessions, 1u);
}

TEST_F(CascadeTest, AClientThatGoesToAnotherServerIsServedThroughIt) {
  node_up();
  incoming_up();
  client_up();
  node_ready();
  from(kClientLink, make_message(0, {"up"}));
  say(kServerLink, open(7));
  EXPECT_EQ(out_[kClientLink].closed, CloseCode::kReplaced);
  EXPECT_EQ(out_.count<SessionClose>(kClientLink), 0u);
  EXPECT_EQ(out_.events.back(), "ended moved");
  EXPECT_EQ(out_.last_up_bytes, make_message(0, {"up"}).size());
  node_ready(false);
  EXPECT_EQ(out_.last<SessionReady>(kServerLink).channel, 7u);
  EXPECT_EQ(out_.events.back(), "ended moved");
  // From one server to the next.
  incoming_up(kOtherLink, kThird);
  say(kOtherLink, open(5));
  EXPECT_EQ(out_.last<SessionClose>(kServerLink).reason, CloseReason::kMoved);
  node_ready(false);
  from(kNodeLink, make_message(3, {"down"}));
  EXPECT_THAT(out_[kOtherLink].binary, ElementsAre(make_message(5, {"down"})));
  EXPECT_THAT(out_[kServerLink].binary, IsEmpty());
  EXPECT_EQ(shard().stats().cascaded_sessions, 1u);
}

TEST_F(CascadeTest, AServerThatWasAwayStealsNothingBack) {
  serve_foreign();
  client_up();
  // Its session-open is of the same token: what it had, it has still, as far as it knows.
  say(kServerLink, open(8, 1, 100, false));
  EXPECT_EQ(out_.last<SessionClose>(kServerLink).channel, 8u);
  EXPECT_EQ(out_.last<SessionClose>(kServerLink).reason, CloseReason::kMoved);
  EXPECT_FALSE(out_[kClientLink].closed);
  // Of an older one, whatever it says of the client's link.
  client_up(kOtherLink, 101);
  say(kServerLink, open(9, 1, 100, true));
  EXPECT_EQ(out_.last<SessionClose>(kServerLink).channel, 9u);
  EXPECT_FALSE(out_[kOtherLink].closed);
  // Nor from another server.
  incoming_up(20, kThird);
  say(20, open(1, 1, 101, true));
  EXPECT_TRUE(out_[kOtherLink].closed);
  say(kServerLink, open(10, 1, 101, false));
  EXPECT_EQ(out_.last<SessionClose>(kServerLink).channel, 10u);
  node_ready(false);
  EXPECT_EQ(out_.last<SessionReady>(20).channel, 1u);
  EXPECT_EQ(shard().stats().refused_cascades, 3u);
}

TEST_F(CascadeTest, AServerTakesItsOwnSessionOverAgainAndWhatNobodyHolds) {
  serve_foreign();
  shard().add_server_link(now_, kOtherLink, {kPeer, ServerLinkDirection::kIncoming, 1, 100});  // its other worker
  say(kOtherLink, open(1, 1, 100, false));
  EXPECT_EQ(out_.last<SessionClose>(kServerLink).reason, CloseReason::kMoved);
  node_ready(false);
  EXPECT_EQ(out_.last<SessionReady>(kOtherLink).channel, 1u);
  shard().on_closed(now_, kOtherLink);
  incoming_up(20, kThird);
  say(20, open(1, 1, 100, false));
  node_ready(false);
  EXPECT_EQ(out_.last<SessionReady>(20).channel, 1u);
  // A newer token wins, whatever else is said.
  say(kServerLink, open(8, 1, 101, false));
  EXPECT_EQ(out_.last<SessionClose>(20).reason, CloseReason::kMoved);
}

TEST_F(CascadeTest, AnOlderOwnLinkIsRefusedWhereANewerClaimStands) {
  node_up();
  incoming_up();
  say(kServerLink, open(7, 1, 101));
  client_up(kClientLink, 100);
  EXPECT_EQ(out_[kClientLink].closed, CloseCode::kReplaced);
  EXPECT_FALSE(shard().serves(id<SessionId>(1)));
  EXPECT_EQ(out_.count<SessionClose>(kServerLink), 0u);
}

TEST_F(CascadeTest, ASessionThatCameOverAnotherServerIsNotCascadedFurther) {
  serve_elsewhere();
  incoming_up(kOtherLink, kThird);
  say(kOtherLink, open(7));  // a server that believes the node to be here
  EXPECT_EQ(out_.last<SessionClose>(kServerLink).reason, CloseReason::kMoved);
  EXPECT_EQ(out_.last<ErrorNotice>(kOtherLink).code, kNodeOffline);
  EXPECT_EQ(out_.count<SessionOpen>(kServerLink), 1u);
  EXPECT_EQ(shard().stats().cascaded_sessions, 1u);
}

TEST_F(CascadeTest, OnlyAClientsNewLinkIsANewClaim) {
  serve_elsewhere();
  pass(1500ms);
  keep_alive({kClientLink});
  shard().on_closed(now_, kServerLink);
  outgoing_up(kOtherLink);
  EXPECT_TRUE(out_.last<SessionOpen>(kOtherLink).cascade->new_link);
  pass(600ms);
  shard().on_closed(now_, kOtherLink);
  outgoing_up(20);
  EXPECT_FALSE(out_.last<SessionOpen>(20).cascade->new_link);
  client_up(21);
  EXPECT_TRUE(out_.last<SessionOpen>(20).cascade->new_link);
}

}  // namespace
}  // namespace higgs::relay

// A server whose clients want nodes of other servers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "relay/testing/cascade_fixture.h"

namespace higgs::relay {
namespace {

using namespace std::chrono_literals;
using namespace testing;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CascadeTest : public CascadeFixture {};

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
  pass(1s);
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

TEST_F(CascadeTest, ASessionThatWasNotFoundIsLookedForThoughAnotherOfItsNodeIsServed) {
  serve_elsewhere();
  say(kServerLink, ErrorNotice{std::string(kNodeOffline), ""});
  shard().set_node_server(now_, id<NodeId>(1), std::nullopt);
  client_up(kOtherLink, 100, 2);
  keep_alive({kClientLink, kOtherLink, kServerLink});
  pass(4s);
  say(kServerLink, SessionReady{1, false});  // the node came back there, and nobody knows
  const auto asked = out_.nodes_wanted;
  pass(500ms);
  EXPECT_EQ(out_.nodes_wanted, asked + 1);
  node_is_at(kPeer);
  EXPECT_EQ(out_.count<SessionOpen>(kServerLink), 2u);
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

}  // namespace
}  // namespace higgs::relay

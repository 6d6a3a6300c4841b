// A server whose nodes serve clients of other servers, and clients that move from one server to another.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "relay/testing/cascade_fixture.h"

namespace higgs::relay {
namespace {

using namespace std::chrono_literals;
using namespace testing;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ForeignTest : public CascadeFixture {};

TEST_F(ForeignTest, ATraceIsPassedOnToTheNode) {
  auto traced = open(7);
  traced.trace = trace::parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  node_up();
  incoming_up();
  say(kServerLink, traced);
  EXPECT_EQ(out_.last<SessionOpen>(kNodeLink).trace, traced.trace);
}

TEST_F(ForeignTest, AForeignSessionIsServedOnItsChannelAndNotToldOf) {
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

TEST_F(ForeignTest, ForeignSessionsArePolicedByTheirOwnServerOnly) {
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

TEST_F(ForeignTest, ANodeThatIsNotHereIsToldBySessionAndTheSessionKept) {
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

TEST_F(ForeignTest, WhatMayNotBeOpenedIsRefusedAndCounted) {
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

TEST_F(ForeignTest, WhatIsNoSessionOpenIsAnsweredAndAFloodEndsTheLink) {
  serve_foreign();
  auto text = encode_control({id<SessionId>(1), Direction::kToServer, open(8)});
  text.replace(text.find("\"hops\":1"), 8, "\"hops\":3");
  shard().on_text(now_, kServerLink, text);
  EXPECT_EQ(out_.last<ErrorNotice>(kServerLink).code, "bad-control");
  EXPECT_EQ(shard().stats().sessions, 1u);
  shard().on_text(now_, kServerLink, encode_control({std::nullopt, Direction::kToServer, open(8)}));
  EXPECT_EQ(out_.count<SessionOpen>(kNodeLink), 1u);
  for (int i = 0; i < 100'000 && !out_[kServerLink].closed; ++i)
    shard().on_text(now_, kServerLink, R"({"type":"control","direction":"to-server","payload":{"action":"x"}})");
  EXPECT_EQ(out_[kServerLink].closed, CloseCode::kMalformed);
  EXPECT_EQ(shard().stats().sessions, 1u) << "the one that stood has its grace time";
  EXPECT_FALSE(out_[kNodeLink].closed);
}

TEST_F(ForeignTest, AServerTouchesItsOwnSessionsOnly) {
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

TEST_F(ForeignTest, EndsOfAForeignSessionReachItsNodeAndItsServer) {
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

TEST_F(ForeignTest, AForeignSessionHasTheGraceTimeWhenItGoesAnotherWayOrItsLinkIsLost) {
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

TEST_F(ForeignTest, ItExpiresOnlyWhenItsOwnServerHasFailedToEndIt) {
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

TEST_F(ForeignTest, TheClientsOwnLinkReplacesItsFormerServers) {
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

TEST_F(ForeignTest, AClientThatGoesToAnotherServerIsServedThroughIt) {
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

TEST_F(ForeignTest, AServerThatWasAwayStealsNothingBack) {
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

TEST_F(ForeignTest, AServerTakesItsOwnSessionOverAgainAndWhatNobodyHolds) {
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

TEST_F(ForeignTest, AnOlderOwnLinkIsRefusedWhereANewerClaimStands) {
  node_up();
  incoming_up();
  say(kServerLink, open(7, 1, 101));
  client_up(kClientLink, 100);
  EXPECT_EQ(out_[kClientLink].closed, CloseCode::kReplaced);
  EXPECT_FALSE(shard().serves(id<SessionId>(1)));
  EXPECT_EQ(out_.count<SessionClose>(kServerLink), 0u);
}

TEST_F(ForeignTest, ASessionThatCameOverAnotherServerIsNotCascadedFurther) {
  serve_elsewhere();
  incoming_up(kOtherLink, kThird);
  say(kOtherLink, open(7));  // a server that believes the node to be here
  EXPECT_EQ(out_.last<SessionClose>(kServerLink).reason, CloseReason::kMoved);
  EXPECT_EQ(out_.last<ErrorNotice>(kOtherLink).code, kNodeOffline);
  EXPECT_EQ(out_.count<SessionOpen>(kServerLink), 1u);
  EXPECT_EQ(shard().stats().cascaded_sessions, 1u);
}

TEST_F(ForeignTest, OnlyAClientsNewLinkIsANewClaim) {
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

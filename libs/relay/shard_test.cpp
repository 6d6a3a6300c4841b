#include "relay/shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "relay/testing/recording_output.h"

namespace higgs::relay {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::make_message;
using testing::make_numbered;
using testing::numbers_of;

constexpr LinkKey kNodeLink = 1, kClientLink = 2, kOtherLink = 3;

template <class Id>
Id id(unsigned number) {
  ByteArray<16> bytes{};
  bytes[0] = std::byte(number);
  return Id(Uuid(bytes));
}

class ShardTest : public ::testing::Test {
 protected:
  SessionTicket ticket(unsigned session = 1, unsigned node = 1) {
    SessionTicket out;
    out.session = id<SessionId>(session);
    out.node = id<NodeId>(node);
    out.wireguard_public_key.bytes.fill(std::byte(session));
    out.addresses = {*IpPrefix::parse("10.0.0.2/32")};
    out.expires_at = now_.wall + 1h;
    return out;
  }
  void pass(std::chrono::nanoseconds time) {
    const Now end{now_.monotonic + time, now_.wall + time};
    while (const auto next = shard_.poll_timeout()) {
      if (*next > end.monotonic) break;
      const auto step = std::max(*next - now_.monotonic, 0ns);
      now_ = {now_.monotonic + step, now_.wall + step};
      shard_.handle_timeout(now_);
    }
    now_ = end;
  }
  void node_up(LinkKey key = kNodeLink, std::int64_t iat = 100) { shard_.add_node_link(now_, key, id<NodeId>(1), iat); }
  void client_up(LinkKey key = kClientLink, std::int64_t iat = 100, unsigned session = 1) {
    shard_.add_client_link(now_, key, ticket(session), iat);
  }
  void from(LinkKey key, Bytes message) { shard_.on_binary(now_, key, message); }
  void say(LinkKey key, ControlPayload payload, unsigned session = 1, Direction direction = Direction::kToServer) {
    shard_.on_text(now_, key, encode_control({id<SessionId>(session), direction, std::move(payload)}));
  }
  void ready(bool fresh = true, LinkKey key = kNodeLink) {
    say(key, SessionReady{out_.last<SessionOpen>(key).channel, fresh});
  }
  void establish() {
    node_up();
    client_up();
    ready();
  }
  /// Nothing is idle long enough to be given up.
  void keep_alive(std::initializer_list<LinkKey> links) {
    for (const LinkKey key : links) shard_.on_alive(now_, key);
  }

  testing::RecordingOutput out_;
  ShardLimits limits_ = [] {
    ShardLimits limits;
    limits.queue_bytes = 128 * 1024;
    return limits;
  }();
  Shard shard_{limits_, out_};
  Now now_{Instant(1000s), WallTime(1'800'000'000s)};
};

TEST_F(ShardTest, BatchGoesThroughWithItsChannelRewritten) {
  establish();
  EXPECT_EQ(out_.last<SessionOpen>(kNodeLink).channel, 1u);
  from(kClientLink, make_message(0, {"up"}));
  EXPECT_THAT(out_[kNodeLink].binary, ElementsAre(make_message(1, {"up"})));
  from(kNodeLink, make_message(1, {"down"}));
  EXPECT_THAT(out_[kClientLink].binary, ElementsAre(make_message(0, {"down"})));
  EXPECT_TRUE(out_.last<SessionReady>(kClientLink).fresh);
  EXPECT_FALSE(out_.last<SessionReady>(kClientLink).channel);
  EXPECT_THAT(out_.events, ElementsAre("node up", "opened", "ready"));
}

TEST_F(ShardTest, ATraceIsToldWithTheOpeningsUntilTheNodeIsReady) {
  auto traced = ticket();
  traced.trace = trace::parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  node_up();
  shard_.add_client_link(now_, kClientLink, traced, 100);
  EXPECT_EQ(out_.last<SessionOpen>(kNodeLink).trace, traced.trace);
  node_up(5, 101);
  EXPECT_EQ(out_.last<SessionOpen>(5).trace, traced.trace) << "the first node's link was lost before it answered";
  ready(true, 5);
  node_up(6, 102);
  EXPECT_EQ(out_.count<SessionOpen>(6), 1u);
  EXPECT_FALSE(out_.last<SessionOpen>(6).trace) << "the connect of then is long over";
}

TEST_F(ShardTest, FirstBatchesAreHeldUntilTheNodeIsReady) {
  client_up();
  from(kClientLink, make_numbered(0, 0, 2, 148));
  EXPECT_EQ(out_.last<ErrorNotice>(kClientLink).code, kNodeOffline);
  node_up();
  from(kClientLink, make_numbered(0, 2, 1, 148));
  EXPECT_THAT(out_[kNodeLink].binary, IsEmpty());
  ready();
  ASSERT_EQ(out_[kNodeLink].binary.size(), 1u);
  EXPECT_THAT(numbers_of(out_[kNodeLink].binary[0]), ElementsAre(0, 1, 2));
}

TEST_F(ShardTest, HeldPacketsHaveAByteLimitAndAnAgeLimit) {
  node_up();
  client_up();
  for (unsigned i = 0; i < 10; ++i) from(kClientLink, make_numbered(0, static_cast<std::uint16_t>(10 * i), 10, 1400));
  // A message that is partly dropped is held in memory until its last packet went.
  EXPECT_LE(shard_.stats().queued_bytes, limits_.hold_bytes + kMaxMessageBytes);
  EXPECT_GT(shard_.stats().drops[DropReason::kHold], 0u);
  keep_alive({kNodeLink, kClientLink});
  pass(limits_.hold_age + 1s);
  from(kClientLink, make_numbered(0, 500, 1, 100));
  ready();
  ASSERT_EQ(out_[kNodeLink].binary.size(), 1u);
  EXPECT_THAT(numbers_of(out_[kNodeLink].binary[0]), ElementsAre(500));
  EXPECT_EQ(shard_.stats().queued_bytes, 0u);
}

TEST_F(ShardTest, ClientMayUseChannelZeroOnly) {
  establish();
  from(kClientLink, make_message(1, {"x"}));
  EXPECT_EQ(out_[kClientLink].closed, CloseCode::kMalformed);
  EXPECT_THAT(out_[kNodeLink].binary, IsEmpty());
}

TEST_F(ShardTest, MalformedHeaderClosesTheLink) {
  establish();
  from(kNodeLink, to_bytes(as_bytes("rubbish!")));
  EXPECT_EQ(out_[kNodeLink].closed, CloseCode::kMalformed);
  EXPECT_EQ(shard_.stats().malformed, 1u);
  from(kClientLink, Bytes(kMaxMessageBytes + 1));
  EXPECT_EQ(out_[kClientLink].closed, CloseCode::kMalformed);
}

TEST_F(ShardTest, ForeignChannelIsDroppedAndCounted) {
  establish();
  from(kNodeLink, make_message(2, {"a", "b"}));
  EXPECT_THAT(out_[kClientLink].binary, IsEmpty());
  EXPECT_EQ(shard_.stats().drops[DropReason::kUnknownChannel], 2u);
  EXPECT_FALSE(out_[kNodeLink].closed);
}

TEST_F(ShardTest, NodeCannotTouchAnotherNodesSession) {
  establish();
  shard_.add_node_link(now_, kOtherLink, id<NodeId>(2), 100);
  say(kOtherLink, SessionClose{1, CloseReason::kEnded});
  say(kOtherLink, SessionRefused{1, RefusalReason::kFull});
  from(kOtherLink, make_message(1, {"stolen"}));
  EXPECT_FALSE(out_[kClientLink].closed);
  EXPECT_THAT(out_[kClientLink].binary, IsEmpty());
  EXPECT_EQ(shard_.stats().ignored_control, 2u);
}

TEST_F(ShardTest, ClientCannotTouchAnotherSessionNorPlayTheNode) {
  establish();
  client_up(kOtherLink, 100, 2);
  say(kOtherLink, SessionClose{std::nullopt, CloseReason::kEnded}, 1);
  say(kOtherLink, SessionReady{2, true}, 2);
  EXPECT_FALSE(out_[kClientLink].closed);
  EXPECT_EQ(shard_.stats().ready_sessions, 1u);
  EXPECT_EQ(shard_.stats().ignored_control, 2u);
}

TEST_F(ShardTest, TextFloodClosesTheLink) {
  establish();
  for (int i = 0; i < 2000 && !out_[kClientLink].closed; ++i)
    say(kClientLink, PeerMessage{"candidate", "{}"}, 1, Direction::kToNode);
  EXPECT_EQ(out_[kClientLink].closed, CloseCode::kMalformed);
}

TEST_F(ShardTest, PeerMessagesArePassedOnUnlessTheOtherLinkIsFull) {
  establish();
  say(kClientLink, PeerMessage{"candidate", R"({"ip":"192.0.2.1"})"}, 1, Direction::kToNode);
  EXPECT_EQ(out_.last<PeerMessage>(kNodeLink).action, "candidate");
  say(kNodeLink, PeerMessage{"ice-description", "{}"}, 1, Direction::kToClient);
  EXPECT_EQ(out_.last<PeerMessage>(kClientLink).action, "ice-description");
  out_[kNodeLink].blocked = true;
  say(kClientLink, PeerMessage{"candidates-end", "{}"}, 1, Direction::kToNode);
  EXPECT_EQ(out_.last<PeerMessage>(kNodeLink).action, "candidate");
}

TEST_F(ShardTest, MalformedControlIsAnsweredOrClosesTheLink) {
  establish();
  shard_.on_text(now_, kClientLink,
                 R"({"type":"control","direction":"to-server","payload":{"action":"session-close"}})");
  EXPECT_EQ(out_.last<ErrorNotice>(kClientLink).code, "bad-control");
  EXPECT_FALSE(out_[kClientLink].closed);
  shard_.on_text(now_, kClientLink, "not json");
  EXPECT_EQ(out_[kClientLink].closed, CloseCode::kMalformed);
}

TEST_F(ShardTest, NewerOrSameTokenReplacesAtOnceAndOlderIsRefused) {
  establish();
  client_up(kOtherLink, 100);
  EXPECT_EQ(out_[kClientLink].closed, CloseCode::kReplaced);
  EXPECT_EQ(out_.last<SessionOpen>(kNodeLink).channel, 2u);
  client_up(4, 99);
  EXPECT_EQ(out_[4].closed, CloseCode::kReplaced);
  EXPECT_FALSE(out_[kOtherLink].closed);
  node_up(5, 99);
  EXPECT_EQ(out_[5].closed, CloseCode::kReplaced);
  EXPECT_FALSE(out_[kNodeLink].closed);
}

TEST_F(ShardTest, ReadyForAnEarlierChannelMeansNothing) {
  node_up();
  client_up();
  client_up(kOtherLink);
  say(kNodeLink, SessionReady{1, true});
  EXPECT_EQ(shard_.stats().ready_sessions, 0u);
  say(kNodeLink, SessionClose{1, CloseReason::kEnded});
  EXPECT_EQ(shard_.stats().sessions, 1u);
  say(kNodeLink, SessionReady{2, false});
  EXPECT_EQ(shard_.stats().ready_sessions, 1u);
}

TEST_F(ShardTest, ReplacedNodeLinkOpensEverySessionAgain) {
  establish();
  client_up(kOtherLink, 100, 2);
  node_up(10);
  EXPECT_EQ(out_[kNodeLink].closed, CloseCode::kReplaced);
  EXPECT_EQ(out_.count<SessionOpen>(10), 2u);
  EXPECT_EQ(shard_.stats().ready_sessions, 0u);
  from(kClientLink, make_message(0, {"held"}));
  for (const auto& message : std::vector(out_[10].control)) {
    shard_.on_text(now_, 10,
                   encode_control({message.session, Direction::kToServer,
                                   SessionReady{std::get<SessionOpen>(message.payload).channel, true}}));
  }
  EXPECT_EQ(shard_.stats().ready_sessions, 2u);
  EXPECT_EQ(out_[10].binary.size(), 1u);
  from(kNodeLink, make_message(1, {"late, from the old link"}));
  EXPECT_THAT(out_[kClientLink].binary, IsEmpty());
}

TEST_F(ShardTest, ChannelsOfAnEarlierLinkMeanNothingOnTheNext) {
  establish();
  client_up(kOtherLink, 100, 2);
  ready();
  shard_.on_closed(now_, kClientLink);
  node_up(10);  // only session 2 has a client, and gets channel 1
  from(10, make_message(2, {"once the channel of session 2"}));
  EXPECT_THAT(out_[kOtherLink].binary, IsEmpty());
  EXPECT_EQ(shard_.stats().drops[DropReason::kUnknownChannel], 1u);
}

TEST_F(ShardTest, LostNodeIsToldAndSessionsOpenWhenItIsBack) {
  establish();
  shard_.on_closed(now_, kNodeLink);
  EXPECT_EQ(out_.last<ErrorNotice>(kClientLink).code, kNodeOffline);
  from(kClientLink, make_message(0, {"held"}));
  node_up(10);
  ready(true, 10);
  EXPECT_THAT(out_[10].binary, ElementsAre(make_message(1, {"held"})));
}

TEST_F(ShardTest, ManyOpeningsWaitForARoomyLink) {
  for (unsigned session = 1; session <= 50; ++session) client_up(100 + session, 100, session);
  out_[kNodeLink].blocked = true;
  node_up();
  EXPECT_EQ(out_.count<SessionOpen>(kNodeLink), 0u);
  out_[kNodeLink].blocked = false;
  shard_.on_writable(now_, kNodeLink);
  EXPECT_EQ(out_.count<SessionOpen>(kNodeLink), 50u);
}

TEST_F(ShardTest, SessionOutlivesItsLinkForTheGraceTime) {
  establish();
  shard_.on_closed(now_, kClientLink);
  pass(10s);
  keep_alive({kNodeLink});
  pass(19s);
  EXPECT_EQ(shard_.stats().sessions, 1u);
  from(kNodeLink, make_message(1, {"to nobody"}));
  EXPECT_EQ(shard_.stats().drops[DropReason::kNoReceiver], 1u);
  pass(2s);
  EXPECT_EQ(shard_.stats().sessions, 0u);
  EXPECT_EQ(out_.last<SessionClose>(kNodeLink).reason, CloseReason::kClientGone);
  EXPECT_EQ(out_.events.back(), "ended client-gone");
}

TEST_F(ShardTest, ReconnectInTimeKeepsTheSession) {
  establish();
  shard_.on_closed(now_, kClientLink);
  pass(20s);
  keep_alive({kNodeLink});
  client_up(kOtherLink);
  ready(false);
  EXPECT_FALSE(out_.last<SessionReady>(kOtherLink).fresh);
  pass(25s);
  EXPECT_EQ(shard_.stats().sessions, 1u);
  EXPECT_EQ(out_.count<SessionClose>(kNodeLink), 0u);
}

TEST_F(ShardTest, ExpiryEndsBothSidesUnlessRenewed) {
  node_up();
  auto short_lived = ticket();
  short_lived.expires_at = now_.wall + 10s;
  shard_.add_client_link(now_, kClientLink, short_lived, 100);
  ready();
  shard_.renew_session(now_, id<SessionId>(1), now_.wall + 14s);
  pass(13s);
  EXPECT_FALSE(out_[kClientLink].closed);
  pass(2s);
  EXPECT_EQ(out_[kClientLink].closed, CloseCode::kNotAuthorised);
  EXPECT_EQ(out_.last<SessionClose>(kNodeLink).reason, CloseReason::kExpired);
  EXPECT_EQ(out_.events.back(), "ended expired");
}

TEST_F(ShardTest, RefusalReachesTheClientAndEndsTheSession) {
  node_up();
  client_up();
  say(kNodeLink, SessionRefused{1, RefusalReason::kKeyInUse});
  EXPECT_EQ(out_.last<SessionRefused>(kClientLink).reason, RefusalReason::kKeyInUse);
  EXPECT_EQ(out_[kClientLink].closed, CloseCode::kSessionEnded);
  EXPECT_THAT(out_.events, ElementsAre("node up", "opened", "refused key-in-use", "ended refused"));
}

TEST_F(ShardTest, SessionIsClosedByEitherEndOrByDecision) {
  establish();
  from(kClientLink, make_message(0, {"up"}));
  say(kClientLink, SessionClose{std::nullopt, CloseReason::kEnded});
  EXPECT_EQ(out_.last<SessionClose>(kNodeLink).channel, 1u);
  EXPECT_EQ(out_.last_up_bytes, 12u);
  from(kNodeLink, make_message(1, {"late"}));
  EXPECT_EQ(shard_.stats().drops[DropReason::kUnknownChannel], 1u);

  client_up(4);
  EXPECT_EQ(out_.last<SessionOpen>(kNodeLink).channel, 2u);  // never 1 again
  shard_.close_session(id<SessionId>(1), CloseReason::kBanned);
  EXPECT_EQ(out_[4].closed, CloseCode::kNotAuthorised);
  EXPECT_EQ(out_.last<SessionClose>(4).reason, CloseReason::kBanned);
}

TEST_F(ShardTest, ClosedNodeTakesItsSessionsAlong) {
  establish();
  shard_.close_node(now_, id<NodeId>(1), CloseReason::kBanned);
  EXPECT_EQ(out_[kNodeLink].closed, CloseCode::kNotAuthorised);
  EXPECT_TRUE(out_[kClientLink].closed);
  EXPECT_EQ(shard_.stats().sessions, 0u);
  EXPECT_EQ(shard_.stats().node_links + shard_.stats().client_links, 0u);
}

TEST_F(ShardTest, SilentLinkIsGivenUpTwoSecondsAfterUnansweredData) {
  establish();
  from(kClientLink, make_message(0, {"x"}));
  pass(1900ms);
  EXPECT_EQ(out_[kNodeLink].pings, 3u);
  EXPECT_FALSE(out_[kNodeLink].closed);
  pass(200ms);
  EXPECT_TRUE(out_[kNodeLink].closed);
  EXPECT_EQ(shard_.stats().unresponsive, 1u);
  EXPECT_EQ(out_.last<ErrorNotice>(kClientLink).code, kNodeOffline);
}

TEST_F(ShardTest, SilentLinkIsGivenUpTwoSecondsAfterAnUnansweredOpen) {
  node_up();
  client_up();
  EXPECT_EQ(out_.count<SessionOpen>(kNodeLink), 1u);
  pass(1900ms);
  EXPECT_EQ(out_[kNodeLink].pings, 3u);
  EXPECT_FALSE(out_[kNodeLink].closed);
  pass(200ms);
  EXPECT_TRUE(out_[kNodeLink].closed);
  EXPECT_EQ(out_.last<ErrorNotice>(kClientLink).code, kNodeOffline);
}

TEST_F(ShardTest, OverItsRateASessionLosesPacketsAndIsTold) {
  node_up();
  auto limited = ticket();
  limited.rate_limit_mbps = 1;
  shard_.add_client_link(now_, kClientLink, limited, 100);
  ready();
  EXPECT_EQ(out_.last<SessionOpen>(kNodeLink).rate_limit_mbps, 1);
  for (int i = 0; i < 20; ++i) from(kClientLink, make_numbered(0, 0, 10, 1400));
  std::size_t passed = 0;
  for (const auto& message : out_[kNodeLink].binary) passed += numbers_of(message).size();
  const auto dropped = shard_.stats().drops[DropReason::kRate];
  EXPECT_EQ(passed + dropped, 200u);
  EXPECT_NEAR(static_cast<double>(passed) * 1402, 2.0 * kMaxMessageBytes, 3000);
  keep_alive({kNodeLink, kClientLink});
  pass(1s);
  EXPECT_EQ(out_.last<Throttle>(kClientLink).dropped_packets, dropped);
  EXPECT_EQ(out_.last<Throttle>(kNodeLink).dropped_packets, dropped);
  EXPECT_FALSE(out_[kClientLink].closed);
}

TEST_F(ShardTest, SessionsOfAUserShareARateThatMayChange) {
  node_up();
  auto limited = ticket();
  limited.user_rate = std::make_shared<SharedRate>();
  shard_.add_client_link(now_, kClientLink, limited, 100);
  ready();
  const auto drops = [&] { return shard_.stats().drops[DropReason::kRate]; };
  for (int i = 0; i < 20; ++i) from(kClientLink, make_numbered(0, 0, 10, 1400));
  EXPECT_EQ(drops(), 0u) << "there is no limit yet";
  limited.user_rate->limit_to(now_.monotonic, 0.25);
  // Another session of the user has taken all there was.
  limited.user_rate->up.spend(now_.monotonic, limited.user_rate->up.available(now_.monotonic));
  from(kClientLink, make_numbered(0, 0, 10, 1400));
  EXPECT_EQ(drops(), 10u);
  keep_alive({kNodeLink, kClientLink});
  pass(1s);
  EXPECT_EQ(out_.last<Throttle>(kClientLink).rate_mbps, 0.25);
  EXPECT_EQ(out_.last<Throttle>(kNodeLink).dropped_packets, 10u);
  EXPECT_FALSE(out_[kClientLink].closed) << "nobody is disconnected for it";
  limited.user_rate->limit_to(now_.monotonic, std::nullopt);
  from(kClientLink, make_numbered(0, 0, 10, 1400));
  EXPECT_EQ(drops(), 10u);
}

TEST(SharedRateTest, TheSameLimitFillsNothing) {
  SharedBucket bucket;
  const Instant now{};
  bucket.limit_to(now, 8);
  const auto full = bucket.available(now);
  bucket.spend(now, full);
  bucket.limit_to(now, 8);
  EXPECT_EQ(bucket.available(now), 0);
  bucket.spend(now, 1e6);
  EXPECT_LT(bucket.available(now + 900ms), 0) << "what was taken too much is owed";
  EXPECT_GT(bucket.available(now + 2s), 0);
}

TEST_F(ShardTest, SlowReceiverIsQueuedForAndBothEndsHearOfLoss) {
  establish();
  out_[kClientLink].blocked = true;
  for (unsigned i = 0; i < 20; ++i) from(kNodeLink, make_numbered(1, static_cast<std::uint16_t>(10 * i), 10, 1400));
  EXPECT_LE(shard_.stats().queued_bytes, limits_.queue_bytes + kMaxMessageBytes);
  out_[kClientLink].blocked = false;
  shard_.on_writable(now_, kClientLink);
  std::vector<unsigned> numbers;
  for (const auto& message : out_[kClientLink].binary)
    for (const auto number : numbers_of(message)) numbers.push_back(number);
  ASSERT_FALSE(numbers.empty());
  EXPECT_EQ(numbers.back(), 199u);
  EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
  keep_alive({kNodeLink, kClientLink});
  pass(1s);
  EXPECT_EQ(out_.last<QueueReport>(kClientLink).dropped_packets, 200 - numbers.size());
  EXPECT_EQ(out_.last<QueueReport>(kNodeLink).channel, 1u);
}

TEST_F(ShardTest, DrainTellsEveryLinkAndClosesWhatStaysAtTheDeadline) {
  establish();
  shard_.drain(now_, 5s, {"https://other"});
  EXPECT_THAT(out_.last<Drain>(kClientLink).servers, ElementsAre("https://other"));
  EXPECT_EQ(out_.last<Drain>(kNodeLink).deadline_seconds, 5u);
  from(kClientLink, make_message(0, {"still served"}));
  EXPECT_EQ(out_[kNodeLink].binary.size(), 1u);
  keep_alive({kNodeLink});
  pass(5s);
  EXPECT_EQ(out_[kClientLink].closed, CloseCode::kGoingAway);
  EXPECT_EQ(out_[kNodeLink].closed, CloseCode::kGoingAway);
  EXPECT_EQ(shard_.stats().sessions, 0u);
}

}  // namespace
}  // namespace higgs::relay

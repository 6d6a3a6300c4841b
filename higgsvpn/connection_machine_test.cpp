#include "higgsvpn/connection_machine.h"

#include <gtest/gtest.h>

namespace higgs::vpn {
namespace {

using namespace std::chrono_literals;
using Do = ConnectionMachine::Do;
using State = ConnectionMachine::State;

class ConnectionMachineTest : public ::testing::Test {
 protected:
  static Failure failed(ExitCode code) {
    Failure failure;
    failure.code = code;
    failure.message = "x";
    return failure;
  }
  ConnectionMachine machine(bool pinned = false) { return {now_, random_, pinned}; }
  void bring_up(ConnectionMachine& m) {
    ASSERT_EQ(m.next(now_).what, Do::kRequestRoute);
    m.route_obtained(now_, 900s);
    ASSERT_EQ(m.next(now_).what, Do::kOpenLink);
    m.link_opened(now_);
    m.session_ready(now_, true);
    m.handshake_completed();
    ASSERT_EQ(m.state(), State::kConnected);
  }
  /// Lets time pass until it wants something; the time that it took.
  Do wait(ConnectionMachine& m, std::chrono::nanoseconds* waited = nullptr) {
    const Instant begun = now_;
    for (;;) {
      const auto action = m.next(now_);
      if (waited != nullptr) *waited = now_ - begun;
      if (action.what != Do::kWait) return action.what;
      EXPECT_GT(action.until, now_) << "it would spin";
      now_ = std::max(action.until, now_ + 1ns);
    }
  }

  Instant now_{1000s};
  SeededRandom random_{7};
};

TEST_F(ConnectionMachineTest, ComesUpInOrder) {
  auto m = machine();
  EXPECT_EQ(m.state(), State::kConnecting);
  bring_up(m);
  EXPECT_TRUE(m.was_up());
  std::chrono::nanoseconds waited{};
  EXPECT_EQ(wait(m, &waited), Do::kRenew);
  EXPECT_EQ(waited, 450s) << "renewed at half its life";
  m.renewed(now_, 900s);
  EXPECT_EQ(wait(m), Do::kRenew);
}

TEST_F(ConnectionMachineTest, FirstHandshakeOnItsWayIsNotStartedTwice) {
  auto m = machine();
  m.next(now_);
  m.route_obtained(now_, 900s);
  m.link_opened(now_);
  m.session_ready(now_ + 10ms, true);
  now_ += 100ms;
  EXPECT_EQ(m.next(now_).what, Do::kWait);
  m.handshake_completed();
  now_ += 5s;
  EXPECT_EQ(m.next(now_).what, Do::kWait);
}

TEST_F(ConnectionMachineTest, HandshakeMayBeSeenBeforeTheMessageThatAllowedIt) {
  auto m = machine();
  m.next(now_);
  m.route_obtained(now_, 900s);
  m.link_opened(now_);
  m.handshake_completed();
  EXPECT_EQ(m.state(), State::kConnecting);
  m.session_ready(now_ + 5ms, true);
  EXPECT_EQ(m.state(), State::kConnected);
  now_ += 5s;
  EXPECT_EQ(m.next(now_).what, Do::kWait);
}

TEST_F(ConnectionMachineTest, RestartedNodeGetsAHandshakeSoonButNotAtOnce) {
  auto m = machine();
  bring_up(m);
  now_ += 60s;
  m.session_ready(now_, true);
  EXPECT_EQ(m.state(), State::kReconnecting);
  std::chrono::nanoseconds waited{};
  EXPECT_EQ(wait(m, &waited), Do::kRestartHandshake);
  EXPECT_GE(waited, 20ms);
  EXPECT_LE(waited, 100ms);
  EXPECT_EQ(m.next(now_).what, Do::kWait) << "once";
  m.handshake_completed();
  EXPECT_EQ(m.state(), State::kConnected);
}

TEST_F(ConnectionMachineTest, LostLinkIsReopenedWithTheSameSession) {
  auto m = machine();
  bring_up(m);
  m.link_lost(now_, 1006);
  EXPECT_EQ(m.state(), State::kReconnecting);
  std::chrono::nanoseconds waited{};
  EXPECT_EQ(wait(m, &waited), Do::kOpenLink);
  EXPECT_LE(waited, 100ms);
  // A server that is away: waits grow to 2 s, never beyond in the first half minute.
  const Instant begun = now_;
  while (now_ - begun < 25s) {
    m.link_failed(now_, 0, failed(ExitCode::kUnreachable));
    EXPECT_EQ(wait(m, &waited), Do::kOpenLink);
    EXPECT_LE(waited, 2s);
  }
  m.link_opened(now_);
  m.session_ready(now_, false);
  EXPECT_EQ(m.state(), State::kConnected) << "the node still has our keys";
}

TEST_F(ConnectionMachineTest, LinkThatNeverHoldsBacksOff) {
  auto m = machine();
  bring_up(m);
  const Instant begun = now_;
  int opened = 0;
  while (now_ - begun < 20s) {
    m.link_lost(now_, 1006);
    ASSERT_EQ(wait(m), Do::kOpenLink);
    m.link_opened(now_);
    ++opened;
  }
  EXPECT_LE(opened, 30);
}

TEST_F(ConnectionMachineTest, SessionThatIsGoneIsReplaced) {
  for (const unsigned status : {401u, 403u, 404u, 410u}) {
    auto m = machine();
    bring_up(m);
    m.link_lost(now_, 1006);
    EXPECT_EQ(wait(m), Do::kOpenLink);
    m.link_failed(now_, status, failed(ExitCode::kFailure));
    EXPECT_EQ(wait(m), Do::kRequestRoute) << status;
  }
  for (const std::uint16_t code : {4002, 4003}) {
    auto m = machine();
    bring_up(m);
    m.link_lost(now_, code);
    EXPECT_EQ(wait(m), Do::kRequestRoute) << code;
  }
  auto m = machine();
  bring_up(m);
  m.session_closed(now_, relay::CloseReason::kExpired);
  EXPECT_EQ(wait(m), Do::kRequestRoute);
}

TEST_F(ConnectionMachineTest, RenewalFailureIsRetriedUntilTheEnd) {
  auto m = machine();
  bring_up(m);
  const Instant begun = now_;
  EXPECT_EQ(wait(m), Do::kRenew);
  int tries = 0;
  while (wait(m) == Do::kRenew) {
    m.renewal_failed(now_, failed(ExitCode::kUnreachable));
    ++tries;
  }
  EXPECT_EQ(m.next(now_).what, Do::kRequestRoute);
  EXPECT_GE(now_ - begun, 900s);
  EXPECT_LE(tries, 91);
  Failure gone = failed(ExitCode::kFailure);
  gone.gone = true;
  auto other = machine();
  bring_up(other);
  wait(other);
  other.renewal_failed(now_, gone);
  EXPECT_EQ(wait(other), Do::kRequestRoute);
}

TEST_F(ConnectionMachineTest, SomeFailuresAreFinal) {
  for (const ExitCode code :
       {ExitCode::kNotLoggedIn, ExitCode::kNoNodeFits, ExitCode::kNotPermitted, ExitCode::kFailure}) {
    auto m = machine();
    m.next(now_);
    m.route_failed(now_, failed(code));
    EXPECT_EQ(m.next(now_).what, Do::kGiveUp);
    EXPECT_EQ(m.failure().code, code);
  }
  auto m = machine();
  bring_up(m);
  m.link_lost(now_, 4003);
  EXPECT_EQ(wait(m), Do::kRequestRoute);
  m.route_failed(now_, failed(ExitCode::kNoNodeFits));
  EXPECT_EQ(wait(m), Do::kRequestRoute) << "a node may come back";
  m.route_failed(now_, failed(ExitCode::kNotLoggedIn));
  EXPECT_EQ(m.next(now_).what, Do::kGiveUp);
  auto banned = machine();
  bring_up(banned);
  banned.session_closed(now_, relay::CloseReason::kBanned);
  EXPECT_EQ(banned.next(now_).what, Do::kGiveUp);
}

TEST_F(ConnectionMachineTest, UnreachableServerHasPatienceAtFirst) {
  auto m = machine();
  const Instant begun = now_;
  while (wait(m) == Do::kRequestRoute) m.route_failed(now_, failed(ExitCode::kUnreachable));
  EXPECT_EQ(m.next(now_).what, Do::kGiveUp);
  EXPECT_EQ(m.failure().code, ExitCode::kUnreachable);
  EXPECT_EQ(now_ - begun, 30s);
}

TEST_F(ConnectionMachineTest, RetryAfterIsHonoured) {
  auto m = machine();
  bring_up(m);
  m.link_lost(now_, 4003);
  wait(m);
  Failure busy = failed(ExitCode::kUnreachable);
  busy.retry_after = 7s;
  m.route_failed(now_, busy);
  std::chrono::nanoseconds waited{};
  EXPECT_EQ(wait(m, &waited), Do::kRequestRoute);
  EXPECT_GE(waited, 7s);
}

TEST_F(ConnectionMachineTest, DeadNodeIsLeftForAnotherUnlessItWasNamed) {
  auto m = machine();
  bring_up(m);
  m.session_closed(now_, relay::CloseReason::kNodeGone);
  std::chrono::nanoseconds waited{};
  EXPECT_EQ(wait(m, &waited), Do::kRequestRoute);
  EXPECT_EQ(waited, 15s);
  EXPECT_TRUE(m.has_session()) << "the old one is kept until there is another";
  m.route_failed(now_, failed(ExitCode::kNoNodeFits));
  m.session_ready(now_, true);
  m.handshake_completed();
  EXPECT_EQ(m.state(), State::kConnected) << "it came back first";

  auto pinned = machine(true);
  bring_up(pinned);
  pinned.session_closed(now_, relay::CloseReason::kNodeGone);
  EXPECT_EQ(wait(pinned), Do::kRenew);
}

TEST_F(ConnectionMachineTest, RefusalBringsANewKey) {
  auto m = machine(true);
  m.next(now_);
  m.route_obtained(now_, 900s);
  m.link_opened(now_);
  m.session_refused(now_, relay::RefusalReason::kKeyInUse);
  EXPECT_EQ(wait(m), Do::kRequestRoute);
  m.route_obtained(now_, 900s);
  m.link_opened(now_);
  m.session_refused(now_, relay::RefusalReason::kFull);
  EXPECT_EQ(m.next(now_).what, Do::kGiveUp) << "the user wanted that node";
}

TEST_F(ConnectionMachineTest, DrainOpensANewLinkWhileTheOldOneStands) {
  auto m = machine();
  bring_up(m);
  m.drained(now_);
  EXPECT_EQ(m.state(), State::kConnected);
  EXPECT_EQ(wait(m), Do::kOpenLink);
  // The server that is about to stop refuses; once it has stopped, its successor is tried at once.
  Failure busy = failed(ExitCode::kUnreachable);
  busy.retry_after = 10s;
  m.link_failed(now_, 503, busy);
  EXPECT_EQ(m.state(), State::kConnected);
  now_ += 1s;
  m.link_lost(now_, 1001);
  std::chrono::nanoseconds waited{};
  EXPECT_EQ(wait(m, &waited), Do::kOpenLink);
  EXPECT_LE(waited, 100ms);
  m.link_failed(now_, 503, busy);
  EXPECT_EQ(wait(m, &waited), Do::kOpenLink);
  EXPECT_LE(waited, 4s);
}

TEST_F(ConnectionMachineTest, DoubtOpensANewLinkAtOnce) {
  auto m = machine();
  bring_up(m);
  m.link_doubtful(now_);
  EXPECT_EQ(m.next(now_).what, Do::kOpenLink);
  EXPECT_EQ(m.state(), State::kConnected) << "the old one still stands";
  // Told again while the new one is on its way, and it fails: the back-off is kept.
  m.link_failed(now_, 0, failed(ExitCode::kUnreachable));
  m.link_doubtful(now_);
  EXPECT_EQ(m.next(now_).what, Do::kWait);
  EXPECT_EQ(wait(m), Do::kOpenLink);
}

TEST_F(ConnectionMachineTest, ATunnelOnADirectPathOutlivesItsLink) {
  auto m = machine();
  bring_up(m);
  m.carried_without_link(now_, true);
  m.link_lost(now_, 1006);
  EXPECT_EQ(m.state(), State::kConnected);
  EXPECT_TRUE(m.trouble().empty());
  EXPECT_EQ(wait(m), Do::kOpenLink) << "the link is mended beside it";
  m.link_opened(now_);
  now_ += 60s;
  EXPECT_NE(m.next(now_).what, Do::kRequestRoute) << "a node that is reached is not left for a link that is not ready";
  m.session_closed(now_, relay::CloseReason::kNodeGone);
  EXPECT_EQ(m.state(), State::kConnected);
  m.carried_without_link(now_, false);
  EXPECT_EQ(m.state(), State::kReconnecting);
  std::chrono::nanoseconds waited{};
  EXPECT_EQ(wait(m, &waited), Do::kRequestRoute);
  EXPECT_EQ(waited, 15s);
}

TEST_F(ConnectionMachineTest, ADirectPathWithoutKeysIsNoTunnel) {
  auto m = machine();
  bring_up(m);
  m.carried_without_link(now_, true);
  m.link_lost(now_, 1006);
  m.handshake_lost(now_);
  EXPECT_EQ(m.state(), State::kReconnecting);
  m.handshake_completed();
  EXPECT_EQ(m.state(), State::kConnected);
  m.session_closed(now_, relay::CloseReason::kExpired);
  EXPECT_EQ(m.state(), State::kReconnecting) << "the path was the session's";
}

TEST_F(ConnectionMachineTest, AnotherNetworkMeansAnotherLinkAtOnce) {
  auto m = machine();
  m.network_changed(now_);
  EXPECT_EQ(m.next(now_).what, Do::kRequestRoute);
  bring_up(m);
  m.network_changed(now_);
  EXPECT_EQ(m.state(), State::kConnected) << "until the old one is known to be dead";
  EXPECT_EQ(m.next(now_).what, Do::kOpenLink);
}

}  // namespace
}  // namespace higgs::vpn

#include "higgsvpn/connection_machine.h"

#include <algorithm>

#include <fmt/format.h>

namespace higgs::vpn {
namespace {

using namespace std::chrono_literals;

constexpr runtime::BackoffPolicy kBackoff{100ms, 2.0, 2000ms, 30000ms, 4000ms};
constexpr std::chrono::seconds kLongestReconnectWait = 4s;
constexpr std::uint16_t kNotAuthorised = 4002, kSessionEnded = 4003;

}  // namespace

ConnectionMachine::ConnectionMachine(Instant now, RandomSource& random, bool node_is_pinned, ConnectionLimits limits)
    : random_(random),
      pinned_(node_is_pinned),
      limits_(limits),
      started_(now),
      route_backoff_(kBackoff),
      link_backoff_(kBackoff),
      route_at_(now),
      link_at_(now) {
  failure_.message = "the node did not answer in time";
  failure_.remedy = "try again, or choose another node (higgsvpn nodes)";
}

ConnectionMachine::State ConnectionMachine::state() const noexcept {
  if (is_up()) return State::kConnected;
  return was_up_ ? State::kReconnecting : State::kConnecting;
}

ConnectionMachine::Action ConnectionMachine::next(Instant now) {
  if (!given_up_ && !was_up_ && now - started_ >= limits_.initial_patience) give_up(failure_);
  if (given_up_) return {Do::kGiveUp, {}};
  if (expires_at_ && now >= *expires_at_) drop_session(now);
  if (!expires_at_) {
    if (now >= route_at_) return {Do::kRequestRoute, {}};
    return {Do::kWait, was_up_ ? route_at_ : std::min(route_at_, started_ + limits_.initial_patience)};
  }
  if (renew_at_ && now >= *renew_at_) return {Do::kRenew, {}};
  if (link_wanted_ && now >= link_at_) return {Do::kOpenLink, {}};
  if (restart_at_ && now >= *restart_at_) {
    restart_at_.reset();
    return {Do::kRestartHandshake, {}};
  }
  if (is_up()) other_node_at_.reset();
  if (other_node_at_ && now >= *other_node_at_) {
    other_node_at_ = now + limits_.node_patience;
    return {Do::kRequestRoute, {}};
  }
  Instant until = *expires_at_;
  if (renew_at_) until = std::min(until, *renew_at_);
  if (link_wanted_) until = std::min(until, link_at_);
  if (restart_at_) until = std::min(until, *restart_at_);
  if (other_node_at_) until = std::min(until, *other_node_at_);
  if (!was_up_) until = std::min(until, started_ + limits_.initial_patience);
  return {Do::kWait, until};
}

void ConnectionMachine::route_obtained(Instant now, std::chrono::seconds lifetime) {
  expires_at_ = now + lifetime;
  renew_at_ = now + lifetime / 2;
  link_up_ = ready_ = ready_before_ = handshake_done_ = carried_ = false;
  link_wanted_ = true;
  link_at_ = now;
  restart_at_.reset();
  other_node_at_.reset();
}

void ConnectionMachine::route_failed(Instant now, Failure failure) {
  const bool final_at_once = failure.code == ExitCode::kNotLoggedIn || failure.code == ExitCode::kNotPermitted;
  const bool may_pass = failure.code == ExitCode::kUnreachable || failure.retry_after.has_value();
  const auto retry_after = failure.retry_after;
  if (final_at_once || (!was_up_ && !may_pass)) return give_up(std::move(failure));
  note(std::move(failure));
  // Asked for another node while a session stands: that one is kept.
  if (expires_at_) return;
  route_at_ = now + route_backoff_.next(now, random_);
  if (retry_after) route_at_ = std::max(route_at_, now + *retry_after);
}

void ConnectionMachine::link_opened(Instant now) {
  link_up_ = true;
  link_wanted_ = false;
  ready_ = false;
  link_since_ = now;
  if (!pinned_) other_node_at_ = now + limits_.node_patience;
}

void ConnectionMachine::link_failed(Instant now, unsigned status, Failure failure) {
  const auto retry_after = failure.retry_after;
  note(std::move(failure));
  if (status == 401 || status == 403 || status == 404 || status == 410) return drop_session(now);
  link_wanted_ = true;
  link_at_ = now + link_backoff_.next(now, random_);
  // Who had a link has a place on the server already: a long wait is meant for newcomers.
  if (retry_after)
    link_at_ = std::max(link_at_, now + (was_up_ ? std::min(*retry_after, kLongestReconnectWait) : *retry_after));
}

void ConnectionMachine::link_lost(Instant now, std::uint16_t code) {
  // A link that held is tried anew at once, whatever a drained server had said to an earlier attempt.
  if (ready_) link_backoff_.reset();
  link_up_ = ready_ = false;
  if (!is_up()) trouble_ = "the relay link was lost";
  other_node_at_.reset();
  if (code == kNotAuthorised || code == kSessionEnded) return drop_session(now);
  link_at_ = now + link_backoff_.next(now, random_);
  link_wanted_ = true;
}

void ConnectionMachine::link_doubtful(Instant now) {
  if (link_wanted_) return;
  link_wanted_ = true;
  link_at_ = now;
}

void ConnectionMachine::carried_without_link(Instant now, bool carried) {
  carried_ = carried && expires_at_;
  if (!is_up() && expires_at_ && !pinned_ && !other_node_at_) other_node_at_ = now + limits_.node_patience;
  settle();
}

void ConnectionMachine::network_changed(Instant now) {
  if (!expires_at_) return;
  link_backoff_.reset();
  link_wanted_ = true;
  link_at_ = now;
}

void ConnectionMachine::session_ready(Instant now, bool fresh) {
  ready_ = true;
  const bool just_begun = !ready_before_ && now - link_since_ < limits_.first_handshake_grace;
  // The first handshake may have been seen done before this message was: the node had our peer by then.
  if (fresh && !(just_begun && handshake_done_)) {
    handshake_done_ = false;
    restart_at_ = now + (just_begun ? limits_.first_handshake_grace : limits_.handshake_grace);
  }
  ready_before_ = true;
  settle();
}

void ConnectionMachine::session_refused(Instant now, relay::RefusalReason reason) {
  Failure failure;
  failure.message = fmt::format("the node refused the session: {}", relay::to_string(reason));
  failure.remedy = "choose another node (higgsvpn nodes)";
  note(std::move(failure));
  const bool ours_to_mend = reason == relay::RefusalReason::kKeyInUse || reason == relay::RefusalReason::kAddressInUse;
  if (pinned_ && !was_up_ && !ours_to_mend) return give_up(failure_);
  drop_session(now);
}

void ConnectionMachine::session_closed(Instant now, relay::CloseReason reason) {
  if (reason == relay::CloseReason::kNodeGone || reason == relay::CloseReason::kClientGone) {
    // The server keeps the session and opens it again when the node is back.
    ready_ = false;
    trouble_ = "the node is away";
    if (!pinned_) other_node_at_ = now + limits_.node_patience;
    return;
  }
  Failure failure;
  failure.message = fmt::format("the server ended the session: {}", relay::to_string(reason));
  note(std::move(failure));
  if (reason == relay::CloseReason::kBanned) {
    failure_.code = ExitCode::kNotLoggedIn;
    return give_up(failure_);
  }
  drop_session(now);
}

void ConnectionMachine::handshake_completed() {
  handshake_done_ = true;
  restart_at_.reset();
  settle();
}

void ConnectionMachine::handshake_lost(Instant now) {
  if (!handshake_done_) return;
  handshake_done_ = false;
  if (!pinned_) other_node_at_ = now + limits_.node_patience;
}

void ConnectionMachine::renewed(Instant now, std::chrono::seconds lifetime) {
  expires_at_ = now + lifetime;
  renew_at_ = now + lifetime / 2;
}

void ConnectionMachine::renewal_failed(Instant now, const Failure& failure) {
  if (failure.code == ExitCode::kNotLoggedIn) return give_up(failure);
  if (failure.gone) return drop_session(now);
  renew_at_ = now + limits_.renewal_retry;
}

void ConnectionMachine::drained(Instant now) {
  if (link_wanted_) return;
  link_wanted_ = true;
  link_at_ = now + link_backoff_.next(now, random_);
}

void ConnectionMachine::note(Failure failure) {
  trouble_ = failure.message;
  failure_ = std::move(failure);
}

void ConnectionMachine::drop_session(Instant now) {
  expires_at_.reset();
  renew_at_.reset();
  restart_at_.reset();
  other_node_at_.reset();
  link_up_ = ready_ = handshake_done_ = carried_ = false;
  route_at_ = now + route_backoff_.next(now, random_);
}

void ConnectionMachine::settle() {
  if (!is_up()) return;
  was_up_ = true;
  trouble_.clear();
  other_node_at_.reset();
  route_backoff_.reset();
  link_backoff_.reset();
}

void ConnectionMachine::give_up(Failure failure) {
  given_up_ = true;
  failure_ = std::move(failure);
}

}  // namespace higgs::vpn

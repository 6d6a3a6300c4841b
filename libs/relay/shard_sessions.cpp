#include <algorithm>
#include <utility>

#include "relay/shard_impl.h"

namespace higgs::relay {

namespace {

/// How far ahead a deadline of the wall clock is trusted before it is looked at again.
constexpr std::chrono::hours kLookAgain{1};
/// Credit for the answers that a session-open entitles a node to.
constexpr double kControlCreditPerOpen = 8;
/// Burst of a rate limit: 100 ms at the rate, and no less than two full messages.
constexpr double kBurstSeconds = 0.1;

CloseCode code_for(CloseReason reason) noexcept {
  switch (reason) {
    case CloseReason::kExpired:
    case CloseReason::kBanned:
      return CloseCode::kNotAuthorised;
    case CloseReason::kEnded:
    case CloseReason::kClientGone:
    case CloseReason::kNodeGone:
    case CloseReason::kRefused:
      break;
  }
  return CloseCode::kSessionEnded;
}

}  // namespace

Shard::Impl::Session* Shard::Impl::find_session(SessionId id) {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second.get();
}

void Shard::Impl::set_state(Session& session, State state) {
  if (session.state == State::kReady) --stats_.ready_sessions;
  if (state == State::kReady) ++stats_.ready_sessions;
  session.state = state;
}

void Shard::Impl::set_rate(Now now, Session& session) {
  const auto mbps = session.ticket.rate_limit_mbps ? session.ticket.rate_limit_mbps : limits_.session_rate_mbps;
  if (!mbps) {
    session.up_rate.reset();
    session.down_rate.reset();
    return;
  }
  const double per_second = *mbps * 1e6 / 8;
  // A reconnect must not refill the bucket.
  if (session.up_rate && session.up_rate->per_second() == per_second) return;
  const TokenBucket bucket(now.monotonic, per_second, std::max(per_second * kBurstSeconds, 2.0 * kMaxMessageBytes));
  session.up_rate = bucket;
  session.down_rate = bucket;
}

void Shard::Impl::attach(Now now, Session& session, Link& link) {
  link.session = &session;
  ++stats_.client_links;
  session.client = &link;
  session.detached_until.reset();
  arm(now, session);
  want_open(now, session);
}

void Shard::Impl::detach(Now now, Session& session) {
  session.client = nullptr;
  session.detached_until = now.monotonic + limits_.detach_grace;
  arm(now, session);
}

void Shard::Impl::arm(Now now, Session& session) {
  const auto left = std::clamp<std::chrono::nanoseconds>(session.ticket.expires_at - now.wall,
                                                         std::chrono::nanoseconds{0}, kLookAgain);
  Instant when = now.monotonic + left;
  if (session.detached_until) when = std::min(when, *session.detached_until);
  session_timers_.set(session.ticket.session, session.timer, when);
}

void Shard::Impl::session_timeout(Now now, SessionId id) {
  Session* session = find_session(id);
  if (session == nullptr) return;
  session->timer.reset();
  if (now.wall >= session->ticket.expires_at) {
    end_session(*session, CloseReason::kExpired, true);
  } else if (session->detached_until && *session->detached_until <= now.monotonic) {
    end_session(*session, CloseReason::kClientGone, true);
  } else {
    arm(now, *session);
  }
}

/// The session has a client's link; it gets a new channel as soon as the node's link can take the session-open.
void Shard::Impl::want_open(Now now, Session& session) {
  close_channel(session);
  set_state(session, State::kWaiting);
  Node& node = *session.node;
  if (node.link == nullptr) {
    send_control(*session.client, session.ticket.session,
                 ErrorNotice{std::string(kNodeOffline), "the node is not connected; the session opens when it is"});
    return;
  }
  if (!std::exchange(session.in_to_open, true)) node.to_open.push_back(session.ticket.session);
  open_waiting(now, node);
}

void Shard::Impl::open_waiting(Now now, Node& node) {
  while (node.link != nullptr && !node.to_open.empty() && output_.can_send(node.link->key)) {
    Session* session = find_session(node.to_open.front());
    node.to_open.pop_front();
    if (session == nullptr || session->node != &node) continue;
    session->in_to_open = false;
    if (session->client == nullptr || session->state != State::kWaiting) continue;
    if (++node.last_channel == 0) {
      // All channels of this link are used up; a new link starts again from 1.
      Link& link = *node.link;
      output_.close(link.key, CloseCode::kTryAgainLater, "no channel left");
      lose_link(now, link);
      return;
    }
    send_open(now, *session);
  }
}

void Shard::Impl::send_open(Now now, Session& session) {
  Node& node = *session.node;
  session.channel = node.last_channel;
  node.channels[session.channel] = &session;
  set_state(session, State::kOpening);
  node.link->control.add(kControlCreditPerOpen);
  send_control(
      *node.link, session.ticket.session,
      SessionOpen{session.channel, session.ticket.wireguard_public_key, session.ticket.addresses,
                  session.ticket.rate_limit_mbps ? session.ticket.rate_limit_mbps : limits_.session_rate_mbps, 0});
  // A node answers it at once: a client must not wait for the next idle ping to learn that the link is dead.
  node.link->liveness.on_sent(now.monotonic);
  arm(*node.link);
}

void Shard::Impl::close_channel(Session& session) {
  if (session.channel == 0) return;
  session.node->channels.erase(session.channel);
  if (session.node->link != nullptr) session.node->link->queue.remove(session.channel);
  session.channel = 0;
}

void Shard::Impl::become_ready(Now now, Session& session, bool fresh) {
  set_state(session, State::kReady);
  if (session.client != nullptr)
    send_control(*session.client, session.ticket.session, SessionReady{std::nullopt, fresh});
  session.held.drop_older_than(now.monotonic - limits_.hold_age, DropReason::kHold);
  std::vector<ByteView> parts;
  std::vector<Bytes> spent;
  Bytes message;
  while (!session.held.empty()) {
    parts.clear();
    spent.clear();
    const auto taken = session.held.take(kMaxMessageBytes - kHeaderBytes, parts, spent);
    if (taken.packets == 0) break;
    const FrameHeader header{static_cast<std::uint16_t>(taken.packets), 0};
    message = to_bytes(encode_header(header));
    for (const auto& part : parts) message.insert(message.end(), part.begin(), part.end());
    forward(now, *session.node->link, session, Way::kUp, header, message);
  }
  output_.session_ready(session.ticket.session, session.ticket.node);
}

void Shard::Impl::end_session(Session& session, CloseReason reason, bool tell_node) {
  const SessionId id = session.ticket.session;
  Node& node = *session.node;
  if (tell_node && session.channel != 0 && node.link != nullptr)
    send_control(*node.link, id, SessionClose{session.channel, reason});
  close_channel(session);
  set_state(session, State::kWaiting);
  if (session.client != nullptr) {
    send_control(*session.client, id, SessionClose{std::nullopt, reason});
    close_link(*std::exchange(session.client, nullptr), code_for(reason), to_string(reason));
  }
  session_timers_.cancel(id, session.timer);
  output_.session_ended(id, session.ticket.node, reason, *session.traffic);
  node.sessions.erase(&session);
  sessions_.erase(id);
  forget_node_if_unused(node);
}

void Shard::Impl::close_session(SessionId id, CloseReason reason) {
  if (Session* session = find_session(id)) end_session(*session, reason, true);
}

void Shard::Impl::renew_session(Now now, SessionId id, WallTime expires_at) {
  Session* session = find_session(id);
  if (session == nullptr) return;
  session->ticket.expires_at = expires_at;
  arm(now, *session);
}

}  // namespace higgs::relay

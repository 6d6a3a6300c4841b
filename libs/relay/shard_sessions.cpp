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

/// A client whose link came up this long ago has not given it up yet for want of an answer (proto/relay.md,
/// "Liveness"): what is said of it still holds, however long this server was away meanwhile.
constexpr std::chrono::milliseconds kNewLink{2000};

CloseCode code_for(CloseReason reason) noexcept {
  switch (reason) {
    case CloseReason::kExpired:
    case CloseReason::kBanned:
      return CloseCode::kNotAuthorised;
    case CloseReason::kMoved:
      return CloseCode::kReplaced;
    case CloseReason::kEnded:
    case CloseReason::kClientGone:
    case CloseReason::kNodeGone:
    case CloseReason::kRefused:
      break;
  }
  return CloseCode::kSessionEnded;
}

std::int64_t expiry_of(const SessionTicket& ticket) noexcept {
  return std::clamp<std::int64_t>(unix_seconds(ticket.expires_at), 0, kMaxUnixSeconds);
}

/// Where the action has a channel that only some links need.
void set_channel(ControlPayload& payload, Channel channel) {
  std::visit(
      [channel](auto& action) {
        if constexpr (requires { action.channel.has_value(); })
          action.channel = channel == 0 ? std::nullopt : std::optional(channel);
      },
      payload);
}

}  // namespace

Shard::Impl::Session* Shard::Impl::find_session(SessionId id) {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second.get();
}

Shard::Impl::Session& Shard::Impl::make_session(const SessionTicket& ticket, bool foreign) {
  auto made = std::make_unique<Session>(ticket, context_);
  Session& session = *made;
  session.foreign = foreign;
  session.node = &node_of(ticket.node);
  session.node->sessions.insert(&session);
  sessions_[ticket.session] = std::move(made);
  return session;
}

/// Whether its client is another server's. One that comes from there is counted afresh, one that goes has left.
void Shard::Impl::set_foreign(Session& session, bool foreign) {
  if (std::exchange(session.foreign, foreign) == foreign) return;
  if (foreign)
    output_.session_ended(session.ticket.session, session.ticket.node, CloseReason::kMoved, *session.traffic);
  session.traffic = std::make_shared<SessionTraffic>();
}

void Shard::Impl::set_state(Session& session, State state) {
  if (session.state == State::kReady) --stats_.ready_sessions;
  if (state == State::kReady) ++stats_.ready_sessions;
  session.state = state;
}

void Shard::Impl::set_rate(Now now, Session& session) {
  const auto mbps = session.ticket.rate_limit_mbps ? session.ticket.rate_limit_mbps : limits_.session_rate_mbps;
  if (!mbps || session.foreign) {
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

/// Whatever link carries the client's side gives it up for `by`.
void Shard::Impl::replace_client(Session& session, const Link& by) {
  Link* old = session.client;
  if (old == nullptr) return;
  if (old->kind == Kind::kClient) {
    ++stats_.replaced;
    close_link(*std::exchange(session.client, nullptr), CloseCode::kReplaced, "replaced");
    return;
  }
  if (old != &by) {
    ++stats_.moved_sessions;
    tell_client(session, SessionClose{std::nullopt, CloseReason::kMoved});
  }
  release_client_channel(session);
}

/// The client's side is not on another server's link any more.
void Shard::Impl::release_client_channel(Session& session) {
  forget_channel(*std::exchange(session.client, nullptr), std::exchange(session.client_channel, 0));
}

void Shard::Impl::attach(Now now, Session& session, Link& link, Channel channel) {
  session.client = &link;
  session.client_channel = channel;
  session.told_offline = false;
  session.detached_until.reset();
  arm(now, session);
  want_open(now, session);
}

void Shard::Impl::detach(Now now, Session& session) {
  session.client = nullptr;
  session.client_channel = 0;
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

/// The session has a client's link; it gets a new channel as soon as the link towards the node, here or to the server
/// where the node is, can take the session-open.
void Shard::Impl::want_open(Now now, Session& session) {
  Node& node = *session.node;
  const bool elsewhere = node.link == nullptr && !session.foreign && node.server;
  Cascade* cascade = elsewhere ? &cascade_to({node.server->server, worker_of(node.id, node.server->workers)}) : nullptr;
  Link* upstream = cascade != nullptr ? cascade->link : node.link;
  if (upstream == session.upstream)
    close_channel(session);
  else
    leave_upstream(session);
  join(session, cascade);
  set_state(session, State::kWaiting);
  session.upstream = upstream;
  if (upstream != nullptr) {
    if (!std::exchange(session.in_to_open, true)) upstream->carrier->to_open.push_back(session.ticket.session);
    open_waiting(now, *upstream);
  } else if (cascade != nullptr) {
    want_link(now, *cascade);
  } else {
    tell_offline(session);
    if (!session.foreign) look_up(now, node);
  }
}

void Shard::Impl::open_waiting(Now now, Link& link) {
  Carrier& carrier = *link.carrier;
  while (!carrier.to_open.empty() && output_.can_send(link.key)) {
    Session* session = find_session(carrier.to_open.front());
    carrier.to_open.pop_front();
    if (session == nullptr || session->upstream != &link) continue;
    session->in_to_open = false;
    if (session->client == nullptr || session->state != State::kWaiting) continue;
    if (++carrier.last_channel == 0) {
      // All channels of this link are used up; a new link starts again from 1.
      output_.close(link.key, CloseCode::kTryAgainLater, "no channel left");
      lose_link(now, link);
      return;
    }
    send_open(now, *session);
  }
}

void Shard::Impl::send_open(Now now, Session& session) {
  Link& link = *session.upstream;
  session.channel = link.carrier->last_channel;
  open_channel(link, session.channel, session);
  set_state(session, State::kOpening);
  link.control.add(kControlCreditPerOpen);
  const SessionTicket& ticket = session.ticket;
  SessionOpen open{session.channel, ticket.wireguard_public_key, ticket.addresses, ticket.rate_limit_mbps, 0, {},
                   ticket.trace};
  if (session.foreign || link.kind == Kind::kOutgoing) open.hops = 1;
  if (!session.foreign && !open.rate_limit_mbps) open.rate_limit_mbps = limits_.session_rate_mbps;
  if (link.kind == Kind::kOutgoing)
    open.cascade = CascadedSession{ticket.node, std::max<std::int64_t>(session.iat, 0), expiry_of(ticket),
                                   now.monotonic - session.client_since < kNewLink};
  send_control(link, ticket.session, std::move(open));
  // It is answered at once: a client must not wait for the next idle ping to learn that the link is dead.
  link.liveness.on_sent(now.monotonic);
  arm(link);
}

void Shard::Impl::tell_client(Session& session, ControlPayload payload) {
  if (session.client == nullptr) return;
  set_channel(payload, session.client_channel);
  send_control(*session.client, session.ticket.session, std::move(payload));
}

void Shard::Impl::tell_upstream(Session& session, ControlPayload payload) {
  if (session.channel == 0) return;
  set_channel(payload, session.channel);
  send_control(*session.upstream, session.ticket.session, std::move(payload));
}

/// Once, until it is served again: a client counts from there how long it waits.
void Shard::Impl::tell_offline(Session& session) {
  if (session.client == nullptr || std::exchange(session.told_offline, true)) return;
  tell_client(session,
              ErrorNotice{std::string(kNodeOffline), "the node is not connected; the session opens when it is"});
}

void Shard::Impl::open_channel(Link& link, Channel channel, Session& session) {
  link.carrier->channels[channel] = &session;
  if (link.between_servers()) ++stats_.cascaded_sessions;
}

void Shard::Impl::forget_channel(Link& link, Channel channel) {
  const auto erased = link.carrier->channels.erase(channel);
  if (link.between_servers()) stats_.cascaded_sessions -= erased;
  link.queue.remove(channel);
}

void Shard::Impl::close_channel(Session& session) {
  if (session.channel != 0) forget_channel(*session.upstream, std::exchange(session.channel, 0));
}

/// The session goes another way from here on, or none. A server is told, since it would keep the session for us.
void Shard::Impl::leave_upstream(Session& session) {
  if (session.upstream != nullptr && session.upstream->kind == Kind::kOutgoing)
    tell_upstream(session, SessionClose{std::nullopt, CloseReason::kMoved});
  close_channel(session);
  session.upstream = nullptr;
  session.in_to_open = false;
}

void Shard::Impl::become_ready(Now now, Session& session, bool fresh) {
  set_state(session, State::kReady);
  session.told_offline = false;
  session.ticket.trace.reset();  // what opens it again is no part of that any more
  ask_soon(now, *session.node);
  tell_client(session, SessionReady{std::nullopt, fresh});
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
    forward(now, *session.upstream, session, Way::kUp, header, message);
  }
  if (!session.foreign) output_.session_ready(session.ticket.session, session.ticket.node);
}

void Shard::Impl::end_session(Session& session, CloseReason reason, bool tell_node) {
  const SessionId id = session.ticket.session;
  Node& node = *session.node;
  if (tell_node) tell_upstream(session, SessionClose{std::nullopt, reason});
  close_channel(session);
  join(session, nullptr);
  set_state(session, State::kWaiting);
  if (session.client != nullptr) {
    // A client that has moved is served elsewhere; another server was told why by session-refused.
    if (reason != (session.foreign ? CloseReason::kRefused : CloseReason::kMoved))
      tell_client(session, SessionClose{std::nullopt, reason});
    if (session.foreign)
      release_client_channel(session);
    else
      close_link(*std::exchange(session.client, nullptr), code_for(reason), to_string(reason));
  }
  session_timers_.cancel(id, session.timer);
  if (!session.foreign) output_.session_ended(id, session.ticket.node, reason, *session.traffic);
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
  if (session->channel != 0 && session->upstream->kind == Kind::kOutgoing)
    tell_upstream(*session, SessionRenew{session->channel, expiry_of(session->ticket)});
}

}  // namespace higgs::relay

#include "relay/shard_impl.h"

namespace higgs::relay {

namespace {
constexpr std::string_view kBadControl = "bad-control";
}

void Shard::Impl::on_text(Now now, LinkKey key, std::string_view text) {
  Link* link = find_link(key);
  if (link == nullptr) return;
  link->liveness.on_received(now.monotonic);
  ++stats_.control_messages;
  if (!link->control.take(now.monotonic, 1)) {
    close_malformed(now, *link, "too many control messages");
    return;
  }
  const auto message = parse_control(text);
  if (!message) {
    ++stats_.ignored_control;
    // A field that we do not understand may come from a newer version; what is not even an envelope does not.
    if (message.error() == ControlError::kMissingField || message.error() == ControlError::kBadField)
      send_control(*link, std::nullopt, ErrorNotice{std::string(kBadControl), message.error().message()});
    else
      close_malformed(now, *link, "malformed control message");
    return;
  }
  switch (link->kind) {
    case Kind::kClient:
      return control_from_client(*link->session, *message, text);
    case Kind::kIncoming:
      return control_from_server(now, *link, *message, text);
    case Kind::kNode:
    case Kind::kOutgoing:
      return control_from_node(now, *link, *message, text);
  }
}

/// One end's message for the other. What does not fit is lost: a flood must not bring the other's link to its limit.
void Shard::Impl::pass_on(Session& session, const ControlMessage& message, std::string_view text) {
  // The client's server knows what its session's peers say; another would only say it again.
  if (!session.foreign)
    output_.peer_message(*message.session, message.direction, std::get<PeerMessage>(message.payload));
  Link* to = message.direction == Direction::kToNode ? session.upstream : session.client;
  if (to != nullptr && output_.can_send(to->key))
    output_.send_text(to->key, text);
  else
    ++stats_.ignored_control;
}

bool Shard::Impl::is_for_node(const Session& session, const ControlMessage& message) {
  return std::holds_alternative<PeerMessage>(message.payload) && message.direction == Direction::kToNode &&
         session.channel != 0;
}

void Shard::Impl::control_from_client(Session& session, const ControlMessage& message, std::string_view text) {
  if (message.session != session.ticket.session) {
    ++stats_.ignored_control;
    return;
  }
  if (std::holds_alternative<SessionClose>(message.payload)) {
    end_session(session, CloseReason::kEnded, true);
  } else if (is_for_node(session, message)) {
    pass_on(session, message, text);
  } else {
    ++stats_.ignored_control;
  }
}

/// From the server of the clients.
void Shard::Impl::control_from_server(Now now, Link& link, const ControlMessage& message, std::string_view text) {
  if (std::holds_alternative<Drain>(message.payload)) return;  // its clients move by themselves
  if (const auto* open = std::get_if<SessionOpen>(&message.payload); open != nullptr && message.session)
    return open_foreign(now, link, *message.session, *open);
  Session* session = message.session ? find_session(*message.session) : nullptr;
  // A session whose client is somebody else's is as unknown as one that has ended.
  if (session == nullptr || session->client != &link) {
    ++stats_.ignored_control;
    return;
  }
  const auto* closed = std::get_if<SessionClose>(&message.payload);
  const auto* renewed = std::get_if<SessionRenew>(&message.payload);
  if (closed != nullptr && closed->channel == session->client_channel) {
    close_from_server(now, *session, closed->reason);
  } else if (renewed != nullptr && renewed->channel == session->client_channel) {
    set_foreign_expiry(now, *session, renewed->expires_at);
  } else if (std::holds_alternative<Throttle>(message.payload) ||
             std::holds_alternative<QueueReport>(message.payload)) {
    tell_upstream(*session, message.payload);
  } else if (is_for_node(*session, message)) {
    pass_on(*session, message, text);
  } else {
    ++stats_.ignored_control;
  }
}

/// One that goes another way may still come back this way, as a client whose link has ended.
void Shard::Impl::close_from_server(Now now, Session& session, CloseReason reason) {
  release_client_channel(session);
  if (reason == CloseReason::kMoved)
    detach(now, session);
  else
    end_session(session, reason, true);
}

/// From a node, or from the server where the node is.
void Shard::Impl::control_from_node(Now now, Link& link, const ControlMessage& message, std::string_view text) {
  const bool server = link.kind == Kind::kOutgoing;
  if (server && std::holds_alternative<Drain>(message.payload)) return;  // its nodes move by themselves
  Session* session = message.session ? find_session(*message.session) : nullptr;
  // A session of another link is as unknown as one that has ended.
  if (session == nullptr || session->upstream != &link || session->channel == 0) {
    ++stats_.ignored_control;
    return;
  }
  // What names an earlier channel of the session crossed with its re-opening.
  if (const auto* ready = std::get_if<SessionReady>(&message.payload)) {
    // A server says it again when it has opened the session again, at its node's next link.
    const bool awaited = session->state == State::kOpening || server;
    if (ready->channel == session->channel && awaited)
      become_ready(now, *session, ready->fresh);
    else
      ++stats_.ignored_control;
  } else if (const auto* refused = std::get_if<SessionRefused>(&message.payload)) {
    if (refused->channel != session->channel) {
      ++stats_.ignored_control;
      return;
    }
    const RefusalReason reason = refused->reason;
    tell_client(*session, SessionRefused{std::nullopt, reason});
    if (!session->foreign) output_.session_refused(*message.session, session->ticket.node, reason);
    end_session(*session, CloseReason::kRefused, false);
  } else if (const auto* closed = std::get_if<SessionClose>(&message.payload)) {
    if (closed->channel == session->channel)
      closed_by_node(*session, closed->reason, server);
    else
      ++stats_.ignored_control;
  } else if (std::holds_alternative<PeerMessage>(message.payload) && message.direction == Direction::kToClient) {
    pass_on(*session, message, text);
  } else if (!server || !told_by_server(now, *session, message.payload)) {
    ++stats_.ignored_control;
  }
}

void Shard::Impl::closed_by_node(Session& session, CloseReason reason, bool server) {
  const bool moved = reason == CloseReason::kMoved;
  if (moved && server) ++stats_.moved_sessions;
  end_session(session, moved && !server ? CloseReason::kEnded : reason, false);
}

/// What only the server where the node is has to say; false if it is nothing of that.
bool Shard::Impl::told_by_server(Now now, Session& session, const ControlPayload& payload) {
  if (std::holds_alternative<Throttle>(payload) || std::holds_alternative<QueueReport>(payload)) {
    tell_client(session, payload);
    return true;
  }
  const auto* error = std::get_if<ErrorNotice>(&payload);
  if (error == nullptr || error->code != kNodeOffline) return false;
  // That server opens it again if the node comes back there; meanwhile it may be found elsewhere.
  set_state(session, State::kOpening);
  tell_offline(session);
  look_up(now, *session.node);
  return true;
}

}  // namespace higgs::relay

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
  if (link->session != nullptr)
    control_from_client(*link->session, *message, text);
  else
    control_from_node(now, *link->node, *message, text);
}

/// One end's message for the other. What does not fit is lost: a flood must not bring the other's link to its limit.
void Shard::Impl::pass_on(Link* to, std::string_view text) {
  if (to != nullptr && output_.can_send(to->key))
    output_.send_text(to->key, text);
  else
    ++stats_.ignored_control;
}

void Shard::Impl::control_from_client(Session& session, const ControlMessage& message, std::string_view text) {
  if (message.session != session.ticket.session) {
    ++stats_.ignored_control;
    return;
  }
  if (std::holds_alternative<SessionClose>(message.payload)) {
    end_session(session, CloseReason::kEnded, true);
  } else if (const auto* peer = std::get_if<PeerMessage>(&message.payload);
             peer != nullptr && message.direction == Direction::kToNode && session.channel != 0) {
    output_.peer_message(*message.session, message.direction, *peer);
    pass_on(session.node->link, text);
  } else {
    ++stats_.ignored_control;
  }
}

void Shard::Impl::control_from_node(Now now, Node& node, const ControlMessage& message, std::string_view text) {
  Session* session = message.session ? find_session(*message.session) : nullptr;
  // A session of another node is as unknown as one that has ended.
  if (session == nullptr || session->node != &node || session->channel == 0) {
    ++stats_.ignored_control;
    return;
  }
  // What names an earlier channel of the session crossed with its re-opening.
  if (const auto* ready = std::get_if<SessionReady>(&message.payload)) {
    if (ready->channel == session->channel && session->state == State::kOpening)
      become_ready(now, *session, ready->fresh);
    else
      ++stats_.ignored_control;
  } else if (const auto* refused = std::get_if<SessionRefused>(&message.payload)) {
    if (refused->channel != session->channel) {
      ++stats_.ignored_control;
      return;
    }
    const RefusalReason reason = refused->reason;
    if (session->client != nullptr)
      send_control(*session->client, message.session, SessionRefused{std::nullopt, reason});
    output_.session_refused(*message.session, node.id, reason);
    end_session(*session, CloseReason::kRefused, false);
  } else if (const auto* closed = std::get_if<SessionClose>(&message.payload)) {
    if (closed->channel == session->channel)
      end_session(*session, closed->reason, false);
    else
      ++stats_.ignored_control;
  } else if (const auto* peer = std::get_if<PeerMessage>(&message.payload);
             peer != nullptr && message.direction == Direction::kToClient) {
    output_.peer_message(*message.session, message.direction, *peer);
    pass_on(session->client, text);
  } else {
    ++stats_.ignored_control;
  }
}

}  // namespace higgs::relay

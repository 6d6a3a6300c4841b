#include "relay/shard.h"

#include <utility>

#include "base/assert.h"
#include "relay/shard_impl.h"

namespace higgs::relay {

namespace {
// Text messages a link may send: far above what ICE and session control need, far below what costs the worker time.
constexpr double kControlPerSecond = 100;
constexpr double kClientControlBurst = 256;
constexpr double kNodeControlBurst = 1024;
}  // namespace

Shard::Impl::Impl(ShardLimits limits, ShardOutput& output)
    : limits_(limits), output_(output), queue_limits_{limits.queue_bytes, limits.queue_age} {
  HIGGS_ASSERT(limits.hold_bytes >= kMaxMessageBytes);
  context_.memory = MemoryBudget(limits.memory_bytes);
}

// --- links -------------------------------------------------------------------------------------------------------

Shard::Impl::Link* Shard::Impl::find_link(LinkKey key) {
  const auto found = links_.find(key);
  return found == links_.end() ? nullptr : found->second.get();
}

Shard::Impl::Link& Shard::Impl::make_link(Now now, LinkKey key, double control_burst) {
  auto link = std::make_unique<Link>(now.monotonic, key, queue_limits_, context_,
                                     TokenBucket(now.monotonic, kControlPerSecond, control_burst));
  Link& made = *link;
  links_[key] = std::move(link);
  arm(made);
  return made;
}

void Shard::Impl::forget_link(Link& link) {
  if (link.node != nullptr) --stats_.node_links;
  if (link.session != nullptr) --stats_.client_links;
  link_timers_.cancel(link.key, link.timer);
  links_.erase(link.key);
}

void Shard::Impl::close_link(Link& link, CloseCode code, std::string_view reason) {
  output_.close(link.key, code, reason);
  forget_link(link);
}

/// The link is gone or given up: what depended on it is told. Ends with the link forgotten.
void Shard::Impl::lose_link(Now now, Link& link) {
  Node* node = link.node;
  Session* session = link.session;
  forget_link(link);
  if (node != nullptr) {
    node->link = nullptr;
    node_lost(now, *node);
  } else if (session != nullptr) {
    detach(now, *session);
  }
}

void Shard::Impl::close_malformed(Now now, Link& link, std::string_view reason) {
  ++stats_.malformed;
  output_.close(link.key, CloseCode::kMalformed, reason);
  lose_link(now, link);
}

void Shard::Impl::add_node_link(Now now, LinkKey key, NodeId id, std::int64_t iat) {
  Node& node = node_of(id);
  if (node.link != nullptr && iat < node.iat) {
    output_.close(key, CloseCode::kReplaced, "a newer link stands");
    return;
  }
  if (node.link != nullptr) {
    ++stats_.replaced;
    close_link(*node.link, CloseCode::kReplaced, "replaced");
  }
  Link& link = make_link(now, key, kNodeControlBurst);
  link.node = &node;
  ++stats_.node_links;
  node.link = &link;
  node.iat = iat;
  node.last_channel = 0;
  node.channels.clear();
  node.to_open.clear();
  output_.node_up(id, iat);
  for (Session* session : node.sessions) {
    session->channel = 0;
    session->in_to_open = session->client != nullptr;
    set_state(*session, State::kWaiting);
    if (session->in_to_open) node.to_open.push_back(session->ticket.session);
  }
  open_waiting(now, node);
}

void Shard::Impl::add_client_link(Now now, LinkKey key, const SessionTicket& ticket, std::int64_t iat) {
  Session* session = find_session(ticket.session);
  if (session != nullptr && (iat < session->iat || session->ticket.node != ticket.node)) {
    output_.close(key, CloseCode::kReplaced, "a newer link stands");
    return;
  }
  const bool opened = session == nullptr;
  if (opened) {
    auto made = std::make_unique<Session>(ticket, context_);
    session = made.get();
    session->node = &node_of(ticket.node);
    session->node->sessions.insert(session);
    sessions_[ticket.session] = std::move(made);
  } else if (session->client != nullptr) {
    ++stats_.replaced;
    close_link(*std::exchange(session->client, nullptr), CloseCode::kReplaced, "replaced");
  }
  session->ticket = ticket;
  session->iat = iat;
  set_rate(now, *session);
  if (opened)
    output_.session_opened(ticket, iat, session->traffic);
  else
    output_.session_iat(ticket.session, iat);
  attach(now, *session, make_link(now, key, kClientControlBurst));
}

void Shard::Impl::on_closed(Now now, LinkKey key) {
  if (Link* link = find_link(key)) lose_link(now, *link);
}

void Shard::Impl::on_alive(Now now, LinkKey key) {
  if (Link* link = find_link(key)) link->liveness.on_received(now.monotonic);
}

void Shard::Impl::send_control(Link& link, const std::optional<SessionId>& session, ControlPayload payload) {
  const Direction direction = link.node != nullptr ? Direction::kToNode : Direction::kToClient;
  output_.send_text(link.key, encode_control({session, direction, std::move(payload)}));
}

// --- nodes -------------------------------------------------------------------------------------------------------

Shard::Impl::Node& Shard::Impl::node_of(NodeId id) {
  auto& node = nodes_[id];
  if (!node) {
    node = std::make_unique<Node>();
    node->id = id;
  }
  return *node;
}

void Shard::Impl::forget_node_if_unused(Node& node) {
  if (node.link == nullptr && node.sessions.empty()) nodes_.erase(NodeId(node.id));
}

void Shard::Impl::node_lost(Now now, Node& node) {
  node.channels.clear();
  node.to_open.clear();
  for (Session* session : node.sessions) {
    session->channel = 0;
    session->in_to_open = false;
    set_state(*session, State::kWaiting);
    if (session->client != nullptr) want_open(now, *session);
  }
  output_.node_down(node.id);
  forget_node_if_unused(node);
}

void Shard::Impl::close_node(Now now, NodeId id, CloseReason reason) {
  const auto found = nodes_.find(id);
  if (found == nodes_.end()) return;
  Node& node = *found->second;
  const std::vector<Session*> sessions(node.sessions.begin(), node.sessions.end());
  Link* link = node.link;
  // Ending the last session of a node without a link forgets the node: it is not touched after that.
  for (Session* session : sessions) end_session(*session, reason, true);
  if (link == nullptr) return;
  output_.close(link->key, CloseCode::kNotAuthorised, to_string(reason));
  lose_link(now, *link);
}

// --- time --------------------------------------------------------------------------------------------------------

void Shard::Impl::arm(Link& link) { link_timers_.set_no_later_than(link.key, link.timer, link.liveness.deadline()); }

void Shard::Impl::link_timeout(Now now, LinkKey key) {
  Link* link = find_link(key);
  if (link == nullptr) return;
  link->timer.reset();
  switch (link->liveness.handle_timeout(now.monotonic)) {
    case Liveness::Action::kPing:
      output_.send_ping(key);
      break;
    case Liveness::Action::kDead:
      ++stats_.unresponsive;
      output_.close(key, CloseCode::kTryAgainLater, "no answer");
      lose_link(now, *link);
      return;
    case Liveness::Action::kNone:
      break;
  }
  arm(*link);
}

std::optional<Instant> Shard::Impl::poll_timeout() const {
  std::optional<Instant> earliest;
  for (const auto& candidate : {link_timers_.next(), session_timers_.next(), report_at_, drain_until_})
    if (candidate && (!earliest || *candidate < *earliest)) earliest = candidate;
  return earliest;
}

void Shard::Impl::handle_timeout(Now now) {
  while (const auto key = link_timers_.pop_due(now.monotonic)) link_timeout(now, *key);
  while (const auto id = session_timers_.pop_due(now.monotonic)) session_timeout(now, *id);
  if (report_at_ && *report_at_ <= now.monotonic) send_reports(now);
  if (drain_until_ && *drain_until_ <= now.monotonic) shut_down(now);
}

void Shard::Impl::drain(Now now, std::chrono::seconds deadline, const std::vector<std::string>& servers) {
  drain_until_ = now.monotonic + deadline;
  const Drain notice{static_cast<std::uint32_t>(deadline.count()), servers};
  for (const auto& [key, link] : links_) send_control(*link, std::nullopt, notice);
}

void Shard::Impl::shut_down(Now now) {
  drain_until_.reset();
  while (!links_.empty()) {
    Link& link = *links_.begin()->second;
    output_.close(link.key, CloseCode::kGoingAway, "going away");
    lose_link(now, link);
  }
  while (!sessions_.empty()) end_session(*sessions_.begin()->second, CloseReason::kClientGone, false);
}

ShardStats Shard::Impl::stats() const {
  ShardStats stats = stats_;
  stats.sessions = sessions_.size();
  stats.queued_bytes = context_.memory.used();
  stats.drops = context_.drops;
  stats.delay = context_.delay;
  return stats;
}

// --- the outside -------------------------------------------------------------------------------------------------

Shard::Shard(ShardLimits limits, ShardOutput& output) : impl_(std::make_unique<Impl>(limits, output)) {}
Shard::~Shard() = default;
void Shard::add_node_link(Now now, LinkKey link, NodeId node, std::int64_t iat) {
  impl_->add_node_link(now, link, node, iat);
}
void Shard::add_client_link(Now now, LinkKey link, const SessionTicket& ticket, std::int64_t iat) {
  impl_->add_client_link(now, link, ticket, iat);
}
void Shard::on_closed(Now now, LinkKey link) { impl_->on_closed(now, link); }
void Shard::on_binary(Now now, LinkKey link, MutableBytes message) { impl_->on_binary(now, link, message); }
void Shard::on_text(Now now, LinkKey link, std::string_view text) { impl_->on_text(now, link, text); }
void Shard::on_alive(Now now, LinkKey link) { impl_->on_alive(now, link); }
void Shard::on_writable(Now now, LinkKey link) { impl_->on_writable(now, link); }
void Shard::close_session(SessionId id, CloseReason reason) { impl_->close_session(id, reason); }
void Shard::close_node(Now now, NodeId id, CloseReason reason) { impl_->close_node(now, id, reason); }
void Shard::renew_session(Now now, SessionId id, WallTime expires_at) { impl_->renew_session(now, id, expires_at); }
void Shard::drain(Now now, std::chrono::seconds deadline, const std::vector<std::string>& servers) {
  impl_->drain(now, deadline, servers);
}
void Shard::shut_down(Now now) { impl_->shut_down(now); }
std::optional<Instant> Shard::poll_timeout() const { return impl_->poll_timeout(); }
void Shard::handle_timeout(Now now) { impl_->handle_timeout(now); }
ShardStats Shard::stats() const { return impl_->stats(); }

}  // namespace higgs::relay

#include "relay/shard.h"

#include <utility>

#include "base/assert.h"
#include "relay/shard_impl.h"

namespace higgs::relay {

namespace {
// Text messages a link may send: far above what ICE and session control need, far below what costs the worker time.
struct ControlBudget {
  double per_second, burst;
};
constexpr ControlBudget kClientControl{100, 256};
constexpr ControlBudget kNodeControl{100, 1024};
/// Thousands of sessions, each within its own client's or node's budget; a failover opens all of them at once.
constexpr ControlBudget kServerControl{20'000, 65'536};
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

Shard::Impl::Link& Shard::Impl::make_link(Now now, LinkKey key, Kind kind) {
  const ControlBudget budget = kind == Kind::kClient ? kClientControl
                               : kind == Kind::kNode ? kNodeControl
                                                     : kServerControl;
  auto link = std::make_unique<Link>(now.monotonic, key, kind, queue_limits_, context_,
                                     TokenBucket(now.monotonic, budget.per_second, budget.burst));
  if (kind != Kind::kClient) link->carrier = std::make_unique<Carrier>();
  Link& made = *link;
  links_[key] = std::move(link);
  arm(made);
  return made;
}

void Shard::Impl::forget_link(Link& link) {
  if (link.between_servers()) {
    --stats_.server_links;
    stats_.cascaded_sessions -= link.carrier->channels.size();
  } else {
    --(link.kind == Kind::kNode ? stats_.node_links : stats_.client_links);
  }
  link_timers_.cancel(link.key, link.timer);
  links_.erase(link.key);
}

void Shard::Impl::close_link(Link& link, CloseCode code, std::string_view reason) {
  output_.close(link.key, code, reason);
  forget_link(link);
}

/// The link is gone or given up: what depended on it is told. Ends with the link forgotten.
void Shard::Impl::lose_link(Now now, Link& link) {
  switch (link.kind) {
    case Kind::kNode:
      return node_lost(now, link);
    case Kind::kOutgoing:
      return outgoing_lost(now, link);
    case Kind::kIncoming:
      return incoming_lost(now, link);
    case Kind::kClient:
      break;
  }
  Session& session = *link.session;
  forget_link(link);
  detach(now, session);
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
  for (Session* session : node.sessions) {
    leave_upstream(*session);
    join(*session, nullptr);
    set_state(*session, State::kWaiting);
  }
  if (node.link != nullptr) {
    ++stats_.replaced;
    close_link(*node.link, CloseCode::kReplaced, "replaced");
  }
  Link& link = make_link(now, key, Kind::kNode);
  link.node = &node;
  ++stats_.node_links;
  node.link = &link;
  node.iat = iat;
  node.server.reset();
  stop_asking(node);
  output_.node_up(id, iat);
  for (Session* session : node.sessions) {
    if (session->client == nullptr) continue;
    session->upstream = &link;
    session->in_to_open = true;
    link.carrier->to_open.push_back(session->ticket.session);
  }
  open_waiting(now, link);
}

void Shard::Impl::add_client_link(Now now, LinkKey key, const SessionTicket& ticket, std::int64_t iat) {
  Session* session = find_session(ticket.session);
  if (session != nullptr && (iat < session->iat || session->ticket.node != ticket.node)) {
    output_.close(key, CloseCode::kReplaced, "a newer link stands");
    return;
  }
  const bool opened = session == nullptr || session->foreign;
  if (session == nullptr) session = &make_session(ticket, false);
  Link& link = make_link(now, key, Kind::kClient);
  ++stats_.client_links;
  link.session = session;
  replace_client(*session, link);
  set_foreign(*session, false);
  session->ticket = ticket;
  session->iat = iat;
  session->client_since = now.monotonic;
  set_rate(now, *session);
  if (opened)
    output_.session_opened(ticket, iat, session->traffic);
  else
    output_.session_iat(ticket.session, iat);
  attach(now, *session, link, 0);
}

void Shard::Impl::on_closed(Now now, LinkKey key) {
  if (Link* link = find_link(key)) lose_link(now, *link);
}

void Shard::Impl::on_alive(Now now, LinkKey key) {
  if (Link* link = find_link(key)) link->liveness.on_received(now.monotonic);
}

void Shard::Impl::send_control(Link& link, const std::optional<SessionId>& session, ControlPayload payload) {
  const Direction direction = link.towards_node() ? Direction::kToNode : Direction::kToClient;
  output_.send_text(link.key, encode_control({session, direction, std::move(payload)}));
}

// --- nodes -------------------------------------------------------------------------------------------------------

Shard::Impl::Node& Shard::Impl::node_of(NodeId id) {
  auto& node = nodes_[id];
  if (!node) {
    node = std::make_unique<Node>();
    node->id = id;
    stop_asking(*node);
  }
  return *node;
}

void Shard::Impl::forget_node_if_unused(Node& node) {
  if (node.link != nullptr || !node.sessions.empty()) return;
  node_timers_.cancel(node.id, node.timer);
  nodes_.erase(NodeId(node.id));
}

void Shard::Impl::node_lost(Now now, Link& link) {
  Node& node = *link.node;
  for (Session* session : node.sessions) {
    leave_upstream(*session);
    set_state(*session, State::kWaiting);
  }
  node.link = nullptr;
  forget_link(link);
  for (Session* session : node.sessions)
    if (session->client != nullptr) want_open(now, *session);
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
  if (link->kind == Kind::kOutgoing && is_idle(now, *link->cascade)) {
    output_.close(key, CloseCode::kNormal, "no session needs it");
    lose_link(now, *link);
    return;
  }
  arm(*link);
}

std::optional<Instant> Shard::Impl::poll_timeout() const {
  std::optional<Instant> earliest;
  for (const auto& candidate : {link_timers_.next(), session_timers_.next(), node_timers_.next(),
                                cascade_timers_.next(), report_at_, drain_until_})
    if (candidate && (!earliest || *candidate < *earliest)) earliest = candidate;
  return earliest;
}

void Shard::Impl::handle_timeout(Now now) {
  while (const auto key = link_timers_.pop_due(now.monotonic)) link_timeout(now, *key);
  while (const auto id = session_timers_.pop_due(now.monotonic)) session_timeout(now, *id);
  while (const auto id = node_timers_.pop_due(now.monotonic)) node_timeout(now, *id);
  while (const auto cascade = cascade_timers_.pop_due(now.monotonic)) cascade_timeout(now, *cascade);
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
  ending_ = true;
  while (!links_.empty()) {
    Link& link = *links_.begin()->second;
    output_.close(link.key, CloseCode::kGoingAway, "going away");
    lose_link(now, link);
  }
  while (!sessions_.empty()) end_session(*sessions_.begin()->second, CloseReason::kClientGone, false);
}

bool Shard::Impl::serves(SessionId id) const {
  const auto found = sessions_.find(id);
  return found != sessions_.end() && !found->second->foreign;
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
void Shard::add_server_link(Now now, LinkKey link, const ServerLink& server) {
  impl_->add_server_link(now, link, server);
}
void Shard::server_link_failed(Now now, ServerId server, unsigned worker) {
  impl_->server_link_failed(now, server, worker);
}
void Shard::set_node_server(Now now, NodeId node, const std::optional<ServerRef>& server) {
  impl_->set_node_server(now, node, server);
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
bool Shard::serves(SessionId session) const { return impl_->serves(session); }
ShardStats Shard::stats() const { return impl_->stats(); }

}  // namespace higgs::relay

#include <algorithm>
#include <utility>

#include "relay/shard_impl.h"

namespace higgs::relay {

namespace {
using std::chrono::milliseconds;

/// A node that was not found is asked for again after this long, then after twice as long each time.
constexpr milliseconds kAskAgain{500}, kAskAgainAtMost{8000};
/// Likewise a link that could not be had, or was lost before it had stood for kGoodLink.
constexpr milliseconds kRetry{250}, kRetryAtMost{8000};
constexpr std::chrono::seconds kGoodLink{5};
/// An outgoing link that no session needs is kept this long.
constexpr std::chrono::seconds kIdleLink{60};
/// The client's server ends a session that has expired; this one does if that one has not.
constexpr std::chrono::seconds kExpirySlack{60};
/// What a session-open from another server must say: it has taken one link so far, and takes no other.
constexpr unsigned kHopsHere = 1;
}  // namespace

// --- links between servers ---------------------------------------------------------------------------------------

void Shard::Impl::add_server_link(Now now, LinkKey key, const ServerLink& server) {
  const CascadeKey peer{server.peer, server.peer_worker};
  Cascade* cascade = server.direction == ServerLinkDirection::kOutgoing ? &cascade_to(peer) : nullptr;
  // An answer, also where nobody asked: nothing is asked for while this link takes another's place.
  if (cascade != nullptr) cascade->asked = true;
  const auto found = incoming_.find(peer);
  Link* standing = cascade != nullptr ? cascade->link : found != incoming_.end() ? found->second : nullptr;

  if (standing != nullptr && server.iat < standing->carrier->server.iat) {
    output_.close(key, CloseCode::kReplaced, "a newer link stands");
    if (cascade != nullptr) cascade->asked = false;
    return;
  }
  if (ending_ || (standing == nullptr && stats_.server_links >= limits_.server_links)) {
    ++stats_.refused_server_links;
    output_.close(key, ending_ ? CloseCode::kGoingAway : CloseCode::kTryAgainLater, "no more links between servers");
    if (cascade != nullptr) server_link_failed(now, server.peer, server.peer_worker);
    return;
  }
  if (standing != nullptr) {
    ++stats_.replaced;
    output_.close(standing->key, CloseCode::kReplaced, "replaced");
    lose_link(now, *standing);
  }
  Link& link = make_link(now, key, cascade != nullptr ? Kind::kOutgoing : Kind::kIncoming);
  link.carrier->server = server;
  ++stats_.server_links;
  output_.server_link_up(server);
  if (cascade != nullptr)
    use(now, *cascade, link);
  else
    incoming_[peer] = &link;
}

void Shard::Impl::use(Now now, Cascade& cascade, Link& link) {
  link.cascade = &cascade;
  cascade.link = &link;
  cascade.asked = false;
  cascade.link_since = now.monotonic;
  cascade.idle_since.reset();
  cascade_timers_.cancel(cascade.key, cascade.timer);
  for (Session* session : cascade.sessions) {
    if (session->client == nullptr) continue;
    session->upstream = &link;
    session->in_to_open = true;
    link.carrier->to_open.push_back(session->ticket.session);
  }
  open_waiting(now, link);
}

/// Its sessions wait for the next link, or for word that their node is somewhere else.
void Shard::Impl::outgoing_lost(Now now, Link& link) {
  Cascade& cascade = *link.cascade;
  const ServerLink server = link.carrier->server;
  for (Session* session : cascade.sessions) {
    session->upstream = nullptr;
    session->channel = 0;
    session->in_to_open = false;
    set_state(*session, State::kWaiting);
  }
  cascade.link = nullptr;
  forget_link(link);
  output_.server_link_down(server);
  if (now.monotonic - cascade.link_since >= kGoodLink)
    cascade.retry_after = kRetry;
  else
    retry_later(now, cascade);
  for (Session* session : cascade.sessions)
    if (session->client != nullptr) look_up(now, *session->node);
  if (!cascade.sessions.empty()) want_link(now, cascade);
  forget_cascade_if_unused(cascade);
}

/// Its sessions have the grace time, as if each client's own link had ended.
void Shard::Impl::incoming_lost(Now now, Link& link) {
  const ServerLink server = link.carrier->server;
  for (const auto& [channel, session] : link.carrier->channels) detach(now, *session);
  incoming_.erase({server.peer, server.peer_worker});
  forget_link(link);
  output_.server_link_down(server);
}

// --- the way to another server -----------------------------------------------------------------------------------

Shard::Impl::Cascade& Shard::Impl::cascade_to(const CascadeKey& key) {
  auto& cascade = cascades_[key];
  if (!cascade) {
    cascade = std::make_unique<Cascade>();
    cascade->key = key;
    cascade->retry_after = kRetry;
  }
  return *cascade;
}

void Shard::Impl::join(Session& session, Cascade* cascade) {
  Cascade* old = std::exchange(session.cascade, cascade);
  if (old == cascade) return;
  if (cascade != nullptr) {
    cascade->sessions.insert(&session);
    cascade->idle_since.reset();
  }
  if (old != nullptr) {
    old->sessions.erase(&session);
    forget_cascade_if_unused(*old);
  }
}

void Shard::Impl::forget_cascade_if_unused(Cascade& cascade) {
  if (cascade.link != nullptr || cascade.asked || !cascade.sessions.empty()) return;
  cascade_timers_.cancel(cascade.key, cascade.timer);
  cascades_.erase(CascadeKey(cascade.key));
}

void Shard::Impl::want_link(Now now, Cascade& cascade) {
  if (ending_ || cascade.link != nullptr || cascade.asked || cascade.timer) return;
  if (stats_.server_links >= limits_.server_links) {
    ++stats_.refused_server_links;
    return retry_later(now, cascade);
  }
  cascade.asked = true;
  output_.server_link_wanted(cascade.key.first, cascade.key.second);
}

void Shard::Impl::retry_later(Now now, Cascade& cascade) {
  cascade_timers_.set(cascade.key, cascade.timer, now.monotonic + cascade.retry_after);
  cascade.retry_after = std::min(2 * cascade.retry_after, kRetryAtMost);
}

void Shard::Impl::cascade_timeout(Now now, const CascadeKey& key) {
  const auto found = cascades_.find(key);
  if (found == cascades_.end()) return;
  found->second->timer.reset();
  want_link(now, *found->second);
}

void Shard::Impl::server_link_failed(Now now, ServerId server, unsigned worker) {
  const auto found = cascades_.find({server, worker});
  if (found == cascades_.end() || !found->second->asked) return;
  Cascade& cascade = *found->second;
  cascade.asked = false;
  retry_later(now, cascade);
  for (Session* session : cascade.sessions) {
    if (session->client == nullptr) continue;
    tell_offline(*session);
    look_up(now, *session->node);
  }
  forget_cascade_if_unused(cascade);
}

bool Shard::Impl::is_idle(Now now, Cascade& cascade) {
  if (!cascade.sessions.empty()) return false;
  if (!cascade.idle_since) cascade.idle_since = now.monotonic;
  return now.monotonic - *cascade.idle_since >= kIdleLink;
}

// --- where nodes are ---------------------------------------------------------------------------------------------

void Shard::Impl::look_up(Now now, Node& node) {
  if (ending_ || node.timer) return;
  output_.node_wanted(node.id);
  node_timers_.set(node.id, node.timer, now.monotonic + node.ask_after);
  node.ask_after = std::min(2 * node.ask_after, kAskAgainAtMost);
}

/// Nobody waits for it: when it is lost it may be asked for at once.
void Shard::Impl::stop_asking(Node& node) {
  node_timers_.cancel(node.id, node.timer);
  node.ask_after = kAskAgain;
}

/// It serves a session again: the others need not wait as long as for one that is lost.
void Shard::Impl::ask_soon(Now now, Node& node) {
  node.ask_after = kAskAgain;
  if (node.timer) node_timers_.set_no_later_than(node.id, node.timer, now.monotonic + kAskAgain);
}

void Shard::Impl::node_timeout(Now now, NodeId id) {
  const auto found = nodes_.find(id);
  if (found == nodes_.end()) return;
  Node& node = *found->second;
  node.timer.reset();
  const bool needed = std::any_of(node.sessions.begin(), node.sessions.end(), [](const Session* session) {
    return session->client != nullptr && !session->foreign && session->state != State::kReady;
  });
  if (needed && node.link == nullptr)
    look_up(now, node);
  else
    stop_asking(node);
}

void Shard::Impl::set_node_server(Now now, NodeId id, std::optional<ServerRef> server) {
  const auto found = nodes_.find(id);
  if (found == nodes_.end()) return;
  Node& node = *found->second;
  if (server && server->workers == 0) server.reset();
  // What works is not given up because nobody knows of it: a cache that was emptied knows of nothing.
  const auto works = [](const Session* session) {
    return session->cascade != nullptr && session->state == State::kReady;
  };
  if (!server && std::any_of(node.sessions.begin(), node.sessions.end(), works)) return;
  node.server = server;
  if (node.link != nullptr) return;
  for (Session* session : node.sessions) {
    if (session->client == nullptr || session->foreign) continue;
    const Cascade* cascade = session->cascade;
    const bool right_way =
        server ? cascade != nullptr && cascade->key == CascadeKey{server->server, worker_of(id, server->workers)}
               : cascade == nullptr || session->channel != 0;
    if (!right_way) want_open(now, *session);
  }
}

// --- sessions of other servers' clients --------------------------------------------------------------------------

void Shard::Impl::refuse_foreign(Link& link, SessionId id, Channel channel, RefusalReason reason) {
  ++stats_.refused_cascades;
  send_control(link, id, SessionRefused{channel, reason});
}

void Shard::Impl::set_foreign_expiry(Now now, Session& session, std::int64_t expires_at) {
  session.ticket.expires_at = from_unix_seconds(expires_at) + kExpirySlack;
  arm(now, session);
}

void Shard::Impl::open_foreign(Now now, Link& link, SessionId id, const SessionOpen& open) {
  if (open.channel <= link.carrier->last_channel) return close_malformed(now, link, "a channel is used again");
  link.carrier->last_channel = open.channel;
  if (open.hops != kHopsHere) return refuse_foreign(link, id, open.channel, RefusalReason::kTooManyHops);
  if (!open.cascade) return refuse_foreign(link, id, open.channel, RefusalReason::kPolicy);
  const auto& [node, issued_at, expires_at, new_link] = *open.cascade;

  Session* session = find_session(id);
  if (session != nullptr && session->ticket.node != node)
    return refuse_foreign(link, id, open.channel, RefusalReason::kPolicy);
  if (session != nullptr) {
    // Equal claims: the later arrival of the client wins. A server that only opens again what it has had may have been
    // away while the client went to another.
    const Link* standing = session->client;
    const bool another = standing != nullptr && (standing->kind == Kind::kClient ||
                                                 standing->carrier->server.peer != link.carrier->server.peer);
    if (issued_at < session->iat || (issued_at == session->iat && another && !new_link)) {
      ++stats_.refused_cascades;
      return send_control(link, id, SessionClose{open.channel, CloseReason::kMoved});
    }
  }
  const bool re_opened = session != nullptr && session->client == &link;
  if (!re_opened && link.carrier->channels.size() >= limits_.link_sessions)
    return refuse_foreign(link, id, open.channel, RefusalReason::kFull);

  const SessionTicket ticket{id,
                             node,
                             open.wireguard_public_key,
                             open.addresses,
                             open.rate_limit_mbps,
                             nullptr,
                             from_unix_seconds(expires_at) + kExpirySlack,
                             open.trace};
  if (session == nullptr) session = &make_session(ticket, true);
  replace_client(*session, link);
  set_foreign(*session, true);
  session->ticket = ticket;
  session->iat = issued_at;
  set_rate(now, *session);
  open_channel(link, open.channel, *session);
  attach(now, *session, link, open.channel);
}

}  // namespace higgs::relay

#include "sim/relay_world.h"

#include <algorithm>

#include "sim/relay_world_server.h"

namespace higgs::sim {

namespace {
using relay::LinkKey;

constexpr std::chrono::milliseconds kStep{1};
/// Messages that the socket of a paused server takes before the other end's fills.
constexpr std::size_t kPausedBuffer = 64;
}  // namespace

RelayWorld::RelayWorld(const Options& options) : random_(options.seed), options_(options) {
  for (unsigned number = 0; number < options.servers; ++number)
    servers_.push_back(std::make_unique<Server>(*this, number));
}
RelayWorld::~RelayWorld() = default;

std::chrono::nanoseconds RelayWorld::delay() {
  return std::chrono::microseconds(random_() % static_cast<std::uint64_t>(options_.max_delay.count() + 1));
}

// --- what happens ------------------------------------------------------------------------------------------------

LinkKey RelayWorld::make_link(Far far, unsigned server, unsigned owner, double mbps) {
  const LinkKey key = ++last_key_;
  Link& link = links_[key];
  link.far = far;
  link.server = server;
  link.owner = owner;
  link.bytes_per_ms = mbps * 125;
  return key;
}

void RelayWorld::connect_node(unsigned number, double mbps, unsigned server) {
  Node& node = nodes_[number];
  if (node.server != server) random_() % 2 == 0 ? vanish_node(number) : disconnect_node(number);
  node.server = server;
  node.link = make_link(Far::kNode, server, number, mbps);
  node.channels.clear();
  node.last_channel = 0;
  servers_[server]->shard->add_node_link(now_, node.link, id_of<NodeId>(number), unix_seconds(now_.wall));
}

void RelayWorld::connect_client(unsigned number, unsigned node, double mbps, unsigned server) {
  Session& session = sessions_[number];
  if (session.server != server) random_() % 2 == 0 ? vanish_client(number) : disconnect_client(number);
  session.node = node;
  session.server = server;
  session.ready = session.closed = false;
  session.link = make_link(Far::kClient, server, number, mbps);
  relay::SessionTicket ticket;
  ticket.session = id_of<SessionId>(number);
  ticket.node = id_of<NodeId>(node);
  ticket.expires_at = now_.wall + std::chrono::hours(10);
  servers_[server]->shard->add_client_link(now_, session.link, ticket, token_iat_);
}

void RelayWorld::disconnect_node(unsigned number) {
  end_connection(std::exchange(nodes_[number].link, 0));
  nodes_[number].channels.clear();
}
void RelayWorld::disconnect_client(unsigned number) {
  end_connection(std::exchange(sessions_[number].link, 0));
  sessions_[number].ready = false;
}
void RelayWorld::vanish_node(unsigned number) {
  const auto link = links_.find(std::exchange(nodes_[number].link, 0));
  if (link != links_.end()) link->second.far_end_gone = true;
  nodes_[number].channels.clear();
}
void RelayWorld::vanish_client(unsigned number) {
  const auto link = links_.find(std::exchange(sessions_[number].link, 0));
  if (link != links_.end()) link->second.far_end_gone = true;
  sessions_[number].ready = false;
}
void RelayWorld::restart_node(unsigned number) { nodes_[number].peers.clear(); }

void RelayWorld::run(std::chrono::nanoseconds time) {
  for (const Instant end = now_.monotonic + time; now_.monotonic < end;) step();
}

// --- links -------------------------------------------------------------------------------------------------------

void RelayWorld::upward(LinkKey key, Message::Kind kind, Bytes bytes) {
  const auto found = links_.find(key);
  if (found == links_.end()) return;
  Link& link = found->second;
  link.last_due_up = std::max(link.last_due_up, now_.monotonic + delay());
  link.upward.push_back({kind, std::move(bytes), link.last_due_up});
}

/// A connection ends: the server of this end hears of it at once unless it is paused, the far end a moment later.
void RelayWorld::end_connection(LinkKey key) {
  const auto found = links_.find(key);
  if (found == links_.end()) return;
  const Link& link = found->second;
  if (link.far == Far::kServer) {
    upward(link.other, Message::Kind::kClose, {});
  } else if (link.far == Far::kNode && nodes_[link.owner].link == key) {
    nodes_[link.owner].link = 0;
    nodes_[link.owner].channels.clear();
  } else if (link.far == Far::kClient && sessions_[link.owner].link == key) {
    sessions_[link.owner].link = 0;
    sessions_[link.owner].ready = false;
  }
  if (paused(link.server)) return upward(key, Message::Kind::kClose, {});
  const unsigned server = link.server;
  links_.erase(found);
  servers_[server]->shard->on_closed(now_, key);
}

void RelayWorld::enqueue(LinkKey key, Message::Kind kind, Bytes bytes) {
  const auto found = links_.find(key);
  if (found == links_.end() || found->second.closed_by_server) {
    violation("something was sent on a link that is closed");
    return;
  }
  found->second.unsent_bytes += bytes.size();
  found->second.unsent.push_back({kind, std::move(bytes), {}});
}

void RelayWorld::step() {
  now_ = {now_.monotonic + kStep, now_.wall + kStep};
  happen();
  std::size_t queued = 0;
  for (const auto& server : servers_) {
    if (server->paused) continue;
    while (const auto next = server->shard->poll_timeout()) {
      if (*next > now_.monotonic) break;
      server->shard->handle_timeout(now_);
    }
    queued = std::max(queued, server->shard->stats().queued_bytes);
  }
  largest_queue_bytes_ = std::max(largest_queue_bytes_, queued);
  std::vector<LinkKey> keys;
  for (const auto& [key, link] : links_) keys.push_back(key);
  std::shuffle(keys.begin(), keys.end(), random_);
  for (const LinkKey key : keys) move(key);
}

void RelayWorld::move(LinkKey key) {
  const auto found = links_.find(key);
  if (found == links_.end() || !take_upward(key, found->second)) return;
  Link& link = found->second;
  if (!stalled(link)) send_down_the_line(key, link);
  while (!link.flying.empty() && link.flying.front().due <= now_.monotonic && !stalled(link)) {
    Message message = std::move(link.flying.front());
    link.flying.pop_front();
    const bool close = message.kind == Message::Kind::kClose;
    if (!link.far_end_gone) arrive(key, std::move(message));
    if (close) {
      links_.erase(key);
      return;
    }
  }
  if (link.far_end_gone && link.closed_by_server) links_.erase(key);
}

/// What has come for the server; false if the link ended.
bool RelayWorld::take_upward(LinkKey key, Link& link) {
  Server& server = *servers_[link.server];
  while (!server.paused && !link.closed_by_server && !link.upward.empty() &&
         link.upward.front().due <= now_.monotonic) {
    Message message = std::move(link.upward.front());
    link.upward.pop_front();
    switch (message.kind) {
      case Message::Kind::kText:
        server.shard->on_text(now_, key, as_text(message.bytes));
        break;
      case Message::Kind::kPing:
        enqueue(key, Message::Kind::kPong, {});
        break;
      case Message::Kind::kPong:
        server.shard->on_alive(now_, key);
        break;
      case Message::Kind::kBinary:
        server.shard->on_binary(now_, key, message.bytes);
        break;
      case Message::Kind::kClose:
        links_.erase(key);
        server.shard->on_closed(now_, key);
        return false;
    }
  }
  return true;
}

/// Nothing leaves the socket.
bool RelayWorld::stalled(const Link& link) const {
  // A vanished far end acknowledges nothing: its buffer fills and stays full.
  if (link.far != Far::kServer) return link.far_end_gone;
  if (are_cut(link.server, link.owner)) return true;
  const auto other = links_.find(link.other);
  return other != links_.end() && paused(link.owner) && other->second.upward.size() >= kPausedBuffer;
}

void RelayWorld::send_down_the_line(LinkKey key, Link& link) {
  link.credit = std::min(link.credit + link.bytes_per_ms, link.bytes_per_ms + relay::kMaxMessageBytes);
  while (!link.unsent.empty() && link.credit >= static_cast<double>(link.unsent.front().bytes.size())) {
    Message message = std::move(link.unsent.front());
    link.unsent.pop_front();
    link.credit -= static_cast<double>(message.bytes.size());
    link.unsent_bytes -= message.bytes.size();
    link.last_due_down = std::max(link.last_due_down, now_.monotonic + delay());
    message.due = link.last_due_down;
    link.flying.push_back(std::move(message));
  }
  if (link.was_full && !paused(link.server) && can_send(key)) {
    link.was_full = false;
    servers_[link.server]->shard->on_writable(now_, key);
  }
}

bool RelayWorld::can_send(LinkKey key) {
  const auto found = links_.find(key);
  if (found == links_.end() || found->second.closed_by_server) return false;
  if (found->second.unsent_bytes < quantum(key)) return true;
  found->second.was_full = true;
  return false;
}
std::size_t RelayWorld::quantum(LinkKey key) {
  return relay::quantum_for_rate(static_cast<std::uint64_t>(links_[key].bytes_per_ms * 1000));
}
void RelayWorld::close(LinkKey key) {
  enqueue(key, Message::Kind::kClose, {});
  if (const auto found = links_.find(key); found != links_.end()) found->second.closed_by_server = true;
}

void RelayWorld::arrive(LinkKey key, Message message) {
  const Link& link = links_[key];
  if (link.far == Far::kServer) {
    // An end that is gone answers with a reset.
    const bool there = links_.contains(link.other);
    if (!there && message.kind == Message::Kind::kClose) return;
    if (!there) return upward(key, Message::Kind::kClose, {});
    Link& other = links_[link.other];
    message.due = other.last_due_up = std::max(other.last_due_up, now_.monotonic);
    other.upward.push_back(std::move(message));
  } else if (message.kind == Message::Kind::kPing) {
    if (!link.closed_by_server) upward(key, Message::Kind::kPong, {});
  } else if (link.far == Far::kNode) {
    node_gets(key, link.owner, message);
  } else {
    client_gets(key, link.owner, message);
  }
}

}  // namespace higgs::sim

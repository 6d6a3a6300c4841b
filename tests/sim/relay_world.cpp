#include "sim/relay_world.h"

#include <algorithm>

namespace higgs::sim {

namespace {

using relay::Channel;
using relay::LinkKey;

constexpr std::chrono::milliseconds kStep{1};
/// Of a packet: session (4), time sent in ns (8), direction (1).
constexpr std::size_t kMarkBytes = 13;

template <class Id>
Id id_of(unsigned number) {
  ByteArray<16> bytes{};
  store_be(bytes.data(), number);
  return Id(Uuid(bytes));
}
unsigned number_of(SessionId id) { return load_be<std::uint32_t>(id.value().bytes().data()); }

}  // namespace

RelayWorld::RelayWorld(const Options& options)
    : random_(options.seed), options_(options), shard_(options.limits, *this) {}

std::chrono::nanoseconds RelayWorld::delay() {
  return std::chrono::microseconds(random_() % static_cast<std::uint64_t>(options_.max_delay.count() + 1));
}

// --- what happens ------------------------------------------------------------------------------------------------

LinkKey RelayWorld::make_link(bool is_node, unsigned owner, double mbps) {
  const LinkKey key = ++last_key_;
  Link& link = links_[key];
  link.is_node = is_node;
  link.owner = owner;
  link.bytes_per_ms = mbps * 125;
  return key;
}

void RelayWorld::connect_node(unsigned number, double mbps) {
  Node& node = nodes_[number];
  node.link = make_link(true, number, mbps);
  node.channels.clear();
  node.last_channel = 0;
  shard_.add_node_link(now_, node.link, id_of<NodeId>(number), unix_seconds(now_.wall));
}

void RelayWorld::connect_client(unsigned number, unsigned node, double mbps) {
  Session& session = sessions_[number];
  session.node = node;
  session.ready = session.closed = false;
  session.link = make_link(false, number, mbps);
  relay::SessionTicket ticket;
  ticket.session = id_of<SessionId>(number);
  ticket.node = id_of<NodeId>(node);
  ticket.expires_at = now_.wall + std::chrono::hours(10);
  shard_.add_client_link(now_, session.link, ticket, unix_seconds(now_.wall));
}

void RelayWorld::disconnect_node(unsigned number) {
  const LinkKey key = std::exchange(nodes_[number].link, 0);
  nodes_[number].channels.clear();
  if (links_.erase(key) > 0) shard_.on_closed(now_, key);
}
void RelayWorld::disconnect_client(unsigned number) {
  const LinkKey key = std::exchange(sessions_[number].link, 0);
  sessions_[number].ready = false;
  if (links_.erase(key) > 0) shard_.on_closed(now_, key);
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

Bytes RelayWorld::make_batch(Channel channel, unsigned session, std::size_t packets, std::size_t bytes) {
  Bytes buffer(relay::kMaxMessageBytes), packet(std::max(bytes, kMarkBytes));
  store_be(packet.data(), session);
  store_be(packet.data() + 4, static_cast<std::uint64_t>(now_.monotonic.time_since_epoch().count()));
  packet[12] = std::byte(channel == 0 ? 0 : 1);
  relay::BatchBuilder builder(buffer);
  for (std::size_t i = 0; i < packets; ++i) builder.append(packet);
  return to_bytes(builder.finish(channel));
}

void RelayWorld::send_up(unsigned number, std::size_t packets, std::size_t bytes) {
  Session& session = sessions_[number];
  if (session.link == 0) return;
  session.sent_up += packets;
  upward(session.link, Message::Kind::kBinary, make_batch(0, number, packets, bytes));
}

void RelayWorld::send_down(unsigned number, std::size_t packets, std::size_t bytes) {
  const Node& node = nodes_[sessions_[number].node];
  if (node.link == 0) return;
  for (const auto& [channel, session] : node.channels) {
    if (session != number) continue;
    sessions_[number].sent_down += packets;
    upward(node.link, Message::Kind::kBinary, make_batch(channel, number, packets, bytes));
    return;
  }
}

void RelayWorld::run(std::chrono::nanoseconds time) {
  for (const Instant end = now_.monotonic + time; now_.monotonic < end;) step();
}

// --- links -------------------------------------------------------------------------------------------------------

void RelayWorld::upward(LinkKey key, Message::Kind kind, Bytes bytes) {
  Link& link = links_[key];
  link.last_due_up = std::max(link.last_due_up, now_.monotonic + delay());
  link.upward.push_back({kind, std::move(bytes), link.last_due_up});
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
  while (const auto next = shard_.poll_timeout()) {
    if (*next > now_.monotonic) break;
    shard_.handle_timeout(now_);
  }
  std::vector<LinkKey> keys;
  for (const auto& [key, link] : links_) keys.push_back(key);
  std::shuffle(keys.begin(), keys.end(), random_);
  for (const LinkKey key : keys) {
    if (const auto found = links_.find(key); found != links_.end()) move(key, found->second);
  }
  largest_queue_bytes_ = std::max(largest_queue_bytes_, shard_.stats().queued_bytes);
}

void RelayWorld::move(LinkKey key, Link& link) {
  while (!link.closed_by_server && !link.upward.empty() && link.upward.front().due <= now_.monotonic) {
    Message message = std::move(link.upward.front());
    link.upward.pop_front();
    if (message.kind == Message::Kind::kText)
      shard_.on_text(now_, key, as_text(message.bytes));
    else if (message.kind == Message::Kind::kPing)
      shard_.on_alive(now_, key);
    else
      shard_.on_binary(now_, key, message.bytes);
  }
  // A vanished far end acknowledges nothing: its buffer fills and stays full.
  if (!link.far_end_gone) {
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
    if (link.was_full && can_send(key)) {
      link.was_full = false;
      shard_.on_writable(now_, key);
    }
  }
  while (!link.flying.empty() && link.flying.front().due <= now_.monotonic) {
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
void RelayWorld::send_binary(LinkKey key, std::span<const ByteView> parts) {
  Bytes bytes;
  for (const auto part : parts) bytes.insert(bytes.end(), part.begin(), part.end());
  enqueue(key, Message::Kind::kBinary, std::move(bytes));
}
void RelayWorld::send_text(LinkKey key, std::string_view text) {
  enqueue(key, Message::Kind::kText, to_bytes(as_bytes(text)));
}
void RelayWorld::send_ping(LinkKey key) { enqueue(key, Message::Kind::kPing, {}); }
void RelayWorld::close(LinkKey key, relay::CloseCode, std::string_view) {
  enqueue(key, Message::Kind::kClose, {});
  if (const auto found = links_.find(key); found != links_.end()) found->second.closed_by_server = true;
}

// --- the far ends ------------------------------------------------------------------------------------------------

void RelayWorld::arrive(LinkKey key, Message message) {
  const Link& link = links_[key];
  if (message.kind == Message::Kind::kPing) {
    if (!link.closed_by_server) upward(key, Message::Kind::kPing, {});
    return;
  }
  if (link.is_node)
    node_gets(key, link.owner, message);
  else
    client_gets(key, link.owner, message);
}

void RelayWorld::node_gets(LinkKey key, unsigned number, const Message& message) {
  Node& node = nodes_[number];
  if (node.link != key) return;  // an old link, which the node has given up
  if (message.kind == Message::Kind::kClose) {
    node.link = 0;
    node.channels.clear();
    return;
  }
  if (message.kind == Message::Kind::kText) {
    node_control(key, number, relay::parse_control(as_text(message.bytes)).value());
    return;
  }
  Bytes bytes = message.bytes;
  relay::Batch batch;
  if (!relay::parse_batch(bytes, batch)) return violation("a malformed batch reached a node");
  const auto channel = node.channels.find(batch.channel);
  if (channel == node.channels.end()) return violation("data on a channel that is not open");
  for (const auto packet : batch.all()) receive(channel->second, true, packet);
}

void RelayWorld::node_control(LinkKey key, unsigned number, const relay::ControlMessage& message) {
  Node& node = nodes_[number];
  if (const auto* open = std::get_if<relay::SessionOpen>(&message.payload)) {
    if (open->channel <= node.last_channel) violation("a channel was used again");
    node.last_channel = open->channel;
    const unsigned session = number_of(*message.session);
    std::erase_if(node.channels, [&](const auto& entry) { return entry.second == session; });
    node.channels[open->channel] = session;
    const bool fresh = node.peers.insert(session).second;
    upward(key, Message::Kind::kText,
           to_bytes(as_bytes(relay::encode_control(
               {message.session, relay::Direction::kToServer, relay::SessionReady{open->channel, fresh}}))));
  } else if (const auto* closed = std::get_if<relay::SessionClose>(&message.payload)) {
    node.channels.erase(closed->channel.value_or(0));
    node.peers.erase(number_of(*message.session));
  }
}

void RelayWorld::client_gets(LinkKey key, unsigned number, const Message& message) {
  Session& session = sessions_[number];
  if (session.link != key) return;
  if (message.kind == Message::Kind::kClose) {
    session.link = 0;
    session.ready = false;
    session.closed = true;
  } else if (message.kind == Message::Kind::kText) {
    const auto control = relay::parse_control(as_text(message.bytes)).value();
    if (std::holds_alternative<relay::SessionReady>(control.payload)) session.ready = true;
    if (std::holds_alternative<relay::ErrorNotice>(control.payload)) session.ready = false;
  } else {
    Bytes bytes = message.bytes;
    relay::Batch batch;
    if (!relay::parse_batch(bytes, batch)) return violation("a malformed batch reached a client");
    if (batch.channel != 0) violation("a client got a channel that is not 0");
    for (const auto packet : batch.all()) receive(number, false, packet);
  }
}

void RelayWorld::receive(unsigned number, bool up, MutableBytes packet) {
  Session& session = sessions_[number];
  if (load_be<std::uint32_t>(packet.data()) != number) violation("a packet reached another session");
  if ((packet[12] == std::byte{0}) != up) violation("a packet came back to its own side");
  const Instant sent(std::chrono::nanoseconds(load_be<std::uint64_t>(packet.data() + 4)));
  auto& longest = up ? session.longest_up : session.longest_down;
  longest = std::max(longest, now_.monotonic - sent);
  ++(up ? session.got_up : session.got_down);
}

}  // namespace higgs::sim

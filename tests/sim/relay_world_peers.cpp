// The far ends: nodes and clients, and what they check.
#include <algorithm>

#include "sim/relay_world_server.h"

namespace higgs::sim {

namespace {
/// Of a packet: session (4), time sent in ns (8), direction (1).
constexpr std::size_t kMarkBytes = 13;
}  // namespace

Bytes RelayWorld::make_batch(relay::Channel channel, unsigned session, std::size_t packets, std::size_t bytes) {
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

void RelayWorld::node_gets(relay::LinkKey key, unsigned number, const Message& message) {
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

void RelayWorld::node_control(relay::LinkKey key, unsigned number, const relay::ControlMessage& message) {
  Node& node = nodes_[number];
  if (const auto* open = std::get_if<relay::SessionOpen>(&message.payload)) {
    if (open->channel <= node.last_channel) violation("a channel was used again");
    node.last_channel = open->channel;
    ++node.opens;
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

void RelayWorld::client_gets(relay::LinkKey key, unsigned number, const Message& message) {
  Session& session = sessions_[number];
  if (session.link != key) return;
  if (message.kind == Message::Kind::kClose) {
    session.link = 0;
    session.ready = false;
    session.closed = true;
    ++session.closes;
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

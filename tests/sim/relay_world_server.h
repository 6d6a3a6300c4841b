// One relay server of the simulated world: a shard, and what it says handed to the world. Internal to RelayWorld.
#pragma once

#include "sim/relay_world.h"

namespace higgs::sim {

/// Ids of the world's things: their number in the second four bytes.
template <class Id>
Id id_of(unsigned number) {
  ByteArray<16> bytes{};
  store_be(bytes.data() + 4, number);
  return Id(Uuid(bytes));
}
template <class Id>
unsigned number_of(const Id& id) {
  return load_be<std::uint32_t>(id.value().bytes().data() + 4);
}

class RelayWorld::Server : private relay::ShardOutput {
 public:
  Server(RelayWorld& owner, unsigned own_number) : world(owner), number(own_number) { start(); }
  void start() {
    relay::ShardOutput& output = *this;
    shard = std::make_unique<relay::Shard>(world.options_.limits, output);
    ++life;
    paused = false;
  }

  RelayWorld& world;
  const unsigned number;
  unsigned life = 0;
  bool paused = false;
  std::unique_ptr<relay::Shard> shard;

 private:
  bool can_send(relay::LinkKey key) override { return world.can_send(key); }
  std::size_t quantum(relay::LinkKey key) override { return world.quantum(key); }
  void send_binary(relay::LinkKey key, std::span<const ByteView> parts) override {
    Bytes bytes;
    for (const auto part : parts) bytes.insert(bytes.end(), part.begin(), part.end());
    world.enqueue(key, Message::Kind::kBinary, std::move(bytes));
  }
  void send_text(relay::LinkKey key, std::string_view text) override {
    world.enqueue(key, Message::Kind::kText, to_bytes(as_bytes(text)));
  }
  void send_ping(relay::LinkKey key) override { world.enqueue(key, Message::Kind::kPing, {}); }
  void close(relay::LinkKey key, relay::CloseCode, std::string_view) override { world.close(key); }
  void session_opened(const relay::SessionTicket&, std::int64_t,
                      std::shared_ptr<const relay::SessionTraffic>) override {}
  void session_iat(SessionId, std::int64_t) override {}
  void session_ready(SessionId, NodeId) override {}
  void session_refused(SessionId, NodeId, relay::RefusalReason) override {}
  void session_ended(SessionId, NodeId, relay::CloseReason, const relay::SessionTraffic&) override {}
  void node_up(NodeId node, std::int64_t) override { world.announce(node, number); }
  void node_down(NodeId node) override {
    const auto found = world.presence_.find(node);
    if (found != world.presence_.end() && found->second == number) world.presence_.erase(found);
  }
  void node_wanted(NodeId node) override { world.look_up(number, node); }
  void server_link_wanted(ServerId server, unsigned) override { world.dial(number, server); }
  void server_link_up(const relay::ServerLink&) override {}
  void server_link_down(const relay::ServerLink&) override {}
};

}  // namespace higgs::sim

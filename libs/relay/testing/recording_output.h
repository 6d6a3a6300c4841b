// A ShardOutput that remembers what the shard wanted, for tests.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "relay/fair_queue.h"
#include "relay/shard.h"
#include "relay/testing/frames.h"

namespace higgs::relay::testing {

class RecordingOutput : public ShardOutput {
 public:
  struct Link {
    std::vector<Bytes> binary;
    std::vector<ControlMessage> control;
    unsigned pings = 0;
    bool blocked = false;
    std::optional<CloseCode> closed;
  };

  Link& operator[](LinkKey key) { return links[key]; }
  /// The last control message of this kind on the link; it must be there.
  template <class Payload>
  Payload last(LinkKey key) {
    const auto& control = links[key].control;
    for (auto it = control.rbegin(); it != control.rend(); ++it)
      if (const auto* payload = std::get_if<Payload>(&it->payload)) return *payload;
    throw std::runtime_error("no such control message");
  }
  template <class Payload>
  std::size_t count(LinkKey key) {
    std::size_t found = 0;
    for (const auto& message : links[key].control) found += std::holds_alternative<Payload>(message.payload) ? 1 : 0;
    return found;
  }

  bool can_send(LinkKey key) override { return !links[key].blocked; }
  std::size_t quantum(LinkKey) override { return quantum_bytes; }
  void send_binary(LinkKey key, std::span<const ByteView> parts) override { links[key].binary.push_back(join(parts)); }
  void send_text(LinkKey key, std::string_view text) override {
    links[key].control.push_back(parse_control(text).value());
  }
  void send_ping(LinkKey key) override { ++links[key].pings; }
  void close(LinkKey key, CloseCode code, std::string_view) override { links[key].closed = code; }
  void session_opened(const SessionTicket&, std::int64_t, std::shared_ptr<const SessionTraffic>) override {
    events.emplace_back("opened");
  }
  void session_iat(SessionId, std::int64_t) override {}
  void session_ready(SessionId, NodeId) override { events.emplace_back("ready"); }
  void session_refused(SessionId, NodeId, RefusalReason reason) override {
    events.push_back("refused " + std::string(to_string(reason)));
  }
  void session_ended(SessionId, NodeId, CloseReason reason, const SessionTraffic& traffic) override {
    events.push_back("ended " + std::string(to_string(reason)));
    last_up_bytes = traffic.up_bytes;
    last_down_bytes = traffic.down_bytes;
  }
  void node_up(NodeId, std::int64_t) override { events.emplace_back("node up"); }
  void node_down(NodeId) override { events.emplace_back("node down"); }
  void node_wanted(NodeId) override { ++nodes_wanted; }
  void server_link_wanted(ServerId server, unsigned worker) override { links_wanted.emplace_back(server, worker); }
  void server_link_up(const ServerLink&) override { events.emplace_back("server up"); }
  void server_link_down(const ServerLink&) override { events.emplace_back("server down"); }

  std::map<LinkKey, Link> links;
  std::vector<std::string> events;
  unsigned nodes_wanted = 0;
  std::vector<std::pair<ServerId, unsigned>> links_wanted;
  std::size_t quantum_bytes = kMaxQuantumBytes;
  std::uint64_t last_up_bytes = 0, last_down_bytes = 0;
};

}  // namespace higgs::relay::testing

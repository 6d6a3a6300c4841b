// A simulated world around one relay shard: nodes, clients and the links between, on a virtual clock. Links keep order
// (they are TCP connections) but have delay, rate and a small buffer; they break, half open, and are replaced.
// The world checks on every delivery that no packet reaches another session or a closed channel.
#pragma once

#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "relay/fair_queue.h"
#include "relay/shard.h"

namespace higgs::sim {

class RelayWorld : private relay::ShardOutput {
 public:
  struct Options {
    std::uint64_t seed = 1;
    relay::ShardLimits limits;
    std::chrono::microseconds max_delay{20000};
  };
  explicit RelayWorld(const Options& options);

  // --- what happens -----------------------------------------------------------------------------------------------
  void connect_node(unsigned node, double mbps = 1000);
  void connect_client(unsigned session, unsigned node, double mbps = 1000);
  /// The server sees the connection end.
  void disconnect_node(unsigned node);
  void disconnect_client(unsigned session);
  /// The far end vanishes and the server is not told.
  void vanish_node(unsigned node);
  void vanish_client(unsigned session);
  /// The node forgets all peers.
  void restart_node(unsigned node);
  void send_up(unsigned session, std::size_t packets, std::size_t bytes);
  /// The node sends to this session, if it has a channel.
  void send_down(unsigned session, std::size_t packets, std::size_t bytes);
  void run(std::chrono::nanoseconds time);

  // --- what is true -----------------------------------------------------------------------------------------------
  struct Session {
    unsigned node = 0;
    relay::LinkKey link = 0;  ///< 0: none
    bool ready = false, closed = false;
    std::uint64_t sent_up = 0, got_up = 0, sent_down = 0, got_down = 0;
    std::chrono::nanoseconds longest_up{0}, longest_down{0};  ///< transit times of delivered packets
  };
  struct Node {
    relay::LinkKey link = 0;
    std::map<relay::Channel, unsigned> channels;  ///< open now, on the present link
    std::set<unsigned> peers;
    relay::Channel last_channel = 0;
  };
  Session& session(unsigned number) { return sessions_[number]; }
  Node& node(unsigned number) { return nodes_[number]; }
  relay::ShardStats stats() const { return shard_.stats(); }
  Now now() const { return now_; }
  const std::vector<std::string>& violations() const { return violations_; }
  std::size_t largest_queue_bytes() const { return largest_queue_bytes_; }

 private:
  struct Message {
    enum class Kind { kBinary, kText, kPing, kClose } kind = Kind::kBinary;
    Bytes bytes;
    Instant due{};
  };
  struct Link {
    bool is_node = false;
    unsigned owner = 0;
    bool far_end_gone = false;
    bool closed_by_server = false;
    double bytes_per_ms = 0;
    double credit = 0;
    std::deque<Message> unsent, flying, upward;
    std::size_t unsent_bytes = 0;
    bool was_full = false;
    Instant last_due_down{}, last_due_up{};
  };

  bool can_send(relay::LinkKey key) override;
  std::size_t quantum(relay::LinkKey key) override;
  void send_binary(relay::LinkKey key, std::span<const ByteView> parts) override;
  void send_text(relay::LinkKey key, std::string_view text) override;
  void send_ping(relay::LinkKey key) override;
  void close(relay::LinkKey key, relay::CloseCode code, std::string_view reason) override;
  void session_opened(const relay::SessionTicket&, std::int64_t,
                      std::shared_ptr<const relay::SessionTraffic>) override {}
  void session_iat(SessionId, std::int64_t) override {}
  void session_ready(SessionId, NodeId) override {}
  void session_refused(SessionId, NodeId, relay::RefusalReason) override {}
  void session_ended(SessionId, NodeId, relay::CloseReason, const relay::SessionTraffic&) override {}
  void node_up(NodeId, std::int64_t) override {}
  void node_down(NodeId) override {}
  void node_wanted(NodeId) override {}
  void server_link_wanted(ServerId, unsigned) override {}
  void server_link_up(const relay::ServerLink&) override {}
  void server_link_down(const relay::ServerLink&) override {}

  relay::LinkKey make_link(bool is_node, unsigned owner, double mbps);
  void enqueue(relay::LinkKey key, Message::Kind kind, Bytes bytes);
  void upward(relay::LinkKey key, Message::Kind kind, Bytes bytes);
  void step();
  void move(relay::LinkKey key, Link& link);
  void arrive(relay::LinkKey key, Message message);
  void node_gets(relay::LinkKey key, unsigned number, const Message& message);
  void client_gets(relay::LinkKey key, unsigned number, const Message& message);
  void node_control(relay::LinkKey key, unsigned number, const relay::ControlMessage& message);
  void receive(unsigned session, bool up, MutableBytes packet);
  Bytes make_batch(relay::Channel channel, unsigned session, std::size_t packets, std::size_t bytes);
  std::chrono::nanoseconds delay();
  void violation(const std::string& what) { violations_.push_back(what); }

  std::mt19937_64 random_;
  Options options_;
  Now now_{Instant(std::chrono::seconds(1000)), WallTime(std::chrono::seconds(1'800'000'000))};
  relay::Shard shard_;
  std::map<unsigned, Session> sessions_;
  std::map<unsigned, Node> nodes_;
  std::map<relay::LinkKey, Link> links_;
  relay::LinkKey last_key_ = 0;
  std::vector<std::string> violations_;
  std::size_t largest_queue_bytes_ = 0;
};

}  // namespace higgs::sim

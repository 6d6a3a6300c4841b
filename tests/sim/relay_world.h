// A simulated world around relay shards: servers with one worker each, nodes, clients and the links between all of
// them, on a virtual clock. Links keep order (they are TCP connections) but have delay, rate and a small buffer; they
// break, half open, and are replaced. Servers pause, restart and lose sight of one another; presence is late and
// sometimes wrong. The world checks on every delivery that no packet reaches another session or a closed channel.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "relay/fair_queue.h"
#include "relay/shard.h"

namespace higgs::sim {

class RelayWorld {
 public:
  struct Options {
    std::uint64_t seed = 1;
    relay::ShardLimits limits;
    std::chrono::microseconds max_delay{20000};
    unsigned servers = 1;
    /// Answers of presence that are wrong, of its announcements that are lost, and of dials that fail, in a hundred.
    unsigned wrong_answers = 0;
    double server_mbps = 1000;  ///< of a link between servers
  };
  explicit RelayWorld(const Options& options);
  ~RelayWorld();

  // --- what happens -----------------------------------------------------------------------------------------------
  // Who comes to another server has left the former one, with a word or without.
  void connect_node(unsigned node, double mbps = 1000, unsigned server = 0);
  void connect_client(unsigned session, unsigned node, double mbps = 1000, unsigned server = 0);
  /// The server sees the connection end.
  void disconnect_node(unsigned node);
  void disconnect_client(unsigned session);
  /// The far end vanishes and the server is not told.
  void vanish_node(unsigned node);
  void vanish_client(unsigned session);
  /// The node forgets all peers.
  void restart_node(unsigned node);
  /// Links of clients come with a new token from now on, rather than with that of before.
  void renew_tokens() { ++token_iat_; }
  /// The server does nothing until it is resumed; what is sent to it waits. Time goes on.
  void pause_server(unsigned server);
  void resume_server(unsigned server);
  /// All its links end and it has forgotten everything.
  void restart_server(unsigned server);
  /// Nothing passes between two servers until they are joined again; what was sent waits.
  void cut(unsigned server, unsigned other);
  void join(unsigned server, unsigned other);
  /// Connections between two servers end, and both see it.
  void break_links(unsigned server, unsigned other);
  void send_up(unsigned session, std::size_t packets, std::size_t bytes);
  /// The node sends to this session, if it has a channel.
  void send_down(unsigned session, std::size_t packets, std::size_t bytes);
  void run(std::chrono::nanoseconds time);

  // --- what is true -----------------------------------------------------------------------------------------------
  struct Session {
    unsigned node = 0;
    unsigned server = 0;
    relay::LinkKey link = 0;  ///< 0: none
    bool ready = false, closed = false;
    unsigned closes = 0;  ///< of links that the client still used
    std::uint64_t sent_up = 0, got_up = 0, sent_down = 0, got_down = 0;
    std::chrono::nanoseconds longest_up{0}, longest_down{0};  ///< transit times of delivered packets
  };
  struct Node {
    unsigned server = 0;
    relay::LinkKey link = 0;
    std::map<relay::Channel, unsigned> channels;  ///< open now, on the present link
    std::set<unsigned> peers;
    relay::Channel last_channel = 0;
    std::uint64_t opens = 0;
  };
  Session& session(unsigned number) { return sessions_[number]; }
  Node& node(unsigned number) { return nodes_[number]; }
  relay::ShardStats stats(unsigned server = 0) const;
  bool paused(unsigned server) const;
  Now now() const { return now_; }
  const std::vector<std::string>& violations() const { return violations_; }
  std::size_t largest_queue_bytes() const { return largest_queue_bytes_; }

 private:
  class Server;
  struct Message {
    enum class Kind { kBinary, kText, kPing, kPong, kClose } kind = Kind::kBinary;
    Bytes bytes;
    Instant due{};
  };
  enum class Far { kNode, kClient, kServer };
  /// A server's end of a connection, and the far end where that is a node or a client.
  struct Link {
    Far far = Far::kClient;
    unsigned server = 0;
    unsigned owner = 0;        ///< the node's, session's or other server's number
    relay::LinkKey other = 0;  ///< the other server's end
    bool far_end_gone = false;
    bool closed_by_server = false;
    double bytes_per_ms = 0;
    double credit = 0;
    std::deque<Message> unsent, flying, upward;
    std::size_t unsent_bytes = 0;
    bool was_full = false;
    Instant last_due_down{}, last_due_up{};
  };
  /// Of one server: it does not happen while that is paused, and never after its restart.
  struct Event {
    Instant due;
    unsigned server, life;
    std::function<void()> action;
  };

  relay::LinkKey make_link(Far far, unsigned server, unsigned owner, double mbps);
  void enqueue(relay::LinkKey key, Message::Kind kind, Bytes bytes);
  void upward(relay::LinkKey key, Message::Kind kind, Bytes bytes);
  bool can_send(relay::LinkKey key);
  std::size_t quantum(relay::LinkKey key);
  void close(relay::LinkKey key);
  void step();
  void move(relay::LinkKey key);
  bool take_upward(relay::LinkKey key, Link& link);
  void send_down_the_line(relay::LinkKey key, Link& link);
  bool stalled(const Link& link) const;
  void arrive(relay::LinkKey key, Message message);
  void end_connection(relay::LinkKey key);

  // relay_world_servers.cpp
  void happen();
  void later(unsigned server, std::chrono::nanoseconds after, std::function<void()> action);
  void announce(NodeId node, unsigned server);
  void look_up(unsigned server, NodeId node);
  void dial(unsigned server, ServerId peer);
  void dial_ends(unsigned server, unsigned peer);
  bool are_cut(unsigned server, unsigned other) const;

  // relay_world_peers.cpp
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
  std::vector<std::unique_ptr<Server>> servers_;
  std::map<unsigned, Session> sessions_;
  std::map<unsigned, Node> nodes_;
  std::map<relay::LinkKey, Link> links_;
  std::map<NodeId, unsigned> presence_;  ///< the server where each node came up last
  std::set<std::pair<unsigned, unsigned>> cuts_;
  std::vector<Event> events_;
  relay::LinkKey last_key_ = 0;
  std::int64_t token_iat_ = 1'800'000'000;
  std::vector<std::string> violations_;
  std::size_t largest_queue_bytes_ = 0;
};

}  // namespace higgs::sim

// The inside of a Shard; sources: shard.cpp (links, time), shard_sessions.cpp (life of a session), shard_forward.cpp
// (batches), shard_control.cpp (text messages).
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/token_bucket.h"
#include "relay/batch_queue.h"
#include "relay/fair_queue.h"
#include "relay/liveness.h"
#include "relay/shard.h"
#include "relay/timer_queue.h"

namespace higgs::relay {

class Shard::Impl {
 public:
  Impl(ShardLimits limits, ShardOutput& output);

  void add_node_link(Now now, LinkKey key, NodeId id, std::int64_t iat);
  void add_client_link(Now now, LinkKey key, const SessionTicket& ticket, std::int64_t iat);
  void on_closed(Now now, LinkKey key);
  void on_binary(Now now, LinkKey key, MutableBytes message);
  void on_text(Now now, LinkKey key, std::string_view text);
  void on_alive(Now now, LinkKey key);
  void on_writable(Now now, LinkKey key);
  void close_session(SessionId id, CloseReason reason);
  void close_node(Now now, NodeId id, CloseReason reason);
  void renew_session(Now now, SessionId id, WallTime expires_at);
  void drain(Now now, std::chrono::seconds deadline, const std::vector<std::string>& servers);
  void shut_down(Now now);
  std::optional<Instant> poll_timeout() const;
  void handle_timeout(Now now);
  ShardStats stats() const;

 private:
  struct Session;
  struct Node;
  struct Link {
    Link(Instant now, LinkKey link_key, const FairQueueLimits& limits, QueueContext& context,
         TokenBucket control_budget)
        : key(link_key), liveness(now), queue(limits, context), control(control_budget) {}
    LinkKey key;
    Liveness liveness;
    TimerQueue<LinkKey>::Slot timer;
    FairQueue queue;
    TokenBucket control;  ///< text messages it may still send
    bool reporting = false;
    Node* node = nullptr;  ///< exactly one of these two is set
    Session* session = nullptr;
  };
  enum class State {
    kWaiting,  ///< the node has no link, or the session-open waits for its turn
    kOpening,  ///< session-open was sent
    kReady,
  };
  struct Session {
    Session(const SessionTicket& session_ticket, QueueContext& context) : ticket(session_ticket), held(context) {}
    SessionTicket ticket;
    std::int64_t iat = 0;
    Node* node = nullptr;
    Link* client = nullptr;
    State state = State::kWaiting;
    Channel channel = 0;  ///< on the node's link; 0: none
    bool in_to_open = false;
    BatchQueue held;  ///< the client's batches until the node is ready
    std::optional<TokenBucket> up_rate, down_rate;
    std::uint64_t rate_drops = 0;  ///< not yet told by throttle
    std::optional<Instant> detached_until;
    TimerQueue<SessionId>::Slot timer;
    std::shared_ptr<SessionTraffic> traffic = std::make_shared<SessionTraffic>();
  };
  struct Node {
    NodeId id;
    Link* link = nullptr;
    std::int64_t iat = 0;
    Channel last_channel = 0;  ///< of the present link
    std::unordered_map<Channel, Session*> channels;
    std::unordered_set<Session*> sessions;
    std::deque<SessionId> to_open;  ///< sessions whose session-open waits until the link can take it
  };
  enum class Way { kUp, kDown };

  // shard.cpp
  Link* find_link(LinkKey key);
  Link& make_link(Now now, LinkKey key, double control_burst);
  void forget_link(Link& link);
  void close_link(Link& link, CloseCode code, std::string_view reason);
  void lose_link(Now now, Link& link);
  void close_malformed(Now now, Link& link, std::string_view reason);
  void arm(Link& link);
  void link_timeout(Now now, LinkKey key);
  void session_timeout(Now now, SessionId id);
  void send_control(Link& link, const std::optional<SessionId>& session, ControlPayload payload);
  Node& node_of(NodeId id);
  void forget_node_if_unused(Node& node);
  void node_lost(Now now, Node& node);

  // shard_sessions.cpp
  Session* find_session(SessionId id);
  void attach(Now now, Session& session, Link& link);
  void detach(Now now, Session& session);
  void arm(Now now, Session& session);
  void set_state(Session& session, State state);
  void want_open(Now now, Session& session);
  void open_waiting(Now now, Node& node);
  void send_open(Now now, Session& session);
  void close_channel(Session& session);
  void become_ready(Now now, Session& session, bool fresh);
  void end_session(Session& session, CloseReason reason, bool tell_node);
  void set_rate(Now now, Session& session);

  // shard_forward.cpp
  void from_client(Now now, Link& link, FrameHeader header, MutableBytes message);
  void from_node(Now now, Link& link, FrameHeader header, MutableBytes message);
  bool police(Now now, Session& session, Way way, FrameHeader& header, MutableBytes& message);
  void forward(Now now, Link& to, Session& session, Way way, FrameHeader header, MutableBytes message);
  void pump(Now now, Link& link);
  void count(Session& session, Way way, std::size_t packets, std::size_t bytes);
  void watch_reports(Now now, Link& link);
  void schedule_reports(Now now);
  void send_reports(Now now);
  void report_queue(Session& session, const FairQueue::Report& report);

  // shard_control.cpp
  void control_from_client(Session& session, const ControlMessage& message, std::string_view text);
  void pass_on(Link* to, std::string_view text);
  void control_from_node(Now now, Node& node, const ControlMessage& message, std::string_view text);

  ShardLimits limits_;
  ShardOutput& output_;
  QueueContext context_;
  FairQueueLimits queue_limits_;
  ShardStats stats_;
  std::unordered_map<SessionId, std::unique_ptr<Session>> sessions_;
  std::unordered_map<NodeId, std::unique_ptr<Node>> nodes_;
  std::unordered_map<LinkKey, std::unique_ptr<Link>> links_;
  TimerQueue<LinkKey> link_timers_;
  TimerQueue<SessionId> session_timers_;
  std::vector<LinkKey> reporting_links_;
  std::vector<SessionId> throttled_;
  std::optional<Instant> report_at_;
  std::optional<Instant> drain_until_;
};

}  // namespace higgs::relay

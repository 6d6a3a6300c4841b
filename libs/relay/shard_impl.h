// The inside of a Shard; sources: shard.cpp (links, time), shard_sessions.cpp (life of a session), shard_cascade.cpp
// (other servers), shard_forward.cpp (batches), shard_control.cpp (text messages).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>
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
  void add_server_link(Now now, LinkKey key, const ServerLink& server);
  void server_link_failed(Now now, ServerId server, unsigned worker);
  void set_node_server(Now now, NodeId id, std::optional<ServerRef> server);
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
  bool serves(SessionId id) const;
  ShardStats stats() const;

 private:
  struct Session;
  struct Node;
  struct Cascade;
  /// What a link has that carries many sessions.
  struct Carrier {
    std::unordered_map<Channel, Session*> channels;
    Channel last_channel = 0;
    std::deque<SessionId> to_open;  ///< sessions whose session-open waits until the link can take it
    ServerLink server;              ///< of a link between servers
  };
  enum class Kind {
    kNode,
    kClient,
    kOutgoing,  ///< to another server: its sessions' nodes are there
    kIncoming,  ///< from another server: its sessions' clients are there
  };
  struct Link {
    Link(Instant now, LinkKey link_key, Kind link_kind, const FairQueueLimits& limits, QueueContext& context,
         TokenBucket control_budget)
        : key(link_key), kind(link_kind), liveness(now), queue(limits, context), control(control_budget) {}
    bool towards_node() const noexcept { return kind == Kind::kNode || kind == Kind::kOutgoing; }
    bool between_servers() const noexcept { return kind == Kind::kOutgoing || kind == Kind::kIncoming; }

    LinkKey key;
    Kind kind;
    bool reporting = false;
    Liveness liveness;
    TimerQueue<LinkKey>::Slot timer;
    FairQueue queue;
    TokenBucket control;               ///< text messages it may still send
    std::unique_ptr<Carrier> carrier;  ///< of all kinds but kClient
    // What the link is of; exactly one is set, none of kIncoming.
    Node* node = nullptr;
    Session* session = nullptr;
    Cascade* cascade = nullptr;
  };
  enum class State {
    kWaiting,  ///< there is no link towards the node, or the session-open waits for its turn
    kOpening,  ///< session-open was sent, or the server that it was sent to has lost the node
    kReady,
  };
  struct Session {
    Session(const SessionTicket& session_ticket, QueueContext& context) : ticket(session_ticket), held(context) {}
    SessionTicket ticket;
    std::int64_t iat = 0;
    Node* node = nullptr;
    // The client's side.
    Link* client = nullptr;
    Channel client_channel = 0;  ///< on that link; 0 on the client's own
    bool foreign = false;        ///< the client is linked to another server: not cascaded further, nor told or policed
    bool told_offline = false;   ///< since the session was last ready or its client came up
    Instant client_since{};      ///< when the client's own link came up
    // The node's side.
    State state = State::kWaiting;
    Link* upstream = nullptr;    ///< the link that carries it, or will once it takes the session-open
    Channel channel = 0;         ///< on that link; 0: none
    Cascade* cascade = nullptr;  ///< the way to the server where its node is; null: here or nowhere
    bool in_to_open = false;     ///< of `upstream`
    BatchQueue held;             ///< the client's batches until the node is ready
    std::optional<TokenBucket> up_rate, down_rate;
    std::uint64_t rate_drops = 0;  ///< not yet told by throttle
    std::optional<Instant> detached_until;
    TimerQueue<SessionId>::Slot timer;
    std::shared_ptr<SessionTraffic> traffic = std::make_shared<SessionTraffic>();
  };
  /// In an order that does not depend on where they lie, so that a simulation can be repeated.
  struct ById {
    bool operator()(const Session* a, const Session* b) const noexcept { return a->ticket.session < b->ticket.session; }
  };
  using Sessions = std::set<Session*, ById>;
  struct Node {
    NodeId id;
    Link* link = nullptr;
    std::int64_t iat = 0;
    Sessions sessions;
    std::optional<ServerRef> server;  ///< where else it was last known to be linked
    std::chrono::milliseconds ask_after{};
    TimerQueue<NodeId>::Slot timer;  ///< until it may be asked for again
  };
  using CascadeKey = std::pair<ServerId, unsigned>;
  /// The way to one worker of another server, with a link or before it.
  struct Cascade {
    CascadeKey key;
    Link* link = nullptr;
    bool asked = false;  ///< for a link, without an answer so far
    Sessions sessions;
    Instant link_since{};
    std::optional<Instant> idle_since;
    std::chrono::milliseconds retry_after{};
    TimerQueue<CascadeKey>::Slot timer;  ///< until a link may be asked for again
  };
  enum class Way { kUp, kDown };

  // shard.cpp
  Link* find_link(LinkKey key);
  Link& make_link(Now now, LinkKey key, Kind kind);
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
  void node_lost(Now now, Link& link);

  // shard_sessions.cpp
  Session* find_session(SessionId id);
  Session& make_session(const SessionTicket& ticket, bool foreign);
  void set_foreign(Session& session, bool foreign);
  void replace_client(Session& session, const Link& by);
  void release_client_channel(Session& session);
  void attach(Now now, Session& session, Link& link, Channel channel);
  void detach(Now now, Session& session);
  void arm(Now now, Session& session);
  void set_state(Session& session, State state);
  void want_open(Now now, Session& session);
  void open_waiting(Now now, Link& link);
  void send_open(Now now, Session& session);
  void tell_client(Session& session, ControlPayload payload);
  void tell_upstream(Session& session, ControlPayload payload);
  void tell_offline(Session& session);
  void open_channel(Link& link, Channel channel, Session& session);
  void forget_channel(Link& link, Channel channel);
  void close_channel(Session& session);
  void leave_upstream(Session& session);
  void become_ready(Now now, Session& session, bool fresh);
  void end_session(Session& session, CloseReason reason, bool tell_node);
  void set_rate(Now now, Session& session);
  /// What it is held to, the least of all that count; only where something is.
  static std::optional<double> rate_of(const Session& session);

  // shard_cascade.cpp
  void use(Now now, Cascade& cascade, Link& link);
  Cascade& cascade_to(const CascadeKey& key);
  void join(Session& session, Cascade* cascade);
  void forget_cascade_if_unused(Cascade& cascade);
  void want_link(Now now, Cascade& cascade);
  void retry_later(Now now, Cascade& cascade);
  void cascade_timeout(Now now, const CascadeKey& key);
  bool is_idle(Now now, Cascade& cascade);
  void outgoing_lost(Now now, Link& link);
  void incoming_lost(Now now, Link& link);
  void look_up(Now now, Node& node);
  void stop_asking(Node& node);
  void ask_soon(Now now, Node& node);
  void node_timeout(Now now, NodeId id);
  void open_foreign(Now now, Link& link, SessionId id, const SessionOpen& open);
  void set_foreign_expiry(Now now, Session& session, std::int64_t expires_at);
  void refuse_foreign(Link& link, SessionId id, Channel channel, RefusalReason reason);

  // shard_forward.cpp
  void from_client(Now now, Session& session, FrameHeader header, MutableBytes message);
  void from_node(Now now, Session& session, FrameHeader header, MutableBytes message);
  static Session* session_on(const Link& link, Channel channel);
  bool police(Now now, Session& session, Way way, FrameHeader& header, MutableBytes& message);
  void forward(Now now, Link& to, Session& session, Way way, FrameHeader header, MutableBytes message);
  void pump(Now now, Link& link);
  void count(Session& session, Way way, std::size_t packets, std::size_t bytes);
  void watch_reports(Now now, Link& link);
  void schedule_reports(Now now);
  void send_reports(Now now);
  void report(Session& session, const ControlPayload& notice);

  // shard_control.cpp
  void control_from_client(Session& session, const ControlMessage& message, std::string_view text);
  void control_from_server(Now now, Link& link, const ControlMessage& message, std::string_view text);
  void control_from_node(Now now, Link& link, const ControlMessage& message, std::string_view text);
  void close_from_server(Now now, Session& session, CloseReason reason);
  void closed_by_node(Session& session, CloseReason reason, bool server);
  bool told_by_server(Now now, Session& session, const ControlPayload& payload);
  static bool is_for_node(const Session& session, const ControlMessage& message);
  void pass_on(Session& session, const ControlMessage& message, std::string_view text);

  ShardLimits limits_;
  ShardOutput& output_;
  QueueContext context_;
  FairQueueLimits queue_limits_;
  ShardStats stats_;
  std::unordered_map<SessionId, std::unique_ptr<Session>> sessions_;
  std::unordered_map<NodeId, std::unique_ptr<Node>> nodes_;
  std::unordered_map<LinkKey, std::unique_ptr<Link>> links_;
  std::map<CascadeKey, std::unique_ptr<Cascade>> cascades_;
  std::map<CascadeKey, Link*> incoming_;
  TimerQueue<LinkKey> link_timers_;
  TimerQueue<SessionId> session_timers_;
  TimerQueue<NodeId> node_timers_;
  TimerQueue<CascadeKey> cascade_timers_;
  std::vector<LinkKey> reporting_links_;
  std::vector<SessionId> throttled_;
  std::optional<Instant> report_at_;
  std::optional<Instant> drain_until_;
  bool ending_ = false;  ///< shut down: nothing is asked for any more
};

}  // namespace higgs::relay

// One thread of the relay: an event loop that executes what its shard says over WebSocket links.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "bosonserver/relay/relay_events.h"
#include "bosonserver/relay/relay_link.h"
#include "bosonserver/relay/relay_registry.h"
#include "net/event_loop.h"
#include "relay/shard.h"

namespace higgs::boson {

class RelayWorker : private relay::ShardOutput, private RelayLinkOwner {
 public:
  /// Starts the thread. `number` is the worker's among those of its server. `registry` and `events` must outlive it.
  RelayWorker(unsigned number, const relay::ShardLimits& limits, RelayRegistry& registry, RelayEvents& events);
  /// Closes every link with 1001 and joins.
  ~RelayWorker() override;

  // From any thread, in order.
  void take_node_link(NodeId node, std::int64_t iat, net::UpgradedSocket socket);
  void take_client_link(relay::SessionTicket ticket, std::int64_t iat, net::UpgradedSocket socket);
  void take_server_link(const relay::ServerLink& server, net::UpgradedSocket socket);
  void post(std::function<void(relay::Shard&, Now)> action);
  /// As of the end of the last turn.
  relay::ShardStats stats() const;
  /// Taken (also those on their way to the thread) and not closed yet.
  std::size_t links() const noexcept { return links_held_; }

 private:
  /// Runs `action` on the shard, and afterwards what links reported meanwhile: the shard is not re-entered.
  template <class Action>
  void enter(Action&& action);
  using Role = net::WebSocketConnection::Role;
  relay::LinkKey add_link(net::UpgradedSocket socket, Role role = Role::kServer,
                          RelayLink::Use use = RelayLink::Use::kPeer);
  RelayLink* find(relay::LinkKey key);
  void end_of_turn();
  void arm_timer();
  void stop();

  bool can_send(relay::LinkKey link) override;
  std::size_t quantum(relay::LinkKey link) override;
  void send_binary(relay::LinkKey link, std::span<const ByteView> parts) override;
  void send_text(relay::LinkKey link, std::string_view text) override;
  void send_ping(relay::LinkKey link) override;
  void close(relay::LinkKey link, relay::CloseCode code, std::string_view reason) override;
  void session_opened(const relay::SessionTicket& ticket, std::int64_t iat,
                      std::shared_ptr<const relay::SessionTraffic> traffic) override;
  void session_iat(SessionId session, std::int64_t iat) override;
  void session_ready(SessionId session, NodeId node) override;
  void session_refused(SessionId session, NodeId node, relay::RefusalReason reason) override;
  void session_ended(SessionId session, NodeId node, relay::CloseReason reason,
                     const relay::SessionTraffic& traffic) override;
  void peer_message(SessionId session, relay::Direction direction, const relay::PeerMessage& message) override;
  void node_up(NodeId node, std::int64_t iat) override;
  void node_down(NodeId node) override;
  void node_wanted(NodeId node) override;
  void server_link_wanted(ServerId server, unsigned worker) override;
  void server_link_up(const relay::ServerLink& link) override;
  void server_link_down(const relay::ServerLink& link) override;

  void link_binary(relay::LinkKey link, MutableBytes message) override;
  void link_text(relay::LinkKey link, std::string_view text) override;
  void link_alive(relay::LinkKey link) override;
  void link_writable(relay::LinkKey link) override;
  void link_closed(relay::LinkKey link, std::uint16_t code) override;

  unsigned number_;
  RelayRegistry& registry_;
  RelayEvents& events_;
  net::EventLoop loop_;
  relay::Shard shard_;
  std::unordered_map<relay::LinkKey, std::unique_ptr<RelayLink>> links_;
  std::atomic<std::size_t> links_held_{0};
  relay::LinkKey last_key_ = 0;
  unsigned depth_ = 0;
  std::vector<relay::LinkKey> closed_;    ///< not yet told to the shard
  std::vector<relay::LinkKey> finished_;  ///< to be destroyed at the end of the turn
  std::optional<Instant> timer_at_;
  net::EventLoop::TimerId timer_ = 0;
  bool stopping_ = false;
  std::uint64_t oversized_ = 0;  ///< links that their own size limit closed
  mutable std::mutex stats_mutex_;
  relay::ShardStats stats_;
  std::thread thread_;
};

}  // namespace higgs::boson

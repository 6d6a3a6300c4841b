#include "bosonserver/relay/relay_server.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <utility>

#include "bosonserver/relay/relay_registry.h"
#include "bosonserver/relay/relay_worker.h"

namespace higgs::boson {

class RelayServer::Impl {
 public:
  Impl(RelayOptions options, RelayEvents& events) : options_(options) {
    if (options_.workers == 0) options_.workers = std::max(1U, std::thread::hardware_concurrency());
    relay::ShardLimits limits;
    limits.memory_bytes = options_.memory_bytes / options_.workers;
    limits.queue_bytes = options_.queue_bytes;
    limits.hold_bytes = options_.hold_bytes;
    limits.detach_grace = options_.detach_grace;
    limits.session_rate_mbps = options_.session_rate_mbps;
    limits.server_links = options_.server_links;
    limits.link_sessions = options_.link_sessions;
    for (unsigned i = 0; i < options_.workers; ++i)
      workers_.push_back(std::make_unique<RelayWorker>(i, limits, registry_, events));
  }

  Admission admit(const RelayRegistry::Standing& standing, std::size_t limit, std::int64_t iat) const {
    if (draining_) return Admission::kDraining;
    if (standing.stands) return iat < standing.iat ? Admission::kOlderToken : Admission::kAccept;
    return standing.total >= limit ? Admission::kFull : Admission::kAccept;
  }
  Admission admit_node(NodeId id, std::int64_t iat) const { return admit(registry_.node(id), options_.nodes, iat); }
  Admission admit_client(SessionId id, std::int64_t iat) const {
    return admit(registry_.session(id), options_.sessions, iat);
  }

  RelayWorker& worker_of(NodeId id) { return *workers_[relay::worker_of(id, options_.workers)]; }

  void take_node_link(NodeId id, std::int64_t iat, net::UpgradedSocket socket) {
    const std::lock_guard lock(take_mutex_);
    if (admit_node(id, iat) != Admission::kAccept) return;
    registry_.note_node(id, iat);
    worker_of(id).take_node_link(id, iat, std::move(socket));
  }
  void take_client_link(relay::SessionTicket ticket, std::int64_t iat, net::UpgradedSocket socket) {
    const std::lock_guard lock(take_mutex_);
    if (admit_client(ticket.session, iat) != Admission::kAccept) return;
    registry_.note_session(ticket.session, iat);
    RelayWorker& worker = worker_of(ticket.node);
    worker.take_client_link(std::move(ticket), iat, std::move(socket));
  }

  /// A session's worker is that of its node, which only the worker itself knows.
  void post_all(const std::function<void(relay::Shard&, Now)>& action) {
    for (const auto& worker : workers_) worker->post(action);
  }

  RelayOptions options_;
  RelayRegistry registry_;
  std::atomic<bool> draining_{false};
  std::mutex take_mutex_;  ///< admission and hand-over are one step
  std::vector<std::unique_ptr<RelayWorker>> workers_;
};

RelayServer::RelayServer(RelayOptions options, RelayEvents& events) : impl_(std::make_unique<Impl>(options, events)) {}
RelayServer::~RelayServer() = default;

Admission RelayServer::admit_node(NodeId node, std::int64_t token_iat) const {
  return impl_->admit_node(node, token_iat);
}
Admission RelayServer::admit_client(SessionId session, std::int64_t token_iat) const {
  return impl_->admit_client(session, token_iat);
}
Admission RelayServer::admit_server(const ServerLinkGrant& grant) const {
  return grant.own_worker < workers() ? Admission::kAccept : Admission::kNoWorker;
}
std::chrono::seconds RelayServer::retry_after() const noexcept { return impl_->options_.retry_after; }

std::optional<std::int64_t> RelayServer::standing_iat(NodeId node) const {
  const auto standing = impl_->registry_.node(node);
  return standing.stands ? std::optional(standing.iat) : std::nullopt;
}
std::optional<std::int64_t> RelayServer::standing_iat(SessionId session) const {
  const auto standing = impl_->registry_.session(session);
  return standing.stands ? std::optional(standing.iat) : std::nullopt;
}

void RelayServer::take_node_link(NodeId node, std::int64_t token_iat, net::UpgradedSocket socket) {
  impl_->take_node_link(node, token_iat, std::move(socket));
}
void RelayServer::take_client_link(relay::SessionTicket ticket, std::int64_t token_iat, net::UpgradedSocket socket) {
  impl_->take_client_link(std::move(ticket), token_iat, std::move(socket));
}

void RelayServer::take_server_link(const ServerLinkGrant& grant, net::UpgradedSocket socket) {
  if (admit_server(grant) == Admission::kAccept)
    impl_->workers_[grant.own_worker]->take_server_link(grant.link, std::move(socket));
}
void RelayServer::server_link_failed(ServerId server, unsigned own_worker, unsigned peer_worker) {
  if (own_worker >= workers()) return;
  impl_->workers_[own_worker]->post(
      [server, peer_worker](relay::Shard& shard, Now now) { shard.server_link_failed(now, server, peer_worker); });
}
void RelayServer::set_node_server(NodeId node, const std::optional<relay::ServerRef>& server) {
  impl_->worker_of(node).post(
      [node, server](relay::Shard& shard, Now now) { shard.set_node_server(now, node, server); });
}
unsigned RelayServer::workers() const noexcept { return impl_->options_.workers; }

void RelayServer::close_session(SessionId session, relay::CloseReason reason) {
  impl_->post_all([session, reason](relay::Shard& shard, Now) { shard.close_session(session, reason); });
}
void RelayServer::close_node(NodeId node, relay::CloseReason reason) {
  impl_->worker_of(node).post([node, reason](relay::Shard& shard, Now now) { shard.close_node(now, node, reason); });
}
void RelayServer::renew_session(SessionId session, WallTime expires_at) {
  impl_->post_all(
      [session, expires_at](relay::Shard& shard, Now now) { shard.renew_session(now, session, expires_at); });
}

void RelayServer::drain(std::chrono::seconds deadline, std::vector<std::string> servers) {
  {
    // What is admitted before this is posted before the drain.
    const std::lock_guard lock(impl_->take_mutex_);
    impl_->draining_ = true;
  }
  impl_->post_all(
      [deadline, servers = std::move(servers)](relay::Shard& shard, Now now) { shard.drain(now, deadline, servers); });
}
bool RelayServer::draining() const noexcept { return impl_->draining_; }

std::size_t RelayServer::links() const noexcept {
  std::size_t sum = 0;
  for (const auto& worker : impl_->workers_) sum += worker->links();
  return sum;
}

RelayStats RelayServer::stats() const {
  RelayStats sum;
  for (const auto& worker : impl_->workers_) {
    const auto part = worker->stats();
    sum.node_links += part.node_links;
    sum.client_links += part.client_links;
    sum.sessions += part.sessions;
    sum.ready_sessions += part.ready_sessions;
    sum.messages += part.messages;
    sum.packets += part.packets;
    sum.bytes += part.bytes;
    for (std::size_t i = 0; i < relay::kDropReasons; ++i) sum.drops.packets[i] += part.drops.packets[i];
    sum.delay.messages += part.delay.messages;
    sum.delay.waits.add(part.delay.waits);
    sum.delay.maximum = std::max(sum.delay.maximum, part.delay.maximum);
    sum.queued_bytes += part.queued_bytes;
    sum.malformed += part.malformed;
    sum.unresponsive += part.unresponsive;
    sum.replaced += part.replaced;
    sum.control_messages += part.control_messages;
    sum.ignored_control += part.ignored_control;
    sum.server_links += part.server_links;
    sum.cascaded_sessions += part.cascaded_sessions;
    sum.moved_sessions += part.moved_sessions;
    sum.refused_server_links += part.refused_server_links;
    sum.refused_cascades += part.refused_cascades;
  }
  return sum;
}

std::optional<SessionBytes> RelayServer::session_bytes(SessionId session) const {
  return impl_->registry_.session_bytes(session);
}

}  // namespace higgs::boson

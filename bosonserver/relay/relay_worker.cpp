#include "bosonserver/relay/relay_worker.h"

#include <utility>

#include <pthread.h>

#include "bosonserver/relay/announcements.h"

namespace higgs::boson {

namespace {
/// How long close frames may take to leave when the relay ends.
constexpr std::chrono::milliseconds kStopLinger{500};
}  // namespace

RelayWorker::RelayWorker(unsigned number, const relay::ShardLimits& limits, RelayRegistry& registry,
                         RelayEvents& events)
    : number_(number), registry_(registry), events_(events), shard_(limits, *this) {
  loop_.add_end_of_turn([this] { end_of_turn(); });
  thread_ = std::thread([this] {
    ::pthread_setname_np(::pthread_self(), "relay");
    loop_.run();
    links_.clear();
  });
}

RelayWorker::~RelayWorker() {
  loop_.post([this] { stop(); });
  thread_.join();
}

void RelayWorker::stop() {
  enter([&] { shard_.shut_down(loop_.now()); });
  stopping_ = true;
  loop_.after(kStopLinger, [this] { loop_.stop(); });
}

template <class Action>
void RelayWorker::enter(Action&& action) {
  ++depth_;
  action();
  if (--depth_ > 0) return;
  while (!closed_.empty()) {
    const auto key = closed_.back();
    closed_.pop_back();
    ++depth_;
    shard_.on_closed(loop_.now(), key);
    --depth_;
  }
}

// --- from other threads ------------------------------------------------------------------------------------------

void RelayWorker::post(std::function<void(relay::Shard&, Now)> action) {
  loop_.post([this, action = std::move(action)] { enter([&] { action(shard_, loop_.now()); }); });
}

void RelayWorker::take_node_link(NodeId node, std::int64_t iat, net::UpgradedSocket socket) {
  ++links_held_;
  // A posted function must be copyable and a socket is not.
  auto shared = std::make_shared<net::UpgradedSocket>(std::move(socket));
  loop_.post([this, node, iat, shared] {
    const auto key = add_link(std::move(*shared));
    enter([&] { shard_.add_node_link(loop_.now(), key, node, iat); });
  });
}

void RelayWorker::take_client_link(relay::SessionTicket ticket, std::int64_t iat, net::UpgradedSocket socket) {
  ++links_held_;
  auto shared = std::make_shared<net::UpgradedSocket>(std::move(socket));
  loop_.post([this, ticket = std::move(ticket), iat, shared] {
    const auto key = add_link(std::move(*shared));
    enter([&] { shard_.add_client_link(loop_.now(), key, ticket, iat); });
    // It was noted on its way here; a newer link at another server may stand.
    if (!shard_.serves(ticket.session)) registry_.forget_session(ticket.session);
  });
}

void RelayWorker::take_server_link(const relay::ServerLink& server, net::UpgradedSocket socket) {
  ++links_held_;
  auto shared = std::make_shared<net::UpgradedSocket>(std::move(socket));
  loop_.post([this, server, shared] {
    const bool outgoing = server.direction == relay::ServerLinkDirection::kOutgoing;
    const auto key = add_link(std::move(*shared), outgoing ? Role::kClient : Role::kServer, RelayLink::Use::kServers);
    enter([&] { shard_.add_server_link(loop_.now(), key, server); });
  });
}

relay::ShardStats RelayWorker::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return stats_;
}

// --- links -------------------------------------------------------------------------------------------------------

relay::LinkKey RelayWorker::add_link(net::UpgradedSocket socket, Role role, RelayLink::Use use) {
  const auto key = ++last_key_;
  RelayLinkOwner& owner = *this;
  const auto& link = links_[key] = std::make_unique<RelayLink>(key, role, use, std::move(socket), owner);
  link->start(loop_);
  return key;
}

RelayLink* RelayWorker::find(relay::LinkKey key) {
  const auto found = links_.find(key);
  return found == links_.end() ? nullptr : found->second.get();
}

void RelayWorker::link_binary(relay::LinkKey link, MutableBytes message) {
  enter([&] { shard_.on_binary(loop_.now(), link, message); });
}
void RelayWorker::link_text(relay::LinkKey link, std::string_view text) {
  enter([&] { shard_.on_text(loop_.now(), link, text); });
}
void RelayWorker::link_alive(relay::LinkKey link) {
  enter([&] { shard_.on_alive(loop_.now(), link); });
}
void RelayWorker::link_writable(relay::LinkKey link) {
  enter([&] { shard_.on_writable(loop_.now(), link); });
}
void RelayWorker::link_closed(relay::LinkKey link, std::uint16_t code) {
  if (code == static_cast<std::uint16_t>(relay::CloseCode::kTooLarge)) ++oversized_;
  closed_.push_back(link);
  finished_.push_back(link);
  enter([] {});
}

void RelayWorker::end_of_turn() {
  for (const auto key : std::exchange(finished_, {})) links_held_ -= links_.erase(key);
  arm_timer();
  {
    auto stats = shard_.stats();
    stats.malformed += oversized_;
    const std::lock_guard lock(stats_mutex_);
    stats_ = stats;
  }
  if (stopping_ && links_.empty()) loop_.stop();
}

void RelayWorker::arm_timer() {
  const auto next = shard_.poll_timeout();
  if (next == timer_at_) return;
  if (timer_at_) loop_.cancel(timer_);
  timer_at_ = next;
  if (!next) return;
  timer_ = loop_.at(*next, [this] {
    timer_at_.reset();
    enter([&] { shard_.handle_timeout(loop_.now()); });
  });
}

// --- what the shard wants ----------------------------------------------------------------------------------------

bool RelayWorker::can_send(relay::LinkKey link) {
  const RelayLink* found = find(link);
  return found != nullptr && found->can_send();
}
std::size_t RelayWorker::quantum(relay::LinkKey link) {
  RelayLink* found = find(link);
  return found == nullptr ? 0 : found->quantum(loop_.now().monotonic);
}
void RelayWorker::send_binary(relay::LinkKey link, std::span<const ByteView> parts) {
  if (RelayLink* found = find(link)) found->send_binary(parts);
}
void RelayWorker::send_text(relay::LinkKey link, std::string_view text) {
  if (RelayLink* found = find(link)) found->send_text(text);
}
void RelayWorker::send_ping(relay::LinkKey link) {
  if (RelayLink* found = find(link)) found->send_ping();
}
void RelayWorker::close(relay::LinkKey link, relay::CloseCode code, std::string_view reason) {
  if (RelayLink* found = find(link)) found->close(code, reason);
}

void RelayWorker::session_opened(const relay::SessionTicket& ticket, std::int64_t iat,
                                 std::shared_ptr<const relay::SessionTraffic> traffic) {
  registry_.set_traffic(ticket.session, iat, std::move(traffic));
  events_.on_session_opened(ticket.session, ticket.node);
}
void RelayWorker::session_iat(SessionId session, std::int64_t iat) { registry_.note_session(session, iat); }
void RelayWorker::session_ready(SessionId session, NodeId node) { events_.on_session_ready(session, node); }
void RelayWorker::session_refused(SessionId session, NodeId node, relay::RefusalReason reason) {
  events_.on_session_refused(session, node, reason);
}
void RelayWorker::session_ended(SessionId session, NodeId node, relay::CloseReason reason,
                                const relay::SessionTraffic& traffic) {
  registry_.forget_session(session);
  events_.on_session_ended(session, node, reason, to_session_bytes(traffic));
}
/// The budget of control messages bounds how often.
void RelayWorker::peer_message(SessionId session, relay::Direction direction, const relay::PeerMessage& message) {
  const bool from_node = direction == relay::Direction::kToClient;
  if (from_node && message.action == "candidate") {
    if (const auto address = announced_address(message)) events_.on_candidate(session, *address);
  } else if (!from_node && message.action == "path-changed") {
    if (const auto path = announced_path(message)) events_.on_path_changed(session, *path);
  }
}
void RelayWorker::node_up(NodeId node, std::int64_t iat) {
  registry_.note_node(node, iat);
  events_.on_node_up(node);
}
void RelayWorker::node_down(NodeId node) {
  registry_.forget_node(node);
  events_.on_node_down(node);
}
void RelayWorker::node_wanted(NodeId node) { events_.on_node_wanted(node); }
void RelayWorker::server_link_wanted(ServerId server, unsigned worker) {
  events_.on_server_link_wanted(server, number_, worker);
}
void RelayWorker::server_link_up(const relay::ServerLink& link) { events_.on_server_link_up(link); }
void RelayWorker::server_link_down(const relay::ServerLink& link) { events_.on_server_link_down(link); }

}  // namespace higgs::boson

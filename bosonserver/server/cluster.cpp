#include "bosonserver/server/cluster.h"

#include "bosonserver/api/services.h"
#include "bosonserver/api/tokens.h"

namespace higgs::boson {

Cluster::Cluster(Store& store, Presence& presence, EventBus& bus, std::function<Now()> clock, ServerId self)
    : bus_(bus),
      clock_(std::move(clock)),
      directory_(store, presence, clock_),
      locator_(store, presence, bus, directory_, self) {}

Cluster::~Cluster() {
  detach();
  stop();
}

void Cluster::start(boost::asio::io_context& context, Services& services, RelayServer& relay, ServerEntry self,
                    std::size_t sessions) {
  services_ = &services;
  relay_ = &relay;
  self_ = std::move(self);
  sessions_ = sessions;
  auto make_token = [&services](ServerId peer) { return server_token(services, peer, services.clock()); };
  dialer_.emplace(context, directory_, relay, std::move(make_token));
  locator_.forget_own();
  announce();
  worker_.emplace([this] { announce(); }, kAnnounceInterval);
  // What was missed needs no repair: a relay whose way leads nowhere asks.
  EventHandlers handlers;
  handlers.event = [this](const std::string& topic, const std::string& payload) { on_event(topic, payload); };
  handlers.resync = [] {};
  subscription_ = bus_.subscribe(std::move(handlers));
}

void Cluster::announce() {
  const auto now = clock_().monotonic;
  {
    const std::lock_guard lock(mutex_);
    if (!relay_) return;
    const double full = 100.0 * static_cast<double>(relay_->stats().sessions) / static_cast<double>(sessions_);
    self_.load = std::min(100.0, std::max(full, load_.percent(now)));
    self_.draining = relay_->draining();
  }
  directory_.refresh(self_);
  locator_.refresh(now);
  // However much the store missed, the others hear of this server in time.
  for (bool more = true; more && clock_().monotonic - now < kAnnounceInterval / 2;) more = locator_.save_missed();
}

void Cluster::tell_relay(NodeId node, const std::optional<ServerEntry>& server) {
  const std::lock_guard lock(mutex_);
  if (!relay_) return;
  relay_->set_node_server(node,
                          server ? std::optional(relay::ServerRef{server->id, server->relay_workers}) : std::nullopt);
}

void Cluster::change_pin(std::string pin) {
  worker_->post([this, pin = std::move(pin)] {
    self_.pin = pin;
    announce();
  });
}

void Cluster::drain() {
  if (worker_) worker_->post([this] { announce(); });
}

void Cluster::detach() {
  subscription_.reset();
  const std::lock_guard lock(mutex_);
  relay_ = nullptr;
}

void Cluster::stop() {
  if (!worker_) return;
  worker_.reset();
  directory_.leave();
}

void Cluster::node_up(NodeId node) {
  worker_->post([this, node] { locator_.link_up(node); });
}

void Cluster::node_down(NodeId node) {
  worker_->post([this, node] { locator_.link_down(node); });
}

void Cluster::node_wanted(NodeId node) {
  worker_->post([this, node] { tell_relay(node, locator_.locate(node)); });
}

void Cluster::server_link_wanted(ServerId server, unsigned own_worker, unsigned peer_worker) {
  const std::lock_guard lock(mutex_);
  if (relay_) dialer_->open(server, own_worker, peer_worker);
}

void Cluster::on_event(const std::string& topic, const std::string& payload) {
  if (topic != kNodeMovedTopic) return;
  const auto moved = parse_node_moved(payload);
  if (!moved || moved->second == services_->server_id) return;
  if (const auto server = directory_.find(moved->second)) tell_relay(moved->first, server);
  worker_->post([this, node = moved->first] { node_moved(*services_, node); });
}

}  // namespace higgs::boson

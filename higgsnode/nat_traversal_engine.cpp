#include "higgsnode/nat_traversal_engine.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

#include "runtime/log.h"

namespace higgs::node {
namespace {

namespace asio = boost::asio;
namespace log = runtime::log;

}  // namespace

std::vector<Endpoint> usable_mappings(const net::PortMapperStatus& status) {
  std::vector<Endpoint> endpoints;
  for (const auto& mapping : status.mappings) {
    if (!mapping.double_nat) endpoints.push_back(mapping.external);
  }
  std::sort(endpoints.begin(), endpoints.end());
  endpoints.erase(std::unique(endpoints.begin(), endpoints.end()), endpoints.end());
  return endpoints;
}

NatTraversalEngine::NatTraversalEngine(asio::any_io_executor executor, PeerTable& peers, tunnel::TunnelDriver& driver,
                                       Options options)
    : executor_(std::move(executor)), peers_(peers), driver_(driver), options_(options) {}

NatTraversalEngine::~NatTraversalEngine() {
  *alive_ = false;
  mapper_.reset();
  // The device may outlive us: it must not call us any more.
  for (const auto& [key, peer] : paths_) (void)driver_.stop_traversal(key);
}

void NatTraversalEngine::set_events(Signal signal, PathChanged path_changed) {
  signal_ = std::move(signal);
  path_changed_ = std::move(path_changed);
}

void NatTraversalEngine::start_port_mapping() {
  if (!options_.traversal || !options_.port_mapping || options_.port == 0) return;
  net::PortMapper::Options mapping;
  mapping.port = options_.port;
  mapping.description = "higgsnode";
  mapper_ = std::make_unique<net::PortMapper>(std::move(mapping), [this, alive = alive_](const auto& status) {
    asio::post(executor_, [this, alive, status] {
      if (*alive) take_mappings(status);
    });
  });
}

Result<void> NatTraversalEngine::add(const crypto::PublicKey& key, const std::vector<IpPrefix>& addresses,
                                     const wireguard::PeerAddress& where) {
  if (auto added = peers_.add(key, addresses, where); !added) return added;
  if (!options_.traversal) return {};
  path::TraversalOptions options;
  options.leads = false;
  if (auto started = driver_.start_traversal(key, where, std::move(options), *this); !started) {
    // The relay carries the session all the same.
    log::warn("no traversal for a session", {{"reason", started.error().message()}});
    return {};
  }
  paths_.insert_or_assign(key, Peer{});
  return {};
}

Result<void> NatTraversalEngine::move(const crypto::PublicKey& key, const wireguard::PeerAddress& where) {
  if (auto moved = peers_.move(key, where); !moved) return moved;
  if (paths_.contains(key)) (void)driver_.set_traversal_relay(key, where);
  return {};
}

Result<void> NatTraversalEngine::remove(const crypto::PublicKey& key) {
  if (paths_.erase(key) > 0) (void)driver_.stop_traversal(key);
  return peers_.remove(key);
}

std::optional<wireguard::PeerStatus> NatTraversalEngine::status(const crypto::PublicKey& key) {
  return peers_.status(key);
}

void NatTraversalEngine::relay_lost(const crypto::PublicKey& key) {
  if (paths_.contains(key)) (void)driver_.set_traversal_relay(key, std::nullopt);
}

bool NatTraversalEngine::carried_without_relay(const crypto::PublicKey& key) {
  const auto now = report(key);
  return now && now->path && *now->path != path::Kind::kRelay && *now->path != path::Kind::kCascade;
}

void NatTraversalEngine::handle_signal(const crypto::PublicKey& key, const relay::PeerMessage& message) {
  ++counters_.signals_received;
  if (!paths_.contains(key) || !driver_.traversal_signal(key, message)) ++counters_.signals_refused;
}

void NatTraversalEngine::on_signal(const wireguard::PublicKey& peer, relay::PeerMessage message) {
  asio::post(executor_, [this, alive = alive_, peer, told = std::move(message)]() mutable {
    if (!*alive || !signal_) return;
    ++counters_.signals_sent;
    signal_(peer, std::move(told));
  });
}

void NatTraversalEngine::on_path_changed(const wireguard::PublicKey& peer, path::TraversalReport report) {
  asio::post(executor_, [this, alive = alive_, peer, now = std::move(report)] {
    if (*alive) note_path(peer, now);
  });
}

void NatTraversalEngine::note_path(const crypto::PublicKey& key, const path::TraversalReport& report) {
  const auto known = paths_.find(key);
  if (known == paths_.end()) return;
  auto& peer = known->second;
  const bool was_direct = peer.path && path::is_direct(*peer.path);
  const bool is_direct = report.path && path::is_direct(*report.path);
  if (report.path && report.path != peer.path) ++counters_.paths[*report.path];
  if (was_direct && !is_direct) ++counters_.fallbacks;
  if (is_direct && !std::exchange(peer.was_direct, true)) {
    ++counters_.direct_sessions;
    counters_.to_direct_last = report.time_to_direct.value_or(std::chrono::milliseconds(0));
    counters_.to_direct_sum += counters_.to_direct_last;
  }
  peer.path = report.path;
  if (path_changed_) path_changed_(key, report);
}

void NatTraversalEngine::take_mappings(const net::PortMapperStatus& status) {
  auto mapped = usable_mappings(status);
  if (mapped == network_.mapped) return;
  log::info(mapped.empty() ? "the router maps no port to this node" : "the router maps a port to this node",
            {{"mappings", mapped.size()}});
  network_.mapped = std::move(mapped);
  update(false);
}

void NatTraversalEngine::set_stun_servers(std::vector<Endpoint> servers) {
  network_.stun_servers = std::move(servers);
  update(false);
}

void NatTraversalEngine::set_network(const tunnel::HostNetwork& network, bool moved) {
  network_.addresses = network.addresses;
  network_.networks = network.networks;
  if (mapper_) mapper_->wake();
  update(moved);
}

void NatTraversalEngine::set_port_step(std::optional<int> step) {
  if (network_.port_step == step) return;
  network_.port_step = step;
  update(false);
}

void NatTraversalEngine::update(bool moved) {
  if (!options_.traversal) return;
  if (auto set = driver_.set_traversal_network(network_, moved); !set) {
    log::warn("the tunnel does not take the host's addresses", {{"reason", set.error().message()}});
  }
}

std::optional<path::TraversalReport> NatTraversalEngine::report(const crypto::PublicKey& key) {
  if (!paths_.contains(key)) return std::nullopt;
  auto report = driver_.traversal_report(key);
  return report ? std::move(*report) : std::nullopt;
}

std::vector<Endpoint> NatTraversalEngine::reflexive_addresses() {
  auto addresses = driver_.reflexive_addresses();
  return addresses ? std::move(*addresses) : std::vector<Endpoint>();
}

std::optional<net::PortMapperStatus> NatTraversalEngine::port_mapping() const {
  return mapper_ ? std::optional(mapper_->status()) : std::nullopt;
}

}  // namespace higgs::node

// NodeService: traversal of its sessions, from the start to what `higgsnode status` shows.
#include <algorithm>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include "higgsnode/node_service.h"
#include "higgsnode/port_mapping_diagnosis.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace higgs::node {
namespace {

namespace asio = boost::asio;
namespace log = runtime::log;

/// What the driver uses at most (TraversalNetwork::stun_servers).
constexpr std::size_t kMostStunServers = 4;

std::optional<IpAddress> address_of(const asio::ip::address& address) { return IpAddress::parse(address.to_string()); }

nlohmann::json strings(const std::vector<Endpoint>& endpoints) {
  auto list = nlohmann::json::array();
  for (const auto& endpoint : endpoints) list.push_back(endpoint.to_string());
  return list;
}

nlohmann::json counters_json(const TraversalCounters& counters) {
  auto paths = nlohmann::json::object();
  for (const auto kind : {path::Kind::kDirectV6, path::Kind::kDirectV4, path::Kind::kTurn, path::Kind::kRelay}) {
    const auto count = counters.paths.find(kind);
    paths[std::string(to_string(kind))] = count == counters.paths.end() ? 0 : count->second;
  }
  nlohmann::json to_direct;
  if (counters.direct_sessions > 0) {
    to_direct = counters.to_direct_sum.count() / static_cast<std::int64_t>(counters.direct_sessions);
  }
  return {{"paths", paths},
          {"directSessions", counters.direct_sessions},
          {"timeToDirectMs", to_direct},
          {"fallbacks", counters.fallbacks},
          {"signalsSent", counters.signals_sent},
          {"signalsReceived", counters.signals_received},
          {"signalsRefused", counters.signals_refused}};
}

}  // namespace

void NodeService::open_traversal() {
  const auto interface = wireguard_->driver().status();
  traversal_ = std::make_unique<NatTraversalEngine>(context_.get_executor(), *wireguard_, wireguard_->driver(),
                                                    NatTraversalEngine::Options{
                                                        .traversal = settings_.traversal,
                                                        .port_mapping = settings_.port_mapping,
                                                        .port = interface ? interface->listen_port : std::uint16_t{0},
                                                    });
  const auto signal = [this](const crypto::PublicKey& peer, relay::PeerMessage message) {
    if (const auto* session = sessions_->find(peer)) relay_->send_to_client(*session, std::move(message));
  };
  traversal_->set_events(signal, [this](const auto& peer, const auto& report) { log_path(peer, report); });
}

void NodeService::log_path(const crypto::PublicKey& peer, const path::TraversalReport& report) const {
  const auto* session = sessions_->find(peer);
  if (session == nullptr || !privacy_.logs_sessions()) return;
  log::debug("a session's path", {{"session", to_string(session->id)},
                                  {"path", std::string(report.path ? to_string(*report.path) : "none")},
                                  {"reason", std::string(to_string(report.reason))}});
}

asio::awaitable<void> NodeService::find_stun_servers(std::vector<api::HostPort> servers) {
  std::vector<Endpoint> found;
  asio::ip::udp::resolver resolver(context_.get_executor());
  for (const auto& server : servers) {
    if (const auto address = IpAddress::parse(server.host)) {
      found.push_back({*address, server.port});
    } else {
      auto looking = resolver.async_resolve(server.host, "", asio::as_tuple(asio::use_awaitable));
      const auto answer = co_await std::move(looking);
      for (const auto& entry : std::get<1>(answer)) {
        if (const auto named = address_of(entry.endpoint().address())) found.push_back({*named, server.port});
      }
    }
    if (found.size() >= kMostStunServers) break;
  }
  found.resize(std::min(found.size(), kMostStunServers));
  if (found != traversal_->network().stun_servers) traversal_->set_stun_servers(std::move(found));
}

std::optional<Endpoint> NodeService::reflexive_address() {
  const auto seen = traversal_->reflexive_addresses();
  const auto v4 = std::find_if(seen.begin(), seen.end(), [](const auto& each) { return each.address.is_v4(); });
  if (v4 != seen.end()) return *v4;
  return seen.empty() ? std::nullopt : std::optional(seen.front());
}

void NodeService::follow_reflexive(Instant now) {
  const auto reflexive = reflexive_address();
  if (!reflexive || reflexive == registered_reflexive_ || !connection_.status().registered) return;
  if (registered_reflexive_ && now - reflexive_told_ < kReflexiveInterval) return;
  // Making the request notes what it tells; should that fail, the next look is a minute away.
  registered_reflexive_ = reflexive;
  reflexive_told_ = now;
  connection_.register_again();
}

void NodeService::follow_public_addresses() {
  using Source = PublicAddresses::Source;
  std::vector<IpAddress> reflexive, mapped;
  for (const auto& endpoint : traversal_->reflexive_addresses()) reflexive.push_back(endpoint.address);
  if (const auto mapping = traversal_->port_mapping())
    for (const auto& port : mapping->mappings) mapped.push_back(port.external.address);
  bool changed = public_addresses_.note(Source::kStun, reflexive);
  changed = public_addresses_.note(Source::kRouter, mapped) || changed;
  if (const auto& nat = nat_->report(); nat && nat->mapped)
    changed = public_addresses_.note(Source::kNatType, {nat->mapped->address}) || changed;
  if (!changed) return;
  log::info("the addresses of this node's router are closed to clients",
            {{"addresses", public_addresses_.all().size()}});
  refresh_policy();
}

nlohmann::json NodeService::traversal_status() {
  const auto interface = wireguard_->driver().status();
  const auto mapping = traversal_->port_mapping();
  return {{"enabled", traversal_->enabled()},
          {"listenPort", interface ? interface->listen_port : 0},
          {"reflexive", strings(traversal_->reflexive_addresses())},
          {"stunServers", strings(traversal_->network().stun_servers)},
          {"strayStun", interface ? interface->traversal.stun_for_nobody : 0},
          {"heldChecks", interface ? interface->traversal.checks_held : 0},
          {"portMapping", mapping ? port_mapping_json(*mapping) : nlohmann::json()},
          {"counters", counters_json(traversal_->counters())}};
}

nlohmann::json NodeService::session_status(const Session& session, Now now) {
  nlohmann::json json = {{"id", to_string(session.id)},
                         {"seconds", unix_seconds(now.wall) - unix_seconds(session.opened)},
                         {"linked", !session.link_lost.has_value()},
                         {"moves", session.moves}};
  if (const auto peer = wireguard_->status(session.key)) {
    json["bytesFromClient"] = peer->received_bytes;
    json["bytesToClient"] = peer->sent_bytes;
    json["lastHandshake"] =
        peer->last_handshake ? nlohmann::json(unix_seconds(*peer->last_handshake)) : nlohmann::json();
  }
  const auto report = traversal_->report(session.key);
  if (!report) return json;
  const auto seconds_since = std::chrono::duration_cast<std::chrono::seconds>(now.monotonic - report->since).count();
  json["path"] = report->path ? nlohmann::json(std::string(to_string(*report->path))) : nlohmann::json();
  json["pathReason"] = std::string(to_string(report->reason));
  json["pathSeconds"] = report->path ? seconds_since : 0;
  json["remote"] = report->remote ? nlohmann::json(privacy_.address(report->remote->address)) : nlohmann::json();
  json["roundTripMs"] =
      report->round_trip ? nlohmann::json(static_cast<double>(report->round_trip->count()) / 1000) : nlohmann::json();
  json["lossPercent"] = report->loss * 100;
  json["timeToDirectMs"] = report->time_to_direct ? nlohmann::json(report->time_to_direct->count()) : nlohmann::json();
  const auto& ice = report->ice;
  json["refusedStun"] = ice.bad_integrity + ice.unknown_user + ice.unmatched + ice.malformed + ice.replayed;
  json["refusedCandidates"] = ice.candidates_dropped + ice.destinations_refused;
  json["switches"] = report->switches;
  json["fallbacks"] = report->fallbacks;
  json["restarts"] = report->restarts;
  return json;
}

}  // namespace higgs::node

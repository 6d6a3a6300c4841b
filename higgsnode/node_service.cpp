#include "higgsnode/node_service.h"

#include <algorithm>
#include <csignal>

#include <nlohmann/json.hpp>

#include "api/registration_signature.h"
#include "higgsnode/firewall_conflicts.h"
#include "higgsnode/forwarding.h"
#include "higgsnode/registration.h"
#include "net/server_probe.h"
#include "runtime/clock.h"
#include "runtime/deadline.h"
#include "runtime/log.h"
#include "runtime/service_notify.h"
#include "tunnel/conntrack.h"

namespace higgs::node {
namespace {

namespace asio = boost::asio;
namespace log = runtime::log;
using namespace std::chrono_literals;

net::HttpClientOptions http_options(const Settings& settings) {
  net::HttpClientOptions options;
  if (settings.pin) options.trust.spki_pins = {*settings.pin};
  if (settings.ca) options.trust.ca_file = settings.ca->string();
  options.user_agent = "higgsnode";
  // A server that restarts behind a silent firewall must be found again soon.
  options.connect_deadline = 3s;
  options.request_deadline = 10s;
  return options;
}

constexpr auto kMeasureDeadline = 500ms;

Identity load_identity(const std::filesystem::path& path, RandomSource& random) {
  auto identity = Identity::load_or_create(path, random);
  if (!identity) throw StartError("the node's keys in " + path.string() + ": " + identity.error().message());
  return std::move(*identity);
}

HostNetworks must_read_networks(const std::string& interface) {
  auto networks = read_host_networks(interface);
  if (!networks) throw StartError("the host's networks cannot be read: " + networks.error().message());
  return std::move(*networks);
}

}  // namespace

NodeService::NodeService(asio::io_context& context, const Settings& settings)
    : context_(context),
      signals_(context.get_executor()),
      end_(context.get_executor()),
      state_(settings.state_dir),
      operators_(state_.path(), settings, action_hooks()),
      settings_(operators_.settings()),
      identity_(load_identity(state_.path(), random_)),
      privacy_(settings.privacy),
      routing_(state_.journal(), chain_prefix(identity_.node_id()), routing_table(identity_.node_id())),
      api_http_(context.get_executor(), http_options(settings)),
      relay_http_(context.get_executor(), http_options(settings)),
      servers_(api::origin_of(settings.server).value_or(settings.server)),
      relays_(servers_.current()),
      connection_(context.get_executor(), api_http_, servers_, settings_.heartbeat_interval, *this, random_),
      reporter_(context.get_executor(), api_http_, settings_.metrics_interval,
                {[this] { return make_metrics_report(); }, [this] { return connection_.session_token(); },
                 [this] { return servers_.current(); }}),
      tracing_(settings_.tracing, "higgsnode", to_string(identity_.node_id()), random_),
      route_manager_(context.get_executor()),
      started_(runtime::now().wall),
      tasks_(context.get_executor()) {
  log::set_level(settings_.log_level);
  if (!state_.journal().empty()) log::info("undoing what an earlier run left behind");
  for (const auto& message : RoutingEngine::recover(state_.journal())) log::warn(message);
  open_tunnel();
  const auto applied = routing_.apply(wanted_policy());
  if (!applied) {
    const auto why = applied.error().message() + (routing_.detail().empty() ? "" : " (" + routing_.detail() + ")");
    (void)routing_.remove();
    throw StartError("the egress policy cannot be put in place: " + why,
                     applied.error() == tunnel::FirewallError::kNotPermitted ? kExitPrivileges : kExitFailure);
  }
  enforce();
  conflicts_ = find_firewall_conflicts(
      [](const auto& command, std::string_view input) { return tunnel::run_command(command, input); });
  for (const auto& table : conflicts_) {
    log::warn(
        "another firewall decides on forwarded packets too; if clients reach nothing, let the tunnel through there",
        {{"nft_table", table}, {"interface", wireguard_->name()}});
  }
}

NodeService::~NodeService() {
  tasks_.abandon();
  // After run() nothing is left; this is for a start that failed half way.
  if (!state_.journal().empty()) (void)routing_.remove();
}

void NodeService::open_tunnel() {
  networks_ = must_read_networks("");
  const auto kept = load_prefixes(state_.path());
  if (!kept) throw StartError("tunnel-prefixes cannot be read: " + kept.error().message());
  prefixes_ = choose_prefixes(*kept, settings_.prefix_v4, settings_.prefix_v6, networks_.own, read_forwarding().has_v6,
                              random_);
  if (*kept != prefixes_) {
    if (auto saved = save_prefixes(state_.path(), prefixes_); !saved) {
      throw StartError("tunnel-prefixes cannot be written: " + saved.error().message());
    }
  }
  auto opened = WireGuardManager::open({.interface = settings_.interface,
                                        .mtu = settings_.mtu,
                                        .listen_port = settings_.listen_port,
                                        .private_key = identity_.wireguard_key(),
                                        .prefixes = prefixes_});
  if (!opened) {
    const bool privileges = opened.error() == tunnel::TunnelError::kNotPermitted ||
                            opened.error() == boost::system::errc::operation_not_permitted;
    throw StartError("the tunnel interface cannot be made: " + opened.error().message(),
                     privileges ? kExitPrivileges : kExitFailure);
  }
  wireguard_ = std::move(*opened);
  networks_ = must_read_networks(wireguard_->name());
  const auto ended = [this](const Session& session, const std::optional<wireguard::PeerStatus>& peer) {
    log_ended(session, peer);
    forget_flows(session);
    if (!peer) return;
    ended_traffic_.sent_bytes += peer->received_bytes;
    ended_traffic_.received_bytes += peer->sent_bytes;
  };
  open_traversal();
  open_nat();
  sessions_ = std::make_unique<SessionManager>(*traversal_, prefixes_, settings_.max_connections, ended);
  sessions_->set_maintenance(operators_.standing().maintenance);
  RelayLink::Hooks hooks;
  hooks.up = [this] { connection_.hurry(); };
  hooks.not_authorized = [this] { connection_.register_again(); };
  hooks.peer_message = [this](const Session& session, const relay::PeerMessage& message) {
    traversal_->handle_signal(session.key, message);
  };
  relay_ = std::make_unique<RelayLink>(context_.get_executor(), relay_http_, relays_, identity_.node_id(),
                                       wireguard_->driver(), *sessions_, std::move(hooks), random_, tracing_.tracer());
}

void NodeService::log_ended(const Session& session, const std::optional<wireguard::PeerStatus>& peer) const {
  if (!privacy_.logs_sessions()) return;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(runtime::now().wall - session.opened).count();
  log::info("a session ended", {{"session", to_string(session.id)},
                                {"seconds", seconds},
                                {"bytes_from_client", peer ? peer->received_bytes : 0},
                                {"bytes_to_client", peer ? peer->sent_bytes : 0}});
}

/// What comes back for them would reach the next client with these addresses.
void NodeService::forget_flows(const Session& session) const {
  for (const IpPrefix& address : session.addresses) {
    const auto done = tunnel::forget_flows_of(address.address());
    if (!done) log::warn("flows of an ended session could not be forgotten", {{"error", done.error().message()}});
  }
}

EgressPolicy NodeService::wanted_policy() const {
  EgressPolicy policy;
  policy.interface = wireguard_->name();
  policy.tunnel = prefixes_;
  policy.own_networks = networks_.own;
  policy.public_addresses = public_addresses_.all();
  policy.denied_prefixes = settings_.egress.deny;
  policy.denied_ports = settings_.egress.deny_ports;
  policy.connections_per_client = settings_.egress.connections_per_client;
  return policy;
}

void NodeService::refresh_policy() {
  const auto applied = routing_.apply(wanted_policy());
  if (!applied) {
    log::error("the egress policy cannot be brought up to date; no client is served until it is",
               {{"reason", applied.error().message()}, {"detail", routing_.detail()}});
  }
  enforce();
}

void NodeService::enforce() {
  // Clients are told, so that they go to another node instead of waiting for this one.
  if (!routing_.in_force()) relay_->close_sessions();
  sessions_->set_policy_in_force(routing_.in_force());
}

void NodeService::check_policy() {
  // After a failed change what was wanted must be tried again, not what stood before.
  if (!routing_.in_force()) {
    refresh_policy();
    return;
  }
  if (const auto checked = routing_.check(); !checked) {
    log::error("the egress policy could not be put back; no client is served until it is",
               {{"reason", checked.error().message()}, {"detail", routing_.detail()}});
  }
  enforce();
}

std::vector<IpPrefix> NodeService::advertised_prefixes() const {
  return routing_.policy().ipv6 ? prefixes_.all() : std::vector<IpPrefix>{prefixes_.v4};
}

Result<void> NodeService::refresh_certificate() {
  const auto now = runtime::now().wall;
  if (certificate_ && certificate_->not_after > unix_seconds(now + kCertificateReserve)) return {};
  auto made = identity_.certify(exit_policy_of(settings_.egress.deny_ports, privacy_.logs_sessions()), now);
  if (!made) return made.error();
  certificate_ = std::move(*made);
  return {};
}

Result<api::RegisterRequest> NodeService::make_request(std::string nonce) {
  if (auto certified = refresh_certificate(); !certified) return certified.error();
  const auto interface = wireguard_->driver().status();
  last_metrics_ = make_heartbeat().metrics;
  registered_reflexive_ = reflexive_address();
  return make_registration({.settings = settings_,
                            .identity = identity_,
                            .networks = networks_,
                            .certificate = *certificate_,
                            .tunnel_prefixes = advertised_prefixes(),
                            .listen_port = interface ? interface->listen_port : std::uint16_t{0},
                            .reflexive = registered_reflexive_,
                            .nat = nat_->report(),
                            .metrics = last_metrics_},
                           std::move(nonce));
}

std::string NodeService::sign(std::string_view origin, std::string_view nonce, std::string_view raw_body) {
  return identity_.sign_registration(origin, nonce, raw_body);
}

TunnelTraffic NodeService::traffic() {
  TunnelTraffic total = ended_traffic_;
  for (const auto& [id, session] : sessions_->sessions()) {
    const auto peer = wireguard_->status(session.key);
    if (!peer) continue;
    total.sent_bytes += peer->received_bytes;
    total.received_bytes += peer->sent_bytes;
  }
  return total;
}

api::HeartbeatRequest NodeService::make_heartbeat() {
  const auto link = relay_->link_status();
  const auto round_trip = link ? link->round_trip : std::nullopt;
  api::HeartbeatRequest request;
  request.metrics =
      metrics_.collect(runtime::now().monotonic, traffic(), static_cast<std::uint32_t>(sessions_->size()), round_trip);
  last_metrics_ = request.metrics;
  if (!routing_.in_force())
    request.status = api::NodeStatus::kOffline;
  else if (!relay_->status().up || operators_.standing().maintenance)
    request.status = api::NodeStatus::kDegraded;
  return request;
}

void NodeService::on_registered(const api::RegisterResponse& response) {
  const auto& stun_servers = operators_.standing().config.stun_servers.value_or(response.stun_servers);
  tasks_.spawn("STUN servers", find_stun_servers(stun_servers));
  ask_about_nat(stun_servers);
  tasks_.spawn("nearest relay", link_to_nearest(response.relay_token));
  runtime::notify_status("registered with " + servers_.current());
}

/// The first link goes to the best server right away; later ones follow what became of the one before.
asio::awaitable<void> NodeService::link_to_nearest(std::string token) {
  auto measuring = net::measure_servers(relay_http_, relays_, kMeasureDeadline);
  co_await std::move(measuring);
  relay_->set_token(std::move(token));
  if (std::exchange(move_relay_, false)) relay_->reconsider();
}

void NodeService::on_relay_token(const std::string& token) { relay_->set_token(token); }

void NodeService::on_relay_servers(const std::vector<api::RelayServer>& servers) {
  const auto now = runtime::now().monotonic;
  servers_.learn(now, servers);
  relays_.learn(now, operators_.standing().config.relay_servers.value_or(servers));
  if (!settings_.pin) return;
  auto trust = http_options(settings_).trust;
  for (const auto* choice : {&servers_, &relays_})
    for (const auto& pin : choice->pins())
      if (std::find(trust.spki_pins.begin(), trust.spki_pins.end(), pin) == trust.spki_pins.end())
        trust.spki_pins.push_back(pin);
  api_http_.set_trust(trust);
  relay_http_.set_trust(trust);
}

void NodeService::on_observed_address(const IpAddress& address) {
  if (!public_addresses_.note(PublicAddresses::Source::kServer, {address})) return;
  log::info("this node's public address is closed to clients", {{"address", privacy_.address(address)}});
  refresh_policy();
}

asio::awaitable<void> NodeService::watch_networks() {
  for (;;) {
    co_await route_manager_.changed();
    if (routing_.in_force() && !routing_.routes_stand()) check_policy();
    auto networks = read_host_networks(wireguard_->name());
    if (!networks) {
      log::warn("the host's networks cannot be read", {{"reason", networks.error().message()}});
      continue;
    }
    if (*networks == networks_) continue;
    networks_ = std::move(*networks);
    log::info("the host's networks have changed", {{"networks", networks_.own.size()}});
    refresh_policy();
    nat_->network_changed();
    connection_.hurry();
  }
}

asio::awaitable<void> NodeService::keep_house() {
  auto checked = runtime::now().monotonic;
  for (;;) {
    auto pause = runtime::sleep_for(kHousekeepingInterval);
    co_await std::move(pause);
    const auto now = runtime::now();
    sessions_->expire(now);
    follow_reflexive(now.monotonic);
    follow_public_addresses();
    // Between the rules of somebody who reloads a firewall and ours clients could reach what they must not.
    const bool disturbed = routing_.in_force() && !routing_.untouched();
    if (disturbed || now.monotonic - checked >= (routing_.in_force() ? kHealthInterval : kRepairInterval)) {
      checked = now.monotonic;
      check_policy();
    }
  }
}

asio::awaitable<std::string> NodeService::answer_control(std::string request) {
  if (request == "status") co_return status().dump();
  co_return R"({"error":"unknown request"})";
}

asio::awaitable<Ending> NodeService::run() {
  if (auto opened = route_manager_.open(); !opened) {
    throw StartError("changes of the host's networks cannot be seen: " + opened.error().message());
  }
  auto answer = [this](std::string request) { return answer_control(std::move(request)); };
  auto control = runtime::ControlServer::listen(context_.get_executor(), state_.control_socket(), answer);
  if (!control) throw StartError("the control socket cannot be opened: " + control.error().message());
  control_ = std::move(*control);
  auto monitor = tunnel::NetworkMonitor::open(context_.get_executor());
  if (!monitor) throw StartError("changes of the host's addresses cannot be seen: " + monitor.error().message());
  auto without = [this] { return std::vector<std::string>{wireguard_->name()}; };
  auto moved = [this](const tunnel::HostNetwork& network, bool moved_away) {
    traversal_->set_network(network, moved_away);
  };
  traversal_->start_port_mapping();
  tasks_.spawn("addresses", monitor->run(without, moved));
  tasks_.spawn("networks", watch_networks());
  tasks_.spawn("NAT type", nat_->run([this] { nat_changed(); }));
  tasks_.spawn("housekeeping", keep_house());
  tasks_.spawn("registration", connection_.run());
  tasks_.spawn("relay link", relay_->run());
  tasks_.spawn("metrics", reporter_.run());
  tracing_.start(context_.get_executor());
  log::info("higgsnode is up", {{"node", to_string(identity_.node_id())},
                                {"interface", wireguard_->name()},
                                {"prefix", prefixes_.v4.to_string()},
                                {"server", settings_.server}});
  runtime::notify_ready("looking for " + settings_.server);
  // Apart from the other tasks: a SIGTERM that comes while a restart stops the node ends it for good.
  runtime::TaskGroup watch(context_.get_executor());
  watch.spawn("signals", watch_signals());
  co_await end_.wait();
  const bool clean = co_await stop();
  watch.cancel();
  co_await watch.join(1s);
  if (!clean) co_return Ending::kLeftovers;
  co_return told_to_end_ ? Ending::kClean : Ending::kRestart;
}

asio::awaitable<void> NodeService::watch_signals() {
  for (;;) {
    const int signal = co_await signals_.next();
    if (signal == SIGHUP) {
      connection_.hurry();
      continue;
    }
    told_to_end_ = true;
    end_.notify();
  }
}

asio::awaitable<bool> NodeService::stop() {
  // For systemd a restart is no end: the process goes on as the same one.
  if (told_to_end_)
    runtime::notify_stopping();
  else
    runtime::notify_status("restarts");
  log::info(told_to_end_ ? "stopping" : "stopping, to begin anew");
  sessions_->drain();
  relay_->close_sessions();
  tasks_.cancel();
  co_await tasks_.join(2s);
  co_await connection_.say_offline(2s);
  co_await control_->stop();
  control_.reset();
  sessions_->close_all();
  relay_->detach();
  traversal_->stop_port_mapping();
  const auto left = routing_.remove();
  for (const auto& message : left) log::error(message);
  co_await tracing_.stop();
  api_http_.close();
  relay_http_.close();
  log::info("stopped");
  co_return left.empty();
}

}  // namespace higgs::node

// The node, put together: what is on this host (state directory, interface, rules), what is towards the server
// (registration, relay link), and the tasks that keep both well. Everything on one io_context thread; packets are on
// the tunnel driver's own.
#pragma once

#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <nlohmann/json_fwd.hpp>

#include "higgsnode/connection_manager.h"
#include "higgsnode/identity.h"
#include "higgsnode/metrics_collector.h"
#include "higgsnode/metrics_reporter.h"
#include "higgsnode/nat_traversal_engine.h"
#include "higgsnode/network_route_manager.h"
#include "higgsnode/operator_actions.h"
#include "higgsnode/privacy_manager.h"
#include "higgsnode/public_addresses.h"
#include "higgsnode/relay_link.h"
#include "higgsnode/routing_engine.h"
#include "higgsnode/session_manager.h"
#include "higgsnode/settings.h"
#include "higgsnode/state_directory.h"
#include "higgsnode/wireguard_manager.h"
#include "net/nat_type_monitor.h"
#include "net/tracing.h"
#include "runtime/async_event.h"
#include "runtime/control_socket.h"
#include "runtime/signals.h"
#include "runtime/task_group.h"

namespace higgs::node {

/// How a run ended.
enum class Ending {
  kClean,
  kLeftovers,  ///< something could not be taken away
  kRestart,    ///< clean, and an operator wants it to begin anew
};

class NodeService final : private ConnectionEvents {
 public:
  /// Takes the state directory, undoes what a crash left, makes the interface and puts the rules in place. Throws
  /// StartError. The context is not run here.
  NodeService(boost::asio::io_context& context, const Settings& settings);
  ~NodeService() override;

  /// Until SIGTERM, SIGINT or an operator's restart; then everything is taken away.
  boost::asio::awaitable<Ending> run();
  nlohmann::json status();

 private:
  /// Everything is looked at as often; what can be seen cheaply to be untouched, at each round of housekeeping.
  static constexpr std::chrono::seconds kHealthInterval{30};
  static constexpr std::chrono::seconds kHousekeepingInterval{1};
  static constexpr std::chrono::seconds kRepairInterval{5};
  /// A NAT that gives us another address all the time is not told of more often.
  static constexpr std::chrono::seconds kReflexiveInterval{60};
  /// A certificate is made anew when less than this is left of it.
  static constexpr std::chrono::hours kCertificateReserve{3 * 24};

  Result<api::RegisterRequest> make_request(std::string nonce) override;
  std::string sign(std::string_view origin, std::string_view nonce, std::string_view raw_body) override;
  api::HeartbeatRequest make_heartbeat() override;
  void on_registered(const api::RegisterResponse& response) override;
  void on_relay_token(const std::string& token) override;
  void on_observed_address(const IpAddress& address) override;
  void on_relay_servers(const std::vector<api::RelayServer>& servers) override;
  boost::asio::awaitable<void> link_to_nearest(std::string token);
  api::ActionResult on_action(const api::NodeAction& action) override;

  OperatorActions::Hooks action_hooks();
  /// What operators changed takes effect.
  void apply_changes(const api::NodeConfig& before);
  api::MetricsReport make_metrics_report();
  nlohmann::json operator_status() const;
  void open_tunnel();
  EgressPolicy wanted_policy() const;
  /// Brings the rules up to date; if that fails no session is left and none is accepted until it works.
  void refresh_policy();
  void check_policy();
  void enforce();
  Result<void> refresh_certificate();
  TunnelTraffic traffic();
  std::vector<IpPrefix> advertised_prefixes() const;
  void forget_flows(const Session& session) const;
  void log_ended(const Session& session, const std::optional<wireguard::PeerStatus>& peer) const;
  void open_traversal();
  void open_nat();
  void ask_about_nat(const std::vector<api::HostPort>& stun_servers);
  void nat_changed();
  /// Ports of a NAT that counts can be predicted.
  void follow_port_step();
  void log_path(const crypto::PublicKey& peer, const path::TraversalReport& report) const;
  /// The server is told how STUN sees our port, once that is known and whenever it changes.
  void follow_reflexive(Instant now);
  /// Every address that the router is known by is closed to clients.
  void follow_public_addresses();
  std::optional<Endpoint> reflexive_address();
  nlohmann::json traversal_status();
  nlohmann::json session_status(const Session& session, Now now);
  boost::asio::awaitable<void> find_stun_servers(std::vector<api::HostPort> servers);
  boost::asio::awaitable<void> watch_networks();
  boost::asio::awaitable<void> keep_house();
  boost::asio::awaitable<std::string> answer_control(std::string request);
  boost::asio::awaitable<void> watch_signals();
  boost::asio::awaitable<bool> stop();

  boost::asio::io_context& context_;
  /// First, so that a signal during the start is kept and what was begun is taken away in order.
  runtime::Signals signals_;
  runtime::AsyncEvent end_;
  bool told_to_end_ = false;  ///< by a signal; else an ending is a restart
  SystemRandom random_;
  StateDirectory state_;
  OperatorActions operators_;
  Settings settings_;  ///< in force
  Identity identity_;
  PrivacyManager privacy_;
  MetricsCollector metrics_;
  api::HeartbeatMetrics last_metrics_;
  HostNetworks networks_;
  PublicAddresses public_addresses_;
  TunnelPrefixes prefixes_;
  RoutingEngine routing_;
  std::unique_ptr<WireGuardManager> wireguard_;
  std::unique_ptr<NatTraversalEngine> traversal_;
  std::unique_ptr<net::NatTypeMonitor> nat_;
  std::unique_ptr<SessionManager> sessions_;
  net::HttpClient api_http_, relay_http_;
  api::ServerChoice servers_;  ///< for the API
  api::ServerChoice relays_;   ///< the same, unless operators chose others for the relay
  ConnectionManager connection_;
  MetricsReporter reporter_;
  bool move_relay_ = false;
  net::Tracing tracing_;
  std::unique_ptr<RelayLink> relay_;
  NetworkRouteManager route_manager_;
  std::unique_ptr<runtime::ControlServer> control_;
  std::optional<api::KeyCertificate> certificate_;
  TunnelTraffic ended_traffic_;
  std::vector<std::string> conflicts_;
  std::optional<Endpoint> registered_reflexive_;
  Instant reflexive_told_{};
  WallTime started_{};
  runtime::TaskGroup tasks_;
};

}  // namespace higgs::node

// One `connect`, from the kill switch to the clean end: it does what ConnectionMachine says, and tells it what came of
// it.
//
// Order: kill switch closed → route → key certificate checked → interface, kill switch opened for it, routes, DNS →
// relay link → handshake → better paths. Nothing is sent to a node before it is checked, and nothing of other programs
// leaves this machine beside the tunnel from the first step on.
//
// Threads: all on the executor's thread; the tunnel device's thread only posts. Lifetime: until run() has completed.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "api/routing.h"
#include "base/random.h"
#include "higgsvpn/api_client.h"
#include "higgsvpn/connect_trace.h"
#include "higgsvpn/connection_machine.h"
#include "higgsvpn/connection_report.h"
#include "higgsvpn/local_network.h"
#include "higgsvpn/node_trust.h"
#include "higgsvpn/quality.h"
#include "higgsvpn/tunnel_session.h"
#include "net/nat_type_monitor.h"

namespace higgs::vpn {

struct ConnectOptions {
  std::optional<NodeId> node;  ///< only this one
  api::RouteRequirements requirements;
  std::vector<IpAddress> dns;  ///< instead of the server's
  bool kill_switch = true;
  bool allow_lan = false;
  path::Policy path = path::Policy::kAuto;
  net::TraceSettings tracing;
};

class Connection : private tunnel::RelayLinkEvents {
 public:
  /// Control messages that wait to be looked at; further ones are dropped.
  static constexpr std::size_t kMaxEvents = 1024;

  Connection(const boost::asio::any_io_executor& executor, const StateDirectory& state, Account account,
             LocalNetwork& network, ConnectOptions options, ConnectionObserver& observer);
  ~Connection() override;

  /// Until stop() (success) or until it gives up. Either way the machine is as before, except that after a tunnel was
  /// up the kill switch stays closed when it gives up.
  boost::asio::awaitable<Outcome<void>> run();
  void stop();
  ConnectionReport report();

 private:
  /// What the device's thread told, to be looked at on ours.
  struct ControlEvent {
    tunnel::LinkId link = 0;
    std::string message;
  };
  struct LinkEnded {
    tunnel::LinkId link = 0;
    std::uint16_t code = 0;
    std::string reason;
  };
  struct LinkDoubtful {
    tunnel::LinkId link = 0;
  };
  struct SignalEvent {
    SessionId session;
    relay::PeerMessage message;
  };
  struct PathEvent {
    SessionId session;
    path::TraversalReport report;
  };
  using Event = std::variant<ControlEvent, LinkEnded, LinkDoubtful, SignalEvent, PathEvent>;
  class TraversalFeed;

  void on_control(tunnel::LinkId link, std::string message) override;
  void on_link_closed(tunnel::LinkId link, std::uint16_t code, std::string reason) override;
  void on_link_doubtful(tunnel::LinkId link) override;
  void post_event(Event event);

  boost::asio::awaitable<Outcome<void>> prepare();
  boost::asio::awaitable<void> resolve_servers();
  boost::asio::awaitable<std::vector<IpAddress>> resolve(const std::string& host, std::chrono::milliseconds patience);
  boost::asio::awaitable<Failure> drive();
  boost::asio::awaitable<Failure> do_what_the_machine_says();
  boost::asio::awaitable<void> wait_for_stop();
  boost::asio::awaitable<void> watch_network();
  void on_network(const tunnel::HostNetwork& network, bool moved);
  std::vector<std::string> interfaces_of_ours() const;
  net::NatTypeMonitorOptions nat_options();
  void ask_about_nat(std::optional<net::StunServerName> server);
  api::ClientNetworkInfo network_info() const;
  std::optional<int> port_step() const;
  void follow_path();
  void report_path(ConnectionReport& report);
  boost::asio::awaitable<void> wait_until(Instant until);
  boost::asio::awaitable<void> request_route();
  boost::asio::awaitable<void> open_link();
  boost::asio::awaitable<void> renew();
  boost::asio::awaitable<void> end_stale_sessions();
  boost::asio::awaitable<Outcome<void>> finish(Outcome<void> result);
  Outcome<void> adopt(const api::SelectedRoute& route, const crypto::PrivateKey& key);
  void take_events();
  void take(const ControlEvent& event);
  void take(const LinkEnded& event);
  void take(const LinkDoubtful& event);
  void take(const SignalEvent& event);
  void take(const PathEvent& event);
  void take_control(const std::string& message);
  void sample();
  boost::asio::awaitable<void> keep_local_network();
  void mend();
  void publish();

  boost::asio::any_io_executor executor_;
  const StateDirectory& state_;
  Account account_;
  LocalNetwork& network_;
  ConnectOptions options_;
  ConnectionObserver& observer_;
  SystemRandom random_;
  ConnectTrace trace_;
  NodeTrust trust_;
  std::unique_ptr<ApiClient> api_;
  std::unique_ptr<ConnectionMachine> machine_;
  std::unique_ptr<TunnelSession> session_;
  std::vector<SessionId> stale_sessions_;
  Quality quality_;
  boost::asio::steady_timer wake_, stop_timer_;
  bool stopping_ = false, resumed_ = false;
  std::deque<Event> events_;
  std::optional<WallTime> last_handshake_, connected_since_;
  std::optional<ConnectionMachine::State> published_;
  std::string published_trouble_;
  std::uint64_t reconnects_ = 0;
  Instant next_sample_{}, mended_again_{};
  std::string mended_;
  tunnel::HostNetwork host_network_;
  net::NatTypeMonitor nat_;
};

}  // namespace higgs::vpn

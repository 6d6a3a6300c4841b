// What a Connection does so that its tunnel takes the best path: the traversal's servers and messages, the host's
// network, the NAT before it.
#include <algorithm>

#include <boost/asio/use_awaitable.hpp>

#include "higgsvpn/connection.h"
#include "higgsvpn/marks.h"
#include "higgsvpn/traversal_servers.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "tunnel/rules_monitor.h"

namespace higgs::vpn {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

constexpr std::chrono::seconds kMendNoticeInterval{10};  // of the same sentence

/// Nothing to do any more, but not the end either.
awaitable<void> wait_for_cancellation(asio::any_io_executor executor) {
  asio::steady_timer never(executor, asio::steady_timer::time_point::max());
  co_await never.async_wait(asio::use_awaitable);
}

}  // namespace

/// The traversal of one session; what it tells after the session's end is for nobody.
class Connection::TraversalFeed final : public tunnel::TraversalEvents {
 public:
  TraversalFeed(Connection& connection, const SessionId& session) : connection_(connection), session_(session) {}
  void on_signal(const wireguard::PublicKey&, relay::PeerMessage message) override {
    connection_.post_event(SignalEvent{session_, std::move(message)});
  }
  void on_path_changed(const wireguard::PublicKey&, path::TraversalReport report) override {
    connection_.post_event(PathEvent{session_, std::move(report)});
  }

 private:
  Connection& connection_;
  SessionId session_;
};

Outcome<void> Connection::adopt(const api::SelectedRoute& route, const crypto::PrivateKey& key) {
  TunnelSession::Options options;
  options.dns = options_.dns;
  options.policy = options_.path;
  options.stun_servers = stun_endpoints(route.stun_servers, account_.known_hosts);
  options.turn = turn_access(route.turn, account_.known_hosts);
  auto session =
      TunnelSession::create(route, key, std::move(options), std::make_unique<TraversalFeed>(*this, route.session_id));
  if (!session) return session.error();
  const TunnelAddresses addresses = (*session)->addresses();
  if (addresses.dns.empty()) observer_.on_notice("the server names no DNS resolver; give one with --dns");
  // The new interface takes the routes over before the old one goes, so that nothing falls through to the LAN between.
  const auto led = network_.lead_into(addresses);
  if (!led) return led.error();
  session_ = std::move(*session);
  trace_.session_begun(route.session_id, options_.path != path::Policy::kRelayOnly);
  session_->set_network(host_network_, false, port_step());
  if (!route.stun_servers.empty())
    ask_about_nat(net::StunServerName{route.stun_servers.front().host, route.stun_servers.front().port});
  last_handshake_.reset();
  next_sample_ = runtime::now().monotonic;
  return {};
}

void Connection::take(const SignalEvent& event) {
  if (session_->route().session_id == event.session) session_->send_signal(event.message);
}

void Connection::take(const PathEvent& event) {
  if (session_->route().session_id != event.session) return;
  const auto& path = event.report.path;
  runtime::log::info("the tunnel's path", {{"path", path ? path::to_string(*path) : "none"},
                                           {"reason", path::to_string(event.report.reason)}});
  trace_.path_taken(path);
  follow_path();
  // Without the relay the first handshake had nowhere to go.
  if (!path || options_.path != path::Policy::kDirectOnly) return;
  const auto peer = session_->peer_status();
  if (peer && !peer->has_session) session_->restart_handshake();
}

void Connection::follow_path() {
  const auto report = session_->path_report();
  const bool carried = report && report->path && *report->path != path::Kind::kRelay;
  machine_->carried_without_link(runtime::now().monotonic, carried);
}

// --- the host's network ------------------------------------------------------------------------------------------

awaitable<void> Connection::watch_network() {
  auto monitor = tunnel::NetworkMonitor::open(executor_);
  if (!monitor) {
    runtime::log::warn("changes of the network will not be noticed", {{"error", monitor.error().message()}});
    auto waiting = wait_for_cancellation(executor_);
    co_return co_await std::move(waiting);
  }
  std::function<std::vector<std::string>()> without = [this] { return interfaces_of_ours(); };
  tunnel::NetworkMonitor::Changed changed = [this](const tunnel::HostNetwork& network, bool moved) {
    on_network(network, moved);
  };
  auto watching = monitor->run(std::move(without), std::move(changed));
  co_await std::move(watching);
}

std::vector<std::string> Connection::interfaces_of_ours() const {
  return session_ ? std::vector{session_->addresses().ifname} : std::vector<std::string>();
}

void Connection::on_network(const tunnel::HostNetwork& network, bool moved) {
  const bool first = host_network_ == tunnel::HostNetwork();
  const bool lost_one =
      std::any_of(host_network_.addresses.begin(), host_network_.addresses.end(), [&](const IpAddress& address) {
        return std::find(network.addresses.begin(), network.addresses.end(), address) == network.addresses.end();
      });
  host_network_ = network;
  if (!session_) return;
  session_->set_network(network, moved, port_step());
  if (first || (!moved && !lost_one)) return;
  runtime::log::info("the host is in another network");
  api_->close();
  machine_->network_changed(runtime::now().monotonic);
  nat_.network_changed();
  wake_.cancel();
}

// In every state: the kill switch stands, and is somebody's to flush, also while nothing is connected.
awaitable<void> Connection::keep_local_network() {
  tunnel::RulesMonitor monitor(executor_);
  std::function<void()> look = [this] { mend(); };
  auto watching = monitor.run(std::move(look));
  co_await std::move(watching);
}

void Connection::mend() {
  const auto mended = network_.mend();
  if (!mended || (*mended == mended_ && runtime::now().monotonic < mended_again_)) return;
  mended_ = *mended;
  mended_again_ = runtime::now().monotonic + kMendNoticeInterval;
  observer_.on_notice(*mended);
}

// --- the NAT before it -------------------------------------------------------------------------------------------

net::NatTypeMonitorOptions Connection::nat_options() {
  net::NatTypeMonitorOptions options;
  options.mark = kFirewallMark;
  options.memory = state_.nat();
  options.without = [this] { return interfaces_of_ours(); };
  // A name is asked for only before the kill switch closes.
  options.known_addresses = [this](const std::string& host) { return account_.known_hosts[host]; };
  return options;
}

/// Through the relay only, nobody is to learn of this host's address but the server, which sees it anyway.
void Connection::ask_about_nat(std::optional<net::StunServerName> server) {
  if (server && options_.path != path::Policy::kRelayOnly) nat_.set_server(std::move(*server));
}

api::ClientNetworkInfo Connection::network_info() const {
  api::ClientNetworkInfo info;
  if (options_.path == path::Policy::kRelayOnly || !nat_.report()) return info;
  info.nat_type = api::parse_nat_type(stun::to_string(nat_.report()->nat)).value_or(api::NatType::kUnknown);
  info.stun_mapped_address = nat_.report()->mapped;
  return info;
}

std::optional<int> Connection::port_step() const {
  const auto& nat = nat_.report();
  if (!nat || nat->allocation != stun::PortAllocation::kSequential) return std::nullopt;
  return nat->port_step;
}

}  // namespace higgs::vpn

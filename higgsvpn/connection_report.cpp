// How a Connection tells what it is doing.
#include "higgsvpn/connection_report.h"

#include "higgsvpn/connection.h"
#include "runtime/clock.h"

namespace higgs::vpn {
namespace {

using State = ConnectionMachine::State;

}  // namespace

void Connection::publish() {
  const State state = machine_->state();
  if (published_ == state && (state == State::kConnected || published_trouble_ == machine_->trouble())) return;
  published_trouble_ = machine_->trouble();
  if (state == State::kConnected) {
    if (published_ == State::kReconnecting) ++reconnects_;
    if (!connected_since_) connected_since_ = runtime::now().wall;
  }
  published_ = state;
  observer_.on_state(report());
}

ConnectionReport Connection::report() {
  ConnectionReport report;
  report.server = api_ ? api_->server() : account_.server;
  report.kill_switch = options_.kill_switch;
  report.reconnects = reconnects_;
  report.connected_since = connected_since_;
  report.sent_bytes = quality_.sent_bytes();
  report.received_bytes = quality_.received_bytes();
  report.sent_mbps = quality_.sent_mbps();
  report.received_mbps = quality_.received_mbps();
  report.relay_round_trip_ms = quality_.round_trip_ms();
  report.relay_jitter_ms = quality_.jitter_ms();
  if (machine_) {
    report.state = machine_->state();
    if (report.state != State::kConnected) report.trouble = machine_->trouble();
  }
  if (!session_) return report;
  report.node = session_->route().node_endpoint.node_id;
  report.session = session_->route().session_id;
  report.mtu = session_->route().node_endpoint.wireguard_config.mtu;
  const TunnelAddresses addresses = session_->addresses();
  report.ifname = addresses.ifname;
  report.addresses = addresses.addresses;
  report.dns = addresses.dns;
  report.last_handshake = last_handshake_;
  if (const auto link = session_->link_status()) report.dropped_packets = link->dropped_packets;
  report_path(report);
  return report;
}

void Connection::report_path(ConnectionReport& report) {
  if (const auto& nat = nat_.report()) report.nat_type = stun::to_string(nat->nat);
  const auto path = session_->path_report();
  if (!path) return;
  const Now now = runtime::now();
  if (path->path) {
    report.path = path::to_string(*path->path);
    report.path_reason = path::to_string(path->reason);
    report.path_since = now.wall - std::chrono::duration_cast<WallTime::duration>(now.monotonic - path->since);
  }
  report.path_remote = path->remote;
  if (path->round_trip) report.path_round_trip_ms = static_cast<double>(path->round_trip->count()) / 1000;
  report.path_loss = path->loss;
  if (path->time_to_direct) report.time_to_direct_ms = path->time_to_direct->count();
  report.path_switches = path->switches;
  report.path_fallbacks = path->fallbacks;
  report.path_restarts = path->restarts;
  const auto counters = session_->traversal_counters();
  report.duplicated_packets = counters.duplicated;
  const auto& ice = path->ice;
  report.refused_stun =
      counters.stun_for_nobody + ice.bad_integrity + ice.unknown_user + ice.unmatched + ice.malformed + ice.replayed;
}

}  // namespace higgs::vpn

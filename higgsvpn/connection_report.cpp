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
  report.server = account_.server;
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
  if (const auto link = session_->link_status()) {
    report.path = "relay";
    report.dropped_packets = link->dropped_packets;
  }
  return report;
}

}  // namespace higgs::vpn

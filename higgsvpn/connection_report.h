// A connection at one moment, as `status`, `stats` and the status line show it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/time.h"
#include "base/uuid.h"
#include "higgsvpn/connection_machine.h"

namespace higgs::vpn {

struct ConnectionReport {
  ConnectionMachine::State state = ConnectionMachine::State::kConnecting;
  std::string server;
  bool kill_switch = false;
  std::optional<NodeId> node;
  std::optional<SessionId> session;
  std::string path;  ///< "relay"; empty without a link
  std::string ifname;
  std::vector<IpAddress> addresses, dns;
  std::uint32_t mtu = 0;
  std::optional<WallTime> connected_since, last_handshake;
  std::uint64_t sent_bytes = 0, received_bytes = 0;
  double sent_mbps = 0, received_mbps = 0;
  std::optional<double> relay_round_trip_ms;
  double relay_jitter_ms = 0;
  std::uint64_t dropped_packets = 0;  ///< by our own queue towards the relay
  std::uint64_t reconnects = 0;
  std::string trouble;  ///< why it is not connected just now
};

/// Told of changes; called on the connection's thread.
class ConnectionObserver {
 public:
  virtual ~ConnectionObserver() = default;
  /// The state changed.
  virtual void on_state(const ConnectionReport& report) = 0;
  /// About once a second while connected.
  virtual void on_sample(const ConnectionReport& report) = 0;
  /// Something the user should read, once.
  virtual void on_notice(const std::string& sentence) = 0;
};

}  // namespace higgs::vpn

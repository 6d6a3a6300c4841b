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
  /// "direct-v6", "direct-v4", "turn" or "relay"; empty while no path is there.
  std::string path;
  std::string path_reason;              ///< why it is in use (path::Reason)
  std::optional<Endpoint> path_remote;  ///< where its packets go; unset: through the relay link
  std::optional<WallTime> path_since;
  std::optional<double> path_round_trip_ms;
  double path_loss = 0;  ///< of the last probes, 0 to 1
  std::optional<std::int64_t> time_to_direct_ms;
  std::uint64_t path_switches = 0, path_fallbacks = 0, path_restarts = 0;
  std::uint64_t duplicated_packets = 0;  ///< over a second path, while one was in doubt
  std::uint64_t refused_stun = 0;        ///< forged, replayed, malformed, or for nobody here
  std::string nat_type;                  ///< as in proto/openapi.yaml; empty: not known
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

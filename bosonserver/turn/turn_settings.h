// What an operator may set about TURN.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "bosonserver/turn/relay_ports.h"
#include "bosonserver/turn/stream_server.h"
#include "config/schema.h"
#include "turn/turn_server.h"

namespace higgs::boson {

struct TurnSettings {
  bool enabled = true;
  bool tcp = true, tls = true;
  std::optional<Endpoint> tcp_listen, tls_listen;  ///< unset: the address of STUN, with its port and with 5349
  std::vector<IpAddress> relay_addresses, external_addresses;
  PortRange ports;
  std::string realm = "higgs";
  std::uint32_t allocations = 10'000, allocations_per_session = 4;
  std::optional<double> rate_mbps;  ///< unset: that of a session on the relay
  bool allow_private_peers = false;
  std::chrono::seconds credential_lifetime{7 * 24 * 3600};
  std::optional<std::filesystem::path> secret_file;  ///< unset: turn.key in the state directory
  StreamLimits streams;

  void declare(config::Schema& schema);
};

}  // namespace higgs::boson

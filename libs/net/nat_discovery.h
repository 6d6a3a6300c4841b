// Runs stun::BehaviourDiscovery on two fresh UDP sockets: what `diagnose nat`, registration and route requests tell of
// the NAT before this host. Asio; the executor's thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "base/ip.h"
#include "base/random.h"
#include "base/result.h"
#include "stun/behaviour.h"

namespace higgs::net {

struct NatDiscoveryOptions {
  Endpoint server;         ///< a STUN server; a second address and port make the report complete
  std::uint32_t mark = 0;  ///< SO_MARK, so that the sockets stay out of the tunnel; 0: none
};

/// Ends by itself within two seconds. Errors: no socket could be made. Silence is a report (kUdpBlocked).
boost::asio::awaitable<Result<stun::BehaviourReport>> discover_nat(NatDiscoveryOptions options, RandomSource& random);

struct LocalAddress {
  IpAddress address;
  IpPrefix network;
  std::string interface;
};
/// Of this host's interfaces that are up, without loopback and link-local; `without`: these interfaces'.
std::vector<LocalAddress> local_addresses(const std::vector<std::string>& without);
/// Their networks.
std::vector<IpPrefix> local_prefixes(const std::vector<std::string>& without);

}  // namespace higgs::net

// The hosts of a route answer as addresses. The API's name was resolved before the kill switch closed; of others the
// server tells the addresses, since nobody else can be asked any more (docs/adr/0012). Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/routing.h"
#include "base/ip.h"
#include "path/traversal.h"

namespace higgs::vpn {

using KnownHosts = std::map<std::string, std::vector<IpAddress>>;

/// What a route answer says of the names in it is taken, but for the name of the API's own host, which is found another
/// way, and within limits. Returns the names whose addresses are new.
inline constexpr std::size_t kMostKnownHosts = 64, kMostAddressesOfAHost = 8;
std::vector<std::string> learn_hosts(KnownHosts& known, const std::vector<api::HostAddresses>& told,
                                     const std::string& api_host);

struct TurnUri {
  std::string host;
  std::uint16_t port = 3478;
};
/// turn:host[:port][?transport=udp] (RFC 7065). nullopt: none, or not over UDP.
std::optional<TurnUri> parse_turn_uri(std::string_view text);

/// One address of each family for each server, at most 4.
std::vector<Endpoint> stun_endpoints(const std::vector<api::HostPort>& servers, const KnownHosts& known);
/// The first that can be used over UDP; IPv4 before IPv6, since every node has it.
std::optional<path::TurnAccess> turn_access(const std::vector<api::TurnServer>& servers, const KnownHosts& known);

}  // namespace higgs::vpn

// The STUN and TURN servers of a route answer as addresses. Names were resolved before the kill switch closed; one that
// was not cannot be asked for any more. Pure.
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

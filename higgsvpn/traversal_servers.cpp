#include "higgsvpn/traversal_servers.h"

#include <algorithm>

#include "base/number.h"

namespace higgs::vpn {
namespace {

constexpr std::size_t kMaxStunServers = 4;  // as many as the device asks

std::vector<IpAddress> addresses_of(const std::string& host, const KnownHosts& known) {
  if (const auto literal = IpAddress::parse(host)) return {*literal};
  const auto found = known.find(host);
  return found == known.end() ? std::vector<IpAddress>() : found->second;
}

std::optional<IpAddress> first_of(const std::vector<IpAddress>& addresses, bool v4) {
  const auto found = std::find_if(addresses.begin(), addresses.end(),
                                  [v4](const IpAddress& address) { return address.is_v4() == v4; });
  return found == addresses.end() ? std::nullopt : std::optional(*found);
}

}  // namespace

std::vector<std::string> learn_hosts(KnownHosts& known, const std::vector<api::HostAddresses>& told,
                                     const std::string& api_host) {
  std::vector<std::string> learned;
  for (const api::HostAddresses& host : told) {
    if (host.name == api_host || IpAddress::parse(host.name) || host.addresses.empty()) continue;
    if (!known.contains(host.name) && known.size() >= kMostKnownHosts) continue;
    auto addresses = host.addresses;
    if (addresses.size() > kMostAddressesOfAHost) addresses.resize(kMostAddressesOfAHost);
    auto& before = known[host.name];
    if (before == addresses) continue;
    before = std::move(addresses);
    learned.push_back(host.name);
  }
  return learned;
}

std::optional<TurnUri> parse_turn_uri(std::string_view text) {
  constexpr std::string_view kScheme = "turn:", kUdp = "transport=udp";
  if (!text.starts_with(kScheme)) return std::nullopt;
  text.remove_prefix(kScheme.size());
  if (const auto query = text.find('?'); query != text.npos) {
    if (text.substr(query + 1) != kUdp) return std::nullopt;
    text = text.substr(0, query);
  }
  TurnUri uri;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == text.npos) return std::nullopt;
    uri.host = text.substr(1, end - 1);
    port = text.substr(end + 1);
  } else {
    const auto colon = std::min(text.find(':'), text.size());
    uri.host = text.substr(0, colon);
    port = text.substr(colon);
  }
  if (uri.host.empty()) return std::nullopt;
  if (port.empty()) return uri;
  if (port.front() != ':') return std::nullopt;
  port.remove_prefix(1);
  uri.port = parse_number<std::uint16_t>(port).value_or(0);
  return uri.port == 0 ? std::nullopt : std::optional(uri);
}

std::vector<Endpoint> stun_endpoints(const std::vector<api::HostPort>& servers, const KnownHosts& known) {
  std::vector<Endpoint> all;
  for (const api::HostPort& server : servers) {
    const auto addresses = addresses_of(server.host, known);
    for (const bool v4 : {true, false}) {
      const auto address = first_of(addresses, v4);
      if (address && server.port != 0 && all.size() < kMaxStunServers) all.push_back({*address, server.port});
    }
  }
  return all;
}

std::optional<path::TurnAccess> turn_access(const std::vector<api::TurnServer>& servers, const KnownHosts& known) {
  for (const api::TurnServer& server : servers) {
    const auto uri = parse_turn_uri(server.urls);
    if (!uri) continue;
    const auto addresses = addresses_of(uri->host, known);
    auto address = first_of(addresses, true);
    if (!address) address = first_of(addresses, false);
    if (!address) continue;
    path::TurnAccess access;
    access.server = {*address, uri->port};
    access.username = server.username;
    access.password = SecretString(server.credential);
    return access;
  }
  return std::nullopt;
}

}  // namespace higgs::vpn

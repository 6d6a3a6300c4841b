#include "higgsnode/settings.h"

#include <algorithm>

namespace higgs::node {
namespace {

using config::in_range;
using namespace std::chrono_literals;

std::optional<std::string> check_server(const std::string& url) {
  if (url.starts_with("https://") && url.size() > 8) return std::nullopt;
  return "must be a URL such as \"https://higgs.example:8443\"";
}

std::optional<std::string> check_country(const std::string& country) {
  const bool fits =
      country.size() == 2 && std::all_of(country.begin(), country.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  return fits ? std::nullopt : std::optional<std::string>("must be two capital letters (ISO 3166-1), such as \"DE\"");
}

/// linux/if.h: IFNAMSIZ is 16 with the terminator; "%d" leaves the number to the kernel.
std::optional<std::string> check_interface(const std::string& name) {
  const bool sane = !name.empty() && name.size() <= 13 &&
                    name.find_first_not_of(
                        "abcdefghijklmnopqrstuvwxyz"
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789-_%") == name.npos;
  const auto percent = name.find('%');
  if (sane && (percent == name.npos || (name.find("%d") == percent && name.find('%', percent + 1) == name.npos))) {
    return std::nullopt;
  }
  return "must have at most 13 letters, digits, '-' or '_', and may hold one \"%d\"";
}

/// RFC 1918 and RFC 6598: no server registers another one, and whatever clients may not reach covers these.
std::optional<std::string> check_prefix_v4(const IpPrefix& prefix) {
  for (const char* text : {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"}) {
    const auto range = IpPrefix::parse(text).value();
    if (range.contains(prefix.address()) && prefix.length() >= range.length() && prefix.length() <= 24)
      return std::nullopt;
  }
  return "must be a private IPv4 prefix of 8 to 24 bits";
}

std::optional<std::string> check_prefix_v6(const IpPrefix& prefix) {
  const bool unique_local = (std::to_integer<unsigned>(prefix.address().bytes()[0]) & 0xfeu) == 0xfc;
  if (prefix.address().is_v6() && unique_local && prefix.length() >= 48 && prefix.length() <= 112) return std::nullopt;
  return "must be an IPv6 prefix inside fc00::/7 of 48 to 112 bits";
}

}  // namespace

void declare(config::Schema& schema, Settings& s) {
  using runtime::log::Format;
  using runtime::log::Level;
  schema.add("server", s.server, {.description = "the server to register with", .required = true}, check_server);
  schema.add("pin", s.pin, {.description = "accept only this server key: \"sha256/…\" (bosonserver pin)"});
  schema.add("ca", s.ca, {.description = "accept only certificates of this CA (PEM file)"});
  schema.add("state_dir", s.state_dir, {.description = "keys, journal and control socket"});
  schema.add_enum("log_level", s.log_level,
                  {{"trace", Level::kTrace},
                   {"debug", Level::kDebug},
                   {"info", Level::kInfo},
                   {"warn", Level::kWarn},
                   {"error", Level::kError},
                   {"off", Level::kOff}},
                  {.description = "least level that is logged: trace, debug, info, warn, error or off"});
  schema.add_enum("log_format", s.log_format, {{"text", Format::kText}, {"json", Format::kJson}},
                  {.description = "text for people, json for collectors"});
  schema.add("country", s.country, {.description = "where this node is, as two letters"}, check_country);
  schema.add("region", s.region, {.description = "region or city, in any words"});
  schema.add("latitude", s.latitude, {.description = "degrees, with longitude"}, in_range(-90, 90));
  schema.add("longitude", s.longitude, {.description = "degrees, with latitude"}, in_range(-180, 180));
  schema.add("max_connections", s.max_connections, {.description = "clients served at once"}, in_range(1, 10000));
  schema.add("bandwidth_up_mbps", s.bandwidth_up_mbps, {.description = "what this line can send"}, in_range(0.1, 1e6));
  schema.add("bandwidth_down_mbps", s.bandwidth_down_mbps, {.description = "what this line can receive"},
             in_range(0.1, 1e6));
  schema.add("interface", s.interface, {.description = "name of the tunnel interface"}, check_interface);
  schema.add("mtu", s.mtu, {.description = "MTU of the tunnel interface"}, in_range(1280, 9000));
  schema.add("listen_port", s.listen_port, {.description = "UDP port of WireGuard and of traversal; unset: a free one"},
             in_range(1, 65535));
  schema.add("traversal", s.traversal,
             {.description = "look for direct paths to clients; no: the relay carries everything"});
  schema.add("port_mapping", s.port_mapping,
             {.description = "ask the router to open the UDP port (PCP, NAT-PMP, UPnP); closed again at the end"});
  schema.add("prefix_v4", s.prefix_v4, {.description = "clients' IPv4 addresses; unset: chosen once, at random"},
             check_prefix_v4);
  schema.add("prefix_v6", s.prefix_v6, {.description = "clients' IPv6 addresses; unset: chosen once, at random"},
             check_prefix_v6);
  schema.add("heartbeat_interval", s.heartbeat_interval, {.description = "between reports to the server"},
             in_range(2s, 300s));
  schema.add("metrics_interval", s.metrics_interval, {.description = "between reports of metrics to the server"},
             in_range(10s, 3600s));
  schema.add("egress.deny", s.egress.deny,
             {.description = "prefixes clients may not reach, besides private and local ones, which they never may"});
  schema.add("egress.deny_ports", s.egress.deny_ports,
             {.description = "ports clients may not reach, besides 25, 465 and 587, which they never may"},
             in_range(1, 65535));
  schema.add("egress.connections_per_client", s.egress.connections_per_client,
             {.description = "connections a client may have open at once"}, in_range(16, 1000000));
  schema.add("privacy.anonymize_ips", s.privacy.anonymize_ips, {.description = "log addresses as /24 and /48 only"});
  schema.add("privacy.log_metadata", s.privacy.log_metadata,
             {.description = "log start, end and bytes of sessions; destinations are never logged"});
  s.tracing.declare(schema);
  schema.add_rule([&s]() -> std::optional<config::Problem> {
    if (s.latitude.has_value() == s.longitude.has_value()) return std::nullopt;
    return config::Problem{"", s.latitude ? "longitude" : "latitude", "is needed with the other one"};
  });
  schema.add_rule([&s]() -> std::optional<config::Problem> {
    if (s.latitude && !s.country) return config::Problem{"", "country", "is needed with coordinates"};
    if (s.region && !s.country) return config::Problem{"", "country", "is needed with a region"};
    return std::nullopt;
  });
  schema.add_rule([&s]() -> std::optional<config::Problem> {
    if (s.egress.deny.size() <= 1000 && s.egress.deny_ports.size() <= 200) return std::nullopt;
    return config::Problem{"", "egress", "may have at most 1000 prefixes and 200 ports"};
  });
}

}  // namespace higgs::node

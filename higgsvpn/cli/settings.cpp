#include "higgsvpn/cli/settings.h"

#include <algorithm>

#include "base/uuid.h"
#include "higgsvpn/state_directory.h"

namespace higgs::vpn {
namespace {

std::optional<std::string> check_node(const std::string& id) {
  return parse_id<NodeId>(id) ? std::nullopt
                              : std::optional<std::string>("must be a node's id, as `higgsvpn nodes` shows it");
}

std::optional<std::string> check_country(const std::string& country) {
  const bool fits =
      country.size() == 2 && std::all_of(country.begin(), country.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  return fits ? std::nullopt : std::optional<std::string>("must be two capital letters (ISO 3166-1), such as \"DE\"");
}

}  // namespace

void declare(config::Schema& schema, Settings& settings) {
  using runtime::log::Level;
  settings.state_dir = StateDirectory::default_path();
  // Every command has --state-dir; the others belong to `connect`.
  schema.add("state_dir", settings.state_dir, {.description = "login, journal and control socket", .has_flag = false});
  schema.add_enum("log_level", settings.log_level,
                  {{"trace", Level::kTrace},
                   {"debug", Level::kDebug},
                   {"info", Level::kInfo},
                   {"warn", Level::kWarn},
                   {"error", Level::kError},
                   {"off", Level::kOff}},
                  {.description = "least level that is logged to stderr: trace, debug, info, warn, error or off"});
  schema.add("node", settings.node, {.description = "this node and no other"}, check_node);
  schema.add("country", settings.country, {.description = "only nodes there, as two letters"}, check_country);
  schema.add("region", settings.region, {.description = "only nodes of this region"});
  schema.add("min_bandwidth", settings.min_bandwidth, {.description = "Mbit/s that the node must have to spare"},
             config::in_range(0, 1000000));
  schema.add("max_latency", settings.max_latency, {.description = "milliseconds that the way may take at most"},
             config::in_range(0, 60000));
  schema.add("dns", settings.dns, {.description = "resolvers to ask through the tunnel, instead of the server's"});
  schema.add("kill_switch", settings.kill_switch,
             {.description = "block everything but the tunnel, also while it is down, until disconnect"});
  schema.add_enum(
      "path", settings.path,
      {{"auto", path::Policy::kAuto}, {"direct", path::Policy::kDirectOnly}, {"relay", path::Policy::kRelayOnly}},
      {.description = "auto: the best path there is; direct: no other; relay: through the server only, so "
                      "that the node does not learn this machine's address"});
  schema.add("allow_lan", settings.allow_lan, {.description = "let the local network through the kill switch"});
  settings.tracing.declare(schema, net::TraceSettings::Host::kAddress);
}

}  // namespace higgs::vpn

#include "higgsvpn/routes.h"

#include <algorithm>

#include "higgsvpn/marks.h"
#include "tunnel/ipv6_state.h"

HIGGS_ERROR_CATEGORY(higgs::vpn, RoutesError, "vpn.routes") {
  switch (error) {
    case RoutesError::kTableInUse:
      return "another program keeps routes in table 18505, which higgsvpn uses (see: ip route show table 18505)";
    case RoutesError::kDisturbed:
      return "our routes or policy rules were removed or changed by another program";
  }
  return "unknown routes error";
}

namespace higgs::vpn {
namespace {

using tunnel::IpFamily;
using tunnel::Netlink;
using tunnel::Route;
using tunnel::Rule;

constexpr const char* kUndoKind = "vpn-routes";

std::vector<IpFamily> families() {
  return tunnel::kernel_has_ipv6() ? std::vector{IpFamily::kV4, IpFamily::kV6} : std::vector{IpFamily::kV4};
}

bool is(const ErrorCode& error, boost::system::errc::errc_t condition) {
  return error == boost::system::errc::make_error_condition(condition);
}

// Rules of the plan's priorities and tables, whatever else they say.
Result<void> remove_rules(Netlink& netlink, IpFamily family) {
  for (const Rule& rule : make_routes_plan(family, {}, true).rules) {
    const auto removed = netlink.remove_rule(rule);
    if (!removed && !is(removed.error(), boost::system::errc::no_such_file_or_directory)) return removed;
  }
  return {};
}

Result<void> remove_all(Netlink& netlink) {
  for (const IpFamily family : families()) {
    if (const auto removed = remove_rules(netlink, family); !removed) return removed;
    if (const auto flushed = netlink.flush_table(family, kRoutingTable); !flushed) return flushed.error();
  }
  return {};
}

RoutesPlan plan_of(IpFamily family, const std::string& ifname) {
  return make_routes_plan(family, ifname, family == IpFamily::kV4 || tunnel::ipv6_is_on(ifname));
}

// The kernel names a metric of its own for IPv6, and an interface also for routes that lead nowhere.
bool is_planned(const Route& route, const Route& planned) {
  return route.prefix == planned.prefix && route.kind == planned.kind && !route.gateway &&
         (planned.ifname.empty() || route.ifname == planned.ifname);
}

bool is_among(const Route& route, const std::vector<Route>& plan) {
  return std::any_of(plan.begin(), plan.end(), [&](const Route& planned) { return is_planned(route, planned); });
}

bool stands(const Route& planned, const std::vector<Route>& present) {
  return std::any_of(present.begin(), present.end(), [&](const Route& route) { return is_planned(route, planned); });
}

}  // namespace

RoutesPlan make_routes_plan(IpFamily family, const std::string& ifname, bool usable) {
  const IpAddress any = family == IpFamily::kV4 ? IpAddress() : IpAddress::v6({});
  RoutesPlan plan;
  Route to_tunnel;
  to_tunnel.prefix = *IpPrefix::make(any, 0);
  to_tunnel.table = kRoutingTable;
  if (usable)
    to_tunnel.ifname = ifname;
  else
    to_tunnel.kind = tunnel::RouteKind::kUnreachable;
  plan.routes.push_back(to_tunnel);

  Rule specific;  // the LAN, other VPNs' networks: all that main knows but its default route
  specific.family = family;
  specific.table = tunnel::kMainTable;
  specific.suppress_prefixlength = 0;
  specific.priority = kMainRulePriority;
  Rule rest;
  rest.family = family;
  rest.fwmark = kFirewallMark;
  rest.invert = true;
  rest.table = kRoutingTable;
  rest.priority = kTunnelRulePriority;
  plan.rules = {specific, rest};
  return plan;
}

Result<void> Routes::apply(const std::string& ifname) {
  const tunnel::UndoStep step{kUndoKind, {}};
  const auto steps = journal_.steps();
  if (std::find(steps.begin(), steps.end(), step) == steps.end()) {
    for (const IpFamily family : families()) {
      const auto present = routes_in_table(family);
      if (!present) return present.error();
      if (!present->empty()) return RoutesError::kTableInUse;
    }
    if (const auto recorded = journal_.record(step); !recorded) return recorded;
  }
  for (const IpFamily family : families()) {
    if (const auto applied = apply(family, ifname); !applied) return applied;
  }
  // Answers to marked packets come in where the unmarked route does not lead: the reverse-path filter has to look up
  // with the mark that conntrack restored.
  return set_sysctl(journal_, "net/ipv4/conf/all/src_valid_mark", "1");
}

Result<std::vector<Route>> Routes::routes_in_table(IpFamily family) {
  auto all = netlink_.routes(family);
  if (!all) return all.error();
  std::erase_if(*all, [](const Route& route) { return route.table != kRoutingTable; });
  return all;
}

Result<void> Routes::apply(IpFamily family, const std::string& ifname) {
  const RoutesPlan plan = plan_of(family, ifname);
  const auto present = routes_in_table(family);
  if (!present) return present.error();
  for (const Route& route : *present) {
    if (is_among(route, plan.routes)) continue;
    if (const auto removed = netlink_.remove_route(route); !removed) return removed;
  }
  for (const Route& route : plan.routes) {
    if (stands(route, *present)) continue;
    if (const auto added = netlink_.add_route(route); !added) return added;
  }
  for (const Rule& rule : plan.rules) {
    const auto added = netlink_.add_rule(rule);
    if (!added && !is(added.error(), boost::system::errc::file_exists)) return added;
  }
  return {};
}

Result<void> Routes::verify(const std::string& ifname) {
  for (const IpFamily family : families()) {
    if (const auto verified = verify(family, ifname); !verified) return verified;
  }
  return {};
}

Result<void> Routes::verify(IpFamily family, const std::string& ifname) {
  const RoutesPlan plan = plan_of(family, ifname);
  const auto present = routes_in_table(family);
  if (!present) return present.error();
  const auto rules = netlink_.rules(family);
  if (!rules) return rules.error();
  const bool all = std::all_of(plan.routes.begin(), plan.routes.end(),
                               [&](const Route& route) { return stands(route, *present); }) &&
                   std::all_of(plan.rules.begin(), plan.rules.end(), [&](const Rule& rule) {
                     return std::find(rules->begin(), rules->end(), rule) != rules->end();
                   });
  const bool only =
      std::all_of(present->begin(), present->end(), [&](const Route& route) { return is_among(route, plan.routes); });
  return all && only ? Result<void>() : Result<void>(RoutesError::kDisturbed);
}

tunnel::UndoHandlers Routes::undo_handlers() {
  const auto undo_routes = [](const tunnel::UndoStep&) -> Result<void> {
    auto netlink = Netlink::open();
    return netlink ? remove_all(*netlink) : Result<void>(netlink.error());
  };
  return {{kUndoKind, undo_routes}, {"sysctl", tunnel::sysctl_undo_handler()}};
}

}  // namespace higgs::vpn

#include "higgsnode/egress_routes.h"

#include <algorithm>

#include "base/number.h"

namespace higgs::node {
namespace {

using tunnel::IpFamily;
using tunnel::Netlink;
using tunnel::Route;
using tunnel::RouteKind;
using tunnel::Rule;

/// Behind the kernel's own table of local addresses (0), before every other program's.
constexpr std::uint32_t kRulePriority = 64;

Rule rule_of(IpFamily family, const std::string& interface, std::uint32_t table) {
  Rule rule;
  rule.family = family;
  rule.iifname = interface;
  rule.table = table;
  rule.priority = kRulePriority;
  return rule;
}

Route route_of(const IpPrefix& prefix, std::uint32_t table) {
  Route route;
  route.prefix = prefix;
  route.table = table;
  route.kind = RouteKind::kUnreachable;
  return route;
}

Result<std::vector<IpPrefix>> standing(Netlink& netlink, IpFamily family, std::uint32_t table) {
  const auto routes = netlink.routes(family);
  if (!routes) return routes.error();
  std::vector<IpPrefix> prefixes;
  for (const auto& route : *routes)
    if (route.table == table && route.kind == RouteKind::kUnreachable) prefixes.push_back(route.prefix);
  std::sort(prefixes.begin(), prefixes.end());
  return prefixes;
}

bool is(const ErrorCode& error, boost::system::errc::errc_t condition) {
  return error == boost::system::errc::make_error_condition(condition);
}

Result<void> put(Netlink& netlink, IpFamily family, const std::string& interface, std::uint32_t table,
                 const std::vector<IpPrefix>& wanted) {
  const auto present = standing(netlink, family, table);
  if (!present) return present.error();
  for (const auto& prefix : wanted) {
    if (std::binary_search(present->begin(), present->end(), prefix)) continue;
    if (auto added = netlink.add_route(route_of(prefix, table)); !added) return added;
  }
  const auto added = netlink.add_rule(rule_of(family, interface, table));
  if (!added && !is(added.error(), boost::system::errc::file_exists)) return added;
  for (const auto& prefix : *present) {
    if (std::binary_search(wanted.begin(), wanted.end(), prefix)) continue;
    if (auto removed = netlink.remove_route(route_of(prefix, table)); !removed) return removed;
  }
  return {};
}

bool stands(Netlink& netlink, IpFamily family, const std::string& interface, std::uint32_t table,
            const std::vector<IpPrefix>& wanted) {
  const auto rules = netlink.rules(family);
  if (!rules || std::find(rules->begin(), rules->end(), rule_of(family, interface, table)) == rules->end())
    return false;
  const auto present = standing(netlink, family, table);
  return present && std::includes(present->begin(), present->end(), wanted.begin(), wanted.end());
}

Result<void> take_away(Netlink& netlink, IpFamily family, const std::string& interface, std::uint32_t table) {
  const auto removed = netlink.remove_rule(rule_of(family, interface, table));
  if (!removed && !is(removed.error(), boost::system::errc::no_such_file_or_directory)) return removed;
  const auto flushed = netlink.flush_table(family, table);
  return flushed ? Result<void>() : Result<void>(flushed.error());
}

Result<void> undo(const tunnel::UndoStep& step) {
  const auto interface = step.fields.find("interface"), table = step.fields.find("table");
  if (interface == step.fields.end() || table == step.fields.end()) return tunnel::JournalError::kDamaged;
  const auto number = parse_number<std::uint32_t>(table->second);
  if (!number || *number <= 255) return tunnel::JournalError::kDamaged;
  auto netlink = Netlink::open();
  if (!netlink) return netlink.error();
  if (auto v4 = take_away(*netlink, IpFamily::kV4, interface->second, *number); !v4) return v4;
  // A kernel without IPv6 has nothing of it to be undone.
  if (!netlink->rules(IpFamily::kV6)) return {};
  return take_away(*netlink, IpFamily::kV6, interface->second, *number);
}

}  // namespace

Result<void> EgressRoutes::apply(const EgressPolicy& policy, tunnel::UndoJournal& journal) {
  interface_ = policy.interface;
  v4_ = unreachable_prefixes(policy, false);
  v6_ = policy.tunnel.v6 ? unreachable_prefixes(policy, true) : std::vector<IpPrefix>();
  const tunnel::UndoStep step{kUndoKind, {{"interface", interface_}, {"table", std::to_string(table_)}}};
  if (auto recorded = journal.record(step); !recorded) return recorded;
  auto netlink = Netlink::open();
  if (!netlink) return netlink.error();
  if (auto v4 = put(*netlink, IpFamily::kV4, interface_, table_, v4_); !v4) return v4;
  return v6_.empty() ? Result<void>() : put(*netlink, IpFamily::kV6, interface_, table_, v6_);
}

bool EgressRoutes::stand() const {
  auto netlink = Netlink::open();
  if (!netlink || !stands(*netlink, IpFamily::kV4, interface_, table_, v4_)) return false;
  return v6_.empty() || stands(*netlink, IpFamily::kV6, interface_, table_, v6_);
}

tunnel::UndoHandler EgressRoutes::undo_handler() { return undo; }

}  // namespace higgs::node

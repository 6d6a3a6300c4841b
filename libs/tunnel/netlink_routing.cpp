// The routes and the policy rules of Netlink.
#include <algorithm>
#include <cerrno>

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "tunnel/netlink_impl.h"

namespace higgs::tunnel {

namespace {

constexpr std::uint32_t kLocalTable = 255;  // RT_TABLE_LOCAL

unsigned char number_of(IpFamily family) { return address_family(family == IpFamily::kV4); }

std::uint8_t type_of(RouteKind kind) {
  switch (kind) {
    case RouteKind::kUnicast:
      return RTN_UNICAST;
    case RouteKind::kBlackhole:
      return RTN_BLACKHOLE;
    case RouteKind::kUnreachable:
      return RTN_UNREACHABLE;
    case RouteKind::kOther:
      return RTN_UNSPEC;
  }
  return RTN_UNSPEC;
}

RouteKind kind_of(std::uint8_t type) {
  switch (type) {
    case RTN_UNICAST:
      return RouteKind::kUnicast;
    case RTN_BLACKHOLE:
      return RouteKind::kBlackhole;
    case RTN_UNREACHABLE:
      return RouteKind::kUnreachable;
    default:
      return RouteKind::kOther;
  }
}

/// nullopt for what the kernel keeps for itself: the local table and cached routes.
std::optional<Route> parse_route(const nlmsghdr* message, const std::map<std::uint32_t, std::string>& names) {
  const auto* info = static_cast<const rtmsg*>(static_cast<const void*>(message + 1));
  if (message->nlmsg_type != RTM_NEWROUTE || (info->rtm_flags & RTM_F_CLONED) != 0) return std::nullopt;
  Route route;
  route.table = info->rtm_table;
  route.kind = kind_of(info->rtm_type);
  IpAddress to = info->rtm_family == AF_INET6 ? IpAddress::v6(ByteArray<16>{}) : IpAddress::v4(ByteArray<4>{});
  each_attribute(message, sizeof(rtmsg), [&](std::uint16_t type, const nlattr* attribute) {
    switch (type) {
      case RTA_TABLE:
        route.table = attribute_u32(attribute);
        break;
      case RTA_DST:
        to = attribute_address(attribute).value_or(to);
        break;
      case RTA_GATEWAY:
        route.gateway = attribute_address(attribute);
        break;
      case RTA_PRIORITY:
        route.metric = attribute_u32(attribute);
        break;
      case RTA_OIF: {
        const auto name = names.find(attribute_u32(attribute));
        if (name != names.end()) route.ifname = name->second;
        break;
      }
      default:
        break;
    }
  });
  const auto prefix = IpPrefix::make(to, info->rtm_dst_len);
  if (!prefix || route.table == kLocalTable) return std::nullopt;
  route.prefix = *prefix;
  return route;
}

Result<void> change_route(Netlink::Impl& impl, const Route& route, bool add) {
  std::optional<std::uint32_t> index;
  if (!route.ifname.empty()) {
    const auto found = impl.index_of(route.ifname);
    if (!found) return found.error();
    index = *found;
  }
  const bool v4 = route.prefix.address().is_v4();
  NetlinkRequest request(add ? RTM_NEWROUTE : RTM_DELROUTE, add ? NLM_F_CREATE | NLM_F_EXCL : 0);
  auto& info = request.fixed<rtmsg>();
  info.rtm_family = address_family(v4);
  info.rtm_dst_len = static_cast<unsigned char>(route.prefix.length());
  info.rtm_type = type_of(route.kind);
  info.rtm_protocol = add ? RTPROT_BOOT : RTPROT_UNSPEC;
  // RT_SCOPE_NOWHERE in a removal means any scope.
  info.rtm_scope = !add ? RT_SCOPE_NOWHERE : v4 && index && !route.gateway ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  request.put(RTA_TABLE, route.table);
  if (route.prefix.length() > 0) request.put(RTA_DST, route.prefix.address());
  if (route.gateway) request.put(RTA_GATEWAY, *route.gateway);
  if (index) request.put(RTA_OIF, *index);
  if (route.metric) request.put(RTA_PRIORITY, *route.metric);
  return impl.socket.execute(request);
}

/// nullopt for rules with selectors or actions that Rule does not name.
std::optional<Rule> parse_rule(const nlmsghdr* message) {
  const auto* info = static_cast<const fib_rule_hdr*>(static_cast<const void*>(message + 1));
  if (message->nlmsg_type != RTM_NEWRULE || info->action != FR_ACT_TO_TBL) return std::nullopt;
  if (info->dst_len != 0 || info->src_len != 0 || info->tos != 0) return std::nullopt;
  Rule rule;
  rule.family = info->family == AF_INET6 ? IpFamily::kV6 : IpFamily::kV4;
  rule.invert = (info->flags & FIB_RULE_INVERT) != 0;
  rule.table = info->table;
  rule.priority = 0;
  bool foreign = false;
  each_attribute(message, sizeof(fib_rule_hdr), [&](std::uint16_t type, const nlattr* attribute) {
    const std::uint32_t value = attribute_u32(attribute);
    switch (type) {
      case FRA_TABLE:
        rule.table = value;
        break;
      case FRA_PRIORITY:
        rule.priority = value;
        break;
      case FRA_FWMARK:
        rule.fwmark = value;
        break;
      case FRA_FWMASK:
        foreign = foreign || value != 0xffffffff;
        break;
      case FRA_SUPPRESS_PREFIXLEN:
        if (value != 0xffffffff) rule.suppress_prefixlength = value;
        break;
      case FRA_IIFNAME:
        rule.iifname = attribute_text(attribute);
        break;
      case FRA_OIFNAME:
      case FRA_GOTO:
      case FRA_FLOW:
      case FRA_TUN_ID:
      case FRA_L3MDEV:
      case FRA_UID_RANGE:
      case FRA_IP_PROTO:
      case FRA_SPORT_RANGE:
      case FRA_DPORT_RANGE:
        foreign = true;
        break;
      case FRA_SUPPRESS_IFGROUP:
        foreign = foreign || value != 0xffffffff;
        break;
      default:
        break;
    }
  });
  if (foreign) return std::nullopt;
  return rule;
}

Result<void> change_rule(NetlinkSocket& socket, const Rule& rule, bool add) {
  NetlinkRequest request(add ? RTM_NEWRULE : RTM_DELRULE, add ? NLM_F_CREATE | NLM_F_EXCL : 0);
  auto& info = request.fixed<fib_rule_hdr>();
  info.family = number_of(rule.family);
  info.action = FR_ACT_TO_TBL;
  info.table = RT_TABLE_UNSPEC;
  if (rule.invert) info.flags = FIB_RULE_INVERT;
  request.put(FRA_TABLE, rule.table);
  if (!rule.iifname.empty()) request.put(FRA_IIFNAME, rule.iifname);
  if (rule.fwmark) request.put(FRA_FWMARK, *rule.fwmark);
  if (rule.suppress_prefixlength) request.put(FRA_SUPPRESS_PREFIXLEN, *rule.suppress_prefixlength);
  if (rule.priority) request.put(FRA_PRIORITY, *rule.priority);
  return socket.execute(request);
}

}  // namespace

Result<std::vector<Route>> Netlink::routes(IpFamily family) {
  const auto names = impl_->names();
  if (!names) return names.error();
  NetlinkRequest request(RTM_GETROUTE, NLM_F_DUMP);
  request.fixed<rtmsg>().rtm_family = number_of(family);
  std::vector<Route> found;
  const auto done = impl_->socket.query(request, [&](const nlmsghdr* message) {
    if (auto route = parse_route(message, *names)) found.push_back(std::move(*route));
  });
  if (!done) return done.error();
  return found;
}

Result<std::vector<Route>> Netlink::default_routes(IpFamily family) {
  auto all = routes(family);
  if (!all) return all.error();
  std::erase_if(*all, [](const Route& route) {
    return route.prefix.length() != 0 || route.table != kMainTable || route.kind != RouteKind::kUnicast;
  });
  std::stable_sort(all->begin(), all->end(),
                   [](const Route& a, const Route& b) { return a.metric.value_or(0) < b.metric.value_or(0); });
  return all;
}

Result<void> Netlink::add_route(const Route& route) { return change_route(*impl_, route, true); }
Result<void> Netlink::remove_route(const Route& route) { return change_route(*impl_, route, false); }

Result<std::size_t> Netlink::flush_table(IpFamily family, std::uint32_t table) {
  const auto all = routes(family);
  if (!all) return all.error();
  std::size_t removed = 0;
  for (const Route& route : *all) {
    if (route.table != table) continue;
    const auto done = remove_route(route);
    if (!done) return done.error();
    ++removed;
  }
  return removed;
}

Result<std::vector<Rule>> Netlink::rules(IpFamily family) {
  NetlinkRequest request(RTM_GETRULE, NLM_F_DUMP);
  request.fixed<fib_rule_hdr>().family = number_of(family);
  std::vector<Rule> found;
  const auto done = impl_->socket.query(request, [&](const nlmsghdr* message) {
    if (auto rule = parse_rule(message)) found.push_back(*rule);
  });
  if (!done) return done.error();
  return found;
}

Result<void> Netlink::add_rule(const Rule& rule) { return change_rule(impl_->socket, rule, true); }

Result<void> Netlink::remove_rule(const Rule& rule) {
  // The kernel takes what is not named in a removal for a wildcard, and would take a foreign rule as well.
  const auto all = rules(rule.family);
  if (!all) return all.error();
  for (const Rule& found : *all) {
    Rule wanted = rule;
    if (!wanted.priority) wanted.priority = found.priority;
    if (found == wanted) return change_rule(impl_->socket, found, false);
  }
  return errno_code(ENOENT);
}

}  // namespace higgs::tunnel

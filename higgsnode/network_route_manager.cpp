#include "higgsnode/network_route_manager.h"

#include <algorithm>
#include <array>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/deadline.h"

namespace higgs::node {
namespace {

namespace asio = boost::asio;
/// A network that comes up changes several things at once.
constexpr std::chrono::milliseconds kCalm{100};
/// Programs that take over all traffic route its two halves instead of touching the default route, and of IPv6 often
/// 2000::/3, which is all of it that is in use.
constexpr unsigned kMostOfEverythingV4 = 1, kMostOfEverythingV6 = 3;
/// What providers delegate to a home as a rule (RFC 6177, RIPE-690): our /64 is one network of it.
constexpr unsigned kDelegatedBits = 56;

void add(std::vector<IpPrefix>& prefixes, const std::optional<IpPrefix>& prefix) {
  if (!prefix) return;
  const auto most = prefix->address().is_v6() ? kMostOfEverythingV6 : kMostOfEverythingV4;
  if (prefix->length() > most) prefixes.push_back(*prefix);
}

void add_address(std::vector<IpPrefix>& prefixes, const IpAddress& address) {
  static const auto kGlobalUnicast = IpPrefix::parse("2000::/3").value();
  add(prefixes, IpPrefix::make(address, address.bit_length()));
  if (kGlobalUnicast.contains(address)) add(prefixes, IpPrefix::make(address, kDelegatedBits));
}

std::optional<IpAddress> primary(const std::vector<tunnel::InterfaceAddress>& addresses,
                                 const std::vector<tunnel::Route>& routes, bool v6) {
  const tunnel::Route* best = nullptr;
  for (const auto& route : routes) {
    if (route.prefix.length() != 0 || route.kind != tunnel::RouteKind::kUnicast) continue;
    if (best == nullptr || route.metric.value_or(0) < best->metric.value_or(0)) best = &route;
  }
  if (best == nullptr) return std::nullopt;
  static const auto kLinkLocal = IpPrefix::parse("fe80::/10").value();
  for (const auto& address : addresses) {
    if (address.ifname == best->ifname && address.address.is_v6() == v6 && !kLinkLocal.contains(address.address)) {
      return address.address;
    }
  }
  return std::nullopt;
}

}  // namespace

HostNetworks summarize(const std::vector<tunnel::InterfaceAddress>& addresses, const std::vector<tunnel::Route>& v4,
                       const std::vector<tunnel::Route>& v6, const std::string& tunnel_interface) {
  HostNetworks networks;
  for (const auto& address : addresses) {
    if (address.ifname == tunnel_interface) continue;
    add(networks.own, IpPrefix::make(address.address, address.prefix_length));
    add_address(networks.own, address.address);
  }
  for (const auto* routes : {&v4, &v6}) {
    for (const auto& route : *routes) {
      if (route.kind != tunnel::RouteKind::kUnicast || route.ifname == tunnel_interface) continue;
      // One behind a gateway is somebody's choice, as to another site; what the provider carries has the default route.
      add(networks.own, route.prefix);
      if (route.gateway) add(networks.own, IpPrefix::make(*route.gateway, route.gateway->bit_length()));
    }
  }
  std::sort(networks.own.begin(), networks.own.end());
  networks.own.erase(std::unique(networks.own.begin(), networks.own.end()), networks.own.end());
  networks.primary_v4 = primary(addresses, v4, false);
  networks.primary_v6 = primary(addresses, v6, true);
  return networks;
}

Result<HostNetworks> read_host_networks(const std::string& tunnel_interface) {
  auto netlink = tunnel::Netlink::open();
  if (!netlink) return netlink.error();
  const auto addresses = netlink->addresses();
  if (!addresses) return addresses.error();
  const auto v4 = netlink->routes(tunnel::IpFamily::kV4);
  if (!v4) return v4.error();
  // A kernel without IPv6 has no routes of it.
  const auto v6 = netlink->routes(tunnel::IpFamily::kV6);
  return summarize(*addresses, *v4, v6 ? *v6 : std::vector<tunnel::Route>(), tunnel_interface);
}

class NetworkRouteManager::Impl {
 public:
  explicit Impl(const asio::any_io_executor& executor) : descriptor(executor) {}
  asio::posix::stream_descriptor descriptor;

  void drain() {
    std::array<std::byte, 8192> buffer;
    while (::recv(descriptor.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) {
    }
  }
};

NetworkRouteManager::NetworkRouteManager(const asio::any_io_executor& executor)
    : impl_(std::make_unique<Impl>(executor)) {}
NetworkRouteManager::~NetworkRouteManager() = default;

Result<void> NetworkRouteManager::open() {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  if (fd < 0) return errno_code();
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE |
                      RTMGRP_IPV4_RULE | 1u << (RTNLGRP_IPV6_RULE - 1);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const ErrorCode error = errno_code();
    ::close(fd);
    return error;
  }
  impl_->descriptor.assign(fd);
  return {};
}

asio::awaitable<void> NetworkRouteManager::changed() {
  co_await impl_->descriptor.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
  auto calm = runtime::sleep_for(kCalm);
  co_await std::move(calm);
  // An overflow (ENOBUFS) is a change like any other: everything is read anew anyway.
  impl_->drain();
}

}  // namespace higgs::node

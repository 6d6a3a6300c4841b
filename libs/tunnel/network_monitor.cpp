#include "tunnel/network_monitor.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <boost/asio/use_awaitable.hpp>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "runtime/deadline.h"
#include "tunnel/netlink_socket.h"

namespace higgs::tunnel {

namespace asio = boost::asio;

namespace {

std::optional<HostNetwork::Gateway> best_gateway(Netlink& netlink, IpFamily family) {
  const auto routes = netlink.default_routes(family);
  if (!routes) return std::nullopt;
  for (const Route& route : *routes) {
    if (route.kind == RouteKind::kUnicast) return HostNetwork::Gateway{route.ifname, route.gateway};
  }
  return std::nullopt;
}

/// Loopback and link-local (RFC 1122, 3927, 4291): nobody else reaches them by the address alone.
bool is_narrow(const IpAddress& address) {
  static const std::array kNarrow{*IpPrefix::parse("127.0.0.0/8"), *IpPrefix::parse("169.254.0.0/16"),
                                  *IpPrefix::parse("::1/128"), *IpPrefix::parse("fe80::/10")};
  return std::any_of(kNarrow.begin(), kNarrow.end(), [&](const IpPrefix& range) { return range.contains(address); });
}

}  // namespace

Result<HostNetwork> look_at_network(Netlink& netlink, const std::vector<std::string>& without) {
  const auto links = netlink.links();
  if (!links) return links.error();
  const auto addresses = netlink.addresses();
  if (!addresses) return addresses.error();
  HostNetwork network;
  for (const InterfaceAddress& one : *addresses) {
    const bool up =
        std::any_of(links->begin(), links->end(), [&](const Link& link) { return link.name == one.ifname && link.up; });
    if (!up || is_narrow(one.address) || std::find(without.begin(), without.end(), one.ifname) != without.end())
      continue;
    network.addresses.push_back(one.address);
    if (const auto prefix = IpPrefix::make(one.address, one.prefix_length)) network.networks.push_back(*prefix);
  }
  std::sort(network.addresses.begin(), network.addresses.end());
  std::sort(network.networks.begin(), network.networks.end());
  network.networks.erase(std::unique(network.networks.begin(), network.networks.end()), network.networks.end());
  network.gateway_v4 = best_gateway(netlink, IpFamily::kV4);
  network.gateway_v6 = best_gateway(netlink, IpFamily::kV6);
  return network;
}

Result<NetworkMonitor> NetworkMonitor::open(const asio::any_io_executor& executor, Limits limits) {
  auto netlink = Netlink::open();
  if (!netlink) return netlink.error();
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  if (fd < 0) return errno_code(errno);
  asio::posix::stream_descriptor descriptor(executor, fd);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  if (::bind(fd, static_cast<sockaddr*>(static_cast<void*>(&address)), sizeof(address)) != 0) return errno_code(errno);
  return NetworkMonitor(std::move(descriptor), std::move(*netlink), limits);
}

NetworkMonitor::NetworkMonitor(asio::posix::stream_descriptor descriptor, Netlink netlink, Limits limits)
    : descriptor_(std::move(descriptor)), netlink_(std::move(netlink)), limits_(limits) {}

// What exactly happened does not matter, and messages may have been lost (ENOBUFS): the present state is asked for.
void NetworkMonitor::drain() {
  std::array<char, 16384> buffer;
  while (::recv(descriptor_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT) > 0 || errno == ENOBUFS) {
  }
}

asio::awaitable<void> NetworkMonitor::run(std::function<std::vector<std::string>()> without, Changed changed) {
  std::optional<HostNetwork> last;
  for (;;) {
    const auto network = look_at_network(netlink_, without());
    const Instant looked = runtime::now().monotonic;
    if (network && last != *network) {
      const bool moved = last && (last->gateway_v4 != network->gateway_v4 || last->gateway_v6 != network->gateway_v6);
      last = *network;
      changed(*network, moved);
    }
    co_await descriptor_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
    const auto rest = limits_.between_looks - (runtime::now().monotonic - looked);
    co_await runtime::sleep_for(std::max<std::chrono::nanoseconds>(rest, limits_.debounce));
    drain();
  }
}

}  // namespace higgs::tunnel

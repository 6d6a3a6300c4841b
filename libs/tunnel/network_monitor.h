// Tells when this host is in another network: its addresses, or the way its default routes lead. By rtnetlink, for the
// traversals (TunnelDriver::set_traversal_network).
//
// Threads: the executor's.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/ip.h"
#include "base/result.h"
#include "tunnel/netlink.h"

namespace higgs::tunnel {

struct HostNetwork {
  // Of interfaces that are up, without loopback, link-local and the ones left out. Sorted; of prefixes each once.
  std::vector<IpAddress> addresses;
  std::vector<IpPrefix> networks;
  /// The best default route of each family, in the main table.
  struct Gateway {
    std::string ifname;
    std::optional<IpAddress> address;
    friend bool operator==(const Gateway&, const Gateway&) = default;
  };
  std::optional<Gateway> gateway_v4, gateway_v6;
  friend bool operator==(const HostNetwork&, const HostNetwork&) = default;
};

/// The network as it is now, without the addresses of `without` (names of interfaces).
Result<HostNetwork> look_at_network(Netlink& netlink, const std::vector<std::string>& without);

class NetworkMonitor {
 public:
  struct Limits {
    /// One change makes many messages: they are waited for this long.
    std::chrono::milliseconds debounce{100};
    /// Each look lists routes and addresses; a router's routes may change all the time.
    std::chrono::milliseconds between_looks{500};
  };
  /// `moved`: a default route leads elsewhere.
  using Changed = std::function<void(const HostNetwork& network, bool moved)>;

  static Result<NetworkMonitor> open(const boost::asio::any_io_executor& executor, Limits limits);
  static Result<NetworkMonitor> open(const boost::asio::any_io_executor& executor) { return open(executor, Limits()); }
  NetworkMonitor(NetworkMonitor&&) = default;

  /// Until cancelled. Calls `changed` with the present state first (`moved` false), then at every change. `without` is
  /// asked at every look.
  boost::asio::awaitable<void> run(std::function<std::vector<std::string>()> without, Changed changed);

 private:
  NetworkMonitor(boost::asio::posix::stream_descriptor descriptor, Netlink netlink, Limits limits);
  void drain();

  boost::asio::posix::stream_descriptor descriptor_;
  Netlink netlink_;
  Limits limits_;
};

}  // namespace higgs::tunnel

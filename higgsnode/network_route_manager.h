// The networks of this host and its site, now and as they change (rtnetlink(7)): clients must reach none of them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/ip.h"
#include "base/result.h"
#include "tunnel/netlink.h"

namespace higgs::node {

struct HostNetworks {
  /// Of the host's addresses (of a global IPv6 one the /56 around it, as a home's other networks have it) and of its
  /// routes but for the default, their gateways, and the addresses themselves.
  std::vector<IpPrefix> own;
  std::optional<IpAddress> primary_v4, primary_v6;  ///< of the interface that the default route leaves by
  friend bool operator==(const HostNetworks&, const HostNetworks&) = default;
};

/// Pure. `tunnel_interface` is left out, and so is a default route or what covers as much as one.
HostNetworks summarize(const std::vector<tunnel::InterfaceAddress>& addresses, const std::vector<tunnel::Route>& v4,
                       const std::vector<tunnel::Route>& v6, const std::string& tunnel_interface);

Result<HostNetworks> read_host_networks(const std::string& tunnel_interface);

class NetworkRouteManager {
 public:
  explicit NetworkRouteManager(const boost::asio::any_io_executor& executor);
  ~NetworkRouteManager();

  /// Subscribes; until then changes are not seen.
  Result<void> open();
  /// Completes when an address, route or rule of routing has changed, once it has been calm for a moment.
  boost::asio::awaitable<void> changed();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::node

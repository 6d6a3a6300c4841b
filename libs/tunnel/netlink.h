// Links, addresses, routes and policy rules of this network namespace, through rtnetlink (rtnetlink(7)) and libmnl.
//
// Errors are the kernel's errno values in boost::system::generic_category(), so that a caller can tell
// boost::system::errc::file_exists (an add of what is there) and no_such_process / no_such_device /
// address_not_available (a removal of what is not). Threads: one at a time. Blocking, for the time the kernel takes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace higgs::tunnel {

inline constexpr std::uint32_t kMainTable = 254;  // RT_TABLE_MAIN

enum class IpFamily { kV4, kV6 };

struct Link {
  std::uint32_t index = 0;
  std::string name;
  std::uint32_t mtu = 0;
  bool up = false;
  friend bool operator==(const Link&, const Link&) = default;
};

struct InterfaceAddress {
  std::string ifname;
  IpAddress address;
  unsigned prefix_length = 0;
  friend bool operator==(const InterfaceAddress&, const InterfaceAddress&) = default;
};

/// What happens to packets that a route fits.
enum class RouteKind { kUnicast, kBlackhole, kUnreachable, kOther };

struct Route {
  IpPrefix prefix;                      ///< 0.0.0.0/0 and ::/0 are the defaults
  std::string ifname;                   ///< empty: none (a blackhole)
  std::optional<IpAddress> gateway;     ///< of the same family
  std::optional<std::uint32_t> metric;  ///< unset: the kernel's default
  std::uint32_t table = kMainTable;
  RouteKind kind = RouteKind::kUnicast;
  friend bool operator==(const Route&, const Route&) = default;
};

/// A line of `ip rule`: [not] [from all] [iif I] [fwmark F] lookup TABLE [suppress_prefixlength N].
struct Rule {
  IpFamily family = IpFamily::kV4;
  std::string iifname{};  ///< for packets that come in there, which need not exist; empty: any
  std::optional<std::uint32_t> fwmark;
  bool invert = false;  ///< "not": for packets that do not carry the mark
  std::uint32_t table = kMainTable;
  std::optional<std::uint32_t>
      suppress_prefixlength;              ///< a route found is ignored if its prefix is this long or shorter
  std::optional<std::uint32_t> priority;  ///< unset: the kernel chooses the one before the lowest in use
  friend bool operator==(const Rule&, const Rule&) = default;
};

class Netlink {
 public:
  class Impl;
  static Result<Netlink> open();
  Netlink(Netlink&&) noexcept;
  Netlink& operator=(Netlink&&) noexcept;
  ~Netlink();

  Result<std::vector<Link>> links();
  Result<Link> link(const std::string& ifname);
  Result<void> set_up(const std::string& ifname, bool up);
  Result<void> set_mtu(const std::string& ifname, std::uint32_t mtu);
  /// Limits of the super-packets the stack hands to the device.
  Result<void> set_gso_limits(const std::string& ifname, std::uint32_t max_segments, std::uint32_t max_bytes);
  Result<void> set_tx_queue_length(const std::string& ifname, std::uint32_t packets);
  Result<void> remove_link(const std::string& ifname);

  Result<std::vector<InterfaceAddress>> addresses();
  /// IPv6 addresses are added without duplicate address detection, so that they can be used at once.
  Result<void> add_address(const std::string& ifname, const IpAddress& address, unsigned prefix_length);
  Result<void> remove_address(const std::string& ifname, const IpAddress& address, unsigned prefix_length);

  /// All routes of a family, of every table but the kernel's local one.
  Result<std::vector<Route>> routes(IpFamily family);
  /// Those with prefix length 0, of the main table, best metric first.
  Result<std::vector<Route>> default_routes(IpFamily family);
  Result<void> add_route(const Route& route);
  /// Removes the first route that fits all that is given.
  Result<void> remove_route(const Route& route);
  /// Removes every route of a table; how many there were.
  Result<std::size_t> flush_table(IpFamily family, std::uint32_t table);

  /// Rules with further selectors or other actions than a look-up are left out.
  Result<std::vector<Rule>> rules(IpFamily family);
  Result<void> add_rule(const Rule& rule);
  /// Exactly that rule (of any priority if none is given); no_such_file_or_directory if there is none.
  Result<void> remove_rule(const Rule& rule);

 private:
  explicit Netlink(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::tunnel

// Whether IPv6 can be used on this machine, and on one interface of it. Many servers and containers have it in the
// kernel and off by sysctl: addresses and routes are refused there (EACCES, as if a privilege were missing), while
// ip6tables goes on as ever.
#pragma once

#include <string>

namespace higgs::tunnel {

/// Without it there is nothing to filter or to route, and ip6tables may not even start.
bool kernel_has_ipv6();
/// Whether `ifname` takes addresses and routes of IPv6: net.ipv6.conf.IFNAME.disable_ipv6 is 0. False for one that is
/// not there. An interface that comes to be takes the value over from `default`.
bool ipv6_is_on(const std::string& ifname);

}  // namespace higgs::tunnel

#include "tunnel/ipv6_state.h"

#include <fstream>

#include <unistd.h>

namespace higgs::tunnel {

bool kernel_has_ipv6() { return ::access("/proc/net/if_inet6", F_OK) == 0; }

bool ipv6_is_on(const std::string& ifname) {
  std::ifstream sysctl("/proc/sys/net/ipv6/conf/" + ifname + "/disable_ipv6");
  int disabled = 1;
  return sysctl >> disabled && disabled == 0;
}

}  // namespace higgs::tunnel

// For tests in a network namespace of their own: eth0 towards the internet, and higgs0 and higgs1 in the role of
// tunnels.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "tunnel/command.h"

namespace higgs::vpn::testing {

inline void command(const std::vector<std::string>& words) {
  const auto done = tunnel::run_command(words);
  if (!done.ok()) throw std::runtime_error(words.at(0) + " " + words.at(1) + ": " + done.err);
}

/// Carriers and IPv6 addresses come up a moment later, in the background; from then on the routes stay as they are.
inline bool interfaces_are_settled() {
  const std::string routes = tunnel::run_command({"ip", "route", "show", "table", "all"}).out +
                             tunnel::run_command({"ip", "-6", "route", "show", "table", "all"}).out;
  if (routes.find("linkdown") != std::string::npos) return false;
  if (routes.find("local 2001:db8::2") == std::string::npos || routes.find("local fd00::2") == std::string::npos) {
    return false;
  }
  for (const char* name : {"eth0", "eth0-far", "higgs0", "higgs0-far", "higgs1", "higgs1-far"}) {
    if (routes.find("multicast ff00::/8 dev " + std::string(name) + " ") == std::string::npos) return false;
  }
  return true;
}

inline void make_interfaces() {
  command({"ip", "link", "set", "lo", "up"});
  for (const std::string name : {"eth0", "higgs0", "higgs1"}) {
    command({"ip", "link", "add", name, "type", "veth", "peer", "name", name + "-far"});
    for (const std::string& end : {name, name + "-far"}) {
      command({"ip", "link", "set", end, "addrgenmode", "none"});
      command({"ip", "link", "set", end, "up"});
    }
  }
  command({"ip", "addr", "add", "192.168.7.2/24", "dev", "eth0"});
  command({"ip", "addr", "add", "10.7.0.2/32", "dev", "higgs0"});
  command({"ip", "-6", "addr", "add", "2001:db8::2/64", "dev", "eth0", "nodad"});
  command({"ip", "-6", "addr", "add", "fd00::2/128", "dev", "higgs0", "nodad"});
  command({"ip", "route", "add", "default", "via", "192.168.7.1"});
  command({"ip", "-6", "route", "add", "default", "via", "2001:db8::1"});
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!interfaces_are_settled()) {
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("the interfaces do not settle");
  }
}

}  // namespace higgs::vpn::testing

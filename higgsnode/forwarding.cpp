#include "higgsnode/forwarding.h"

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/files.h"
#include "tunnel/ipv6_state.h"

namespace higgs::node {
namespace {

const std::filesystem::path kSysctls = "/proc/sys";

std::string read_sysctl(const std::string& name) {
  auto text = runtime::read_file(kSysctls / name, 4096);
  if (!text) return {};
  while (text->ends_with('\n')) text->pop_back();
  return std::move(*text);
}

std::vector<std::string> interfaces_in(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(kSysctls / directory, error)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

/// Whether an interface that is made now can have IPv6: "all" and "default" both decide on that.
bool new_interfaces_have_ipv6() { return tunnel::ipv6_is_on("all") && tunnel::ipv6_is_on("default"); }

}  // namespace

ForwardingState read_forwarding() {
  return {read_sysctl("net/ipv4/ip_forward") == "1", read_sysctl("net/ipv6/conf/all/forwarding") == "1",
          new_interfaces_have_ipv6()};
}

Result<void> enable_forwarding_v4(tunnel::UndoJournal& journal) {
  if (read_forwarding().v4) return {};
  // inet_forward_change(): all and default, every interface, and accept_redirects follow ip_forward.
  if (auto kept = remember_sysctl(journal, "net/ipv4/conf/all/accept_redirects", "1"); !kept) return kept;
  for (const auto& name : interfaces_in("net/ipv4/conf")) {
    if (name == "all") continue;
    if (auto kept = remember_sysctl(journal, "net/ipv4/conf/" + name + "/forwarding", "0"); !kept) return kept;
  }
  return tunnel::set_sysctl(journal, "net/ipv4/ip_forward", "1");
}

Result<void> enable_forwarding_v6(tunnel::UndoJournal& journal) {
  const auto state = read_forwarding();
  if (!state.has_v6 || state.v6) return {};
  for (const auto& name : interfaces_in("net/ipv6/conf")) {
    if (name == "all") continue;
    const auto directory = "net/ipv6/conf/" + name + "/";
    if (auto kept = remember_sysctl(journal, directory + "forwarding", "0"); !kept) return kept;
    // A router takes no advertisements unless told twice; it would lose its own default route.
    if (name == "default" || read_sysctl(directory + "accept_ra") != "1") continue;
    if (auto set = tunnel::set_sysctl(journal, directory + "accept_ra", "2"); !set) return set;
  }
  return tunnel::set_sysctl(journal, "net/ipv6/conf/all/forwarding", "1");
}

}  // namespace higgs::node

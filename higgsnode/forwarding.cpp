#include "higgsnode/forwarding.h"

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/files.h"

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

/// A value that a later switch will change along: recorded, so that undoing (newest first) ends with it.
Result<void> remember(tunnel::UndoJournal& journal, const std::string& name) {
  const auto value = read_sysctl(name);
  if (value.empty()) return {};
  return journal.record({"sysctl", {{"name", name}, {"value", value}}});
}

}  // namespace

ForwardingState read_forwarding() {
  return {read_sysctl("net/ipv4/ip_forward") == "1", read_sysctl("net/ipv6/conf/all/forwarding") == "1",
          !read_sysctl("net/ipv6/conf/all/forwarding").empty()};
}

Result<void> enable_forwarding_v4(tunnel::UndoJournal& journal) {
  if (read_forwarding().v4) return {};
  // inet_forward_change(): all and default, every interface, and accept_redirects follow ip_forward.
  if (auto kept = remember(journal, "net/ipv4/conf/all/accept_redirects"); !kept) return kept;
  for (const auto& name : interfaces_in("net/ipv4/conf")) {
    if (name == "all") continue;
    if (auto kept = remember(journal, "net/ipv4/conf/" + name + "/forwarding"); !kept) return kept;
  }
  return tunnel::set_sysctl(journal, "net/ipv4/ip_forward", "1");
}

Result<void> enable_forwarding_v6(tunnel::UndoJournal& journal) {
  const auto state = read_forwarding();
  if (!state.has_v6 || state.v6) return {};
  for (const auto& name : interfaces_in("net/ipv6/conf")) {
    if (name == "all") continue;
    const auto directory = "net/ipv6/conf/" + name + "/";
    if (auto kept = remember(journal, directory + "forwarding"); !kept) return kept;
    // A router takes no advertisements unless told twice; it would lose its own default route.
    if (name == "default" || read_sysctl(directory + "accept_ra") != "1") continue;
    if (auto set = tunnel::set_sysctl(journal, directory + "accept_ra", "2"); !set) return set;
  }
  return tunnel::set_sysctl(journal, "net/ipv6/conf/all/forwarding", "1");
}

}  // namespace higgs::node

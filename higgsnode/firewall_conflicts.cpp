#include "higgsnode/firewall_conflicts.h"

#include <algorithm>

namespace higgs::node {
namespace {

bool is_iptables(std::string_view table) {
  for (const std::string_view family : {"ip ", "ip6 "}) {
    for (const std::string_view name : {"filter", "nat", "mangle", "raw", "security"}) {
      if (table.starts_with(family) && table.substr(family.size()) == name) return true;
    }
  }
  return false;
}

}  // namespace

std::vector<std::string> forward_tables(std::string_view text) {
  std::vector<std::string> found;
  std::string table;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with("table ") && line.ends_with(" {")) table = line.substr(6, line.size() - 8);
    const bool forwards = line.find("hook forward") != line.npos;
    const bool known = is_iptables(table) || std::find(found.begin(), found.end(), table) != found.end();
    if (forwards && !known) found.push_back(table);
  }
  return found;
}

std::vector<std::string> find_firewall_conflicts(const tunnel::CommandRunner& runner) {
  const auto listed = runner({"nft", "list", "chains"}, {});
  return listed.ok() ? forward_tables(listed.out) : std::vector<std::string>();
}

}  // namespace higgs::node

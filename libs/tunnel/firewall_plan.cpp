#include "tunnel/firewall_plan.h"

#include <algorithm>
#include <array>

namespace higgs::tunnel {
namespace {

constexpr std::array<std::string_view, 5> kTables{"filter", "nat", "mangle", "raw", "security"};
constexpr std::array<std::string_view, 5> kBuiltIn{"INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"};

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxChainName && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  }) && text.front() != '-';
}

bool is_one_line(std::string_view text) {
  return !text.empty() && text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

// The target of a rule: the word behind -j or -g, outside quotation marks.
std::string_view target_of(std::string_view rule) {
  bool quoted = false, is_target = false;
  std::size_t start = 0;
  for (std::size_t i = 0; i <= rule.size(); ++i) {
    if (i < rule.size() && rule[i] == '\\' && quoted) {
      ++i;
    } else if (i < rule.size() && rule[i] == '"') {
      quoted = !quoted;
    } else if (i == rule.size() || (rule[i] == ' ' && !quoted)) {
      const std::string_view word = rule.substr(start, i - start);
      if (is_target) return word;
      is_target = word == "-j" || word == "-g";
      start = i + 1;
    }
  }
  return {};
}

std::optional<std::string> find_fault(const FirewallRules& rules, std::string_view prefix) {
  std::set<std::pair<std::string, std::string>> names;
  for (const FirewallChain& chain : rules.chains) {
    if (std::find(kTables.begin(), kTables.end(), chain.table) == kTables.end()) return "no such table: " + chain.table;
    if (!is_name(chain.name)) return "not a chain name: " + chain.name;
    if (!chain.name.starts_with(prefix)) return "chain without the plan's prefix: " + chain.name;
    if (!names.emplace(chain.table, chain.name).second) return "chain named twice: " + chain.name;
    for (const std::string& rule : chain.rules) {
      if (!is_one_line(rule) || rule.front() != '-') return "not a rule: " + rule;
    }
  }
  for (const FirewallJump& jump : rules.jumps) {
    if (std::find(kBuiltIn.begin(), kBuiltIn.end(), jump.from) == kBuiltIn.end()) {
      return "not a built-in chain: " + jump.from;
    }
    if (!is_one_line(jump.rule)) return "not a rule: " + jump.rule;
    if (!names.contains({jump.table, std::string(target_of(jump.rule))})) {
      return "jump that leads into no chain of the plan: " + jump.rule;
    }
  }
  return std::nullopt;
}

// The lines of one table, in the order in which they must run: our chains come to be (or are emptied), the old jumps
// go, the new ones come, chains are filled, and those no longer wanted are deleted.
std::string render_table(const std::string& table, const FirewallRules& rules, const FirewallRules& standing) {
  std::string text = "*" + table + "\n";
  std::set<std::string> wanted;
  for (const FirewallChain& chain : rules.chains) {
    if (chain.table != table) continue;
    wanted.insert(chain.name);
    text += ":" + chain.name + " - [0:0]\n";
  }
  for (const FirewallJump& jump : standing.jumps) {
    if (jump.table == table) text += "-D " + jump.from + " " + jump.rule + "\n";
  }
  std::map<std::string, int> position;
  for (const FirewallJump& jump : rules.jumps) {
    if (jump.table != table) continue;
    text += "-I " + jump.from + " " + std::to_string(++position[jump.from]) + " " + jump.rule + "\n";
  }
  for (const FirewallChain& chain : rules.chains) {
    if (chain.table != table) continue;
    for (const std::string& rule : chain.rules) text += "-A " + chain.name + " " + rule + "\n";
  }
  std::string deletions;
  for (const FirewallChain& chain : standing.chains) {
    if (chain.table != table || wanted.contains(chain.name)) continue;
    text += "-F " + chain.name + "\n";
    deletions += "-X " + chain.name + "\n";
  }
  return text + deletions + "COMMIT\n";
}

}  // namespace

std::optional<std::string> find_fault(const FirewallPlan& plan) {
  if (!is_name(plan.prefix) || plan.prefix.size() < 4 || plan.prefix.back() != '-') {
    return "not a prefix: " + plan.prefix;
  }
  if (auto fault = find_fault(plan.v4, plan.prefix)) return fault;
  return find_fault(plan.v6, plan.prefix);
}

StandingRules parse_standing(std::string_view iptables_save, std::string_view prefix) {
  StandingRules standing;
  std::string table;
  std::map<std::string, FirewallChain> chains;
  std::set<std::string> headed;  // built-in chains of this table of which a foreign rule was seen
  const auto end_table = [&] {
    for (auto& [name, chain] : chains) standing.own.chains.push_back(std::move(chain));
    chains.clear();
    headed.clear();
  };
  for (std::size_t start = 0; start < iptables_save.size();) {
    const std::size_t end = std::min(iptables_save.find('\n', start), iptables_save.size());
    const std::string_view line = iptables_save.substr(start, end - start);
    start = end + 1;
    if (line.starts_with('*')) {
      end_table();
      table = line.substr(1);
      standing.tables[table];
    } else if (line.starts_with(':')) {
      const std::size_t space = line.find(' ');
      const std::string name(line.substr(1, space == std::string_view::npos ? space : space - 1));
      const bool is_user_chain = line.substr(std::min(space, line.size())).starts_with(" - ");
      if (name.starts_with(prefix)) {
        chains[name] = {table, name, {}};
      } else if (is_user_chain) {
        standing.tables[table].foreign_content = true;
      } else if (!line.substr(std::min(space, line.size())).starts_with(" ACCEPT")) {
        standing.tables[table].changed_policies.insert(name);
      }
    } else if (line.starts_with("-A ")) {
      const std::size_t space = line.find(' ', 3);
      const std::string name(line.substr(3, space == std::string_view::npos ? space : space - 3));
      const std::string rule(space == std::string_view::npos ? "" : line.substr(space + 1));
      if (const auto own = chains.find(name); own != chains.end()) {
        own->second.rules.push_back(rule);
      } else if (target_of(rule).starts_with(prefix)) {
        standing.own.jumps.push_back({table, name, rule});
        if (headed.contains(name)) standing.displaced.push_back({table, name, rule});
      } else {
        headed.insert(name);
        standing.tables[table].foreign_content = true;
      }
    }
  }
  end_table();
  return standing;
}

std::string render_apply(const FirewallRules& rules, const StandingRules& standing) {
  std::string text;
  for (const std::string_view name : kTables) {
    const auto in_table = [&](const auto& entry) { return entry.table == name; };
    const auto concerns = [&](const FirewallRules& set) {
      return std::any_of(set.chains.begin(), set.chains.end(), in_table) ||
             std::any_of(set.jumps.begin(), set.jumps.end(), in_table);
    };
    if (concerns(rules) || concerns(standing.own)) text += render_table(std::string(name), rules, standing.own);
  }
  return text;
}

std::string render_removal(const StandingRules& standing) { return render_apply({}, standing); }

}  // namespace higgs::tunnel

#include "tunnel/firewall.h"

#include <algorithm>

#include "tunnel/ipv6_state.h"
#include "tunnel/nft_tables.h"

HIGGS_ERROR_CATEGORY(higgs::tunnel, FirewallError, "tunnel.firewall") {
  switch (error) {
    case FirewallError::kMissing:
      return "iptables is not installed; install it (Debian, Ubuntu: apt install iptables)";
    case FirewallError::kNotPermitted:
      return "changing the firewall is not permitted: run as root or with CAP_NET_ADMIN";
    case FirewallError::kBadPlan:
      return "the firewall plan is malformed";
    case FirewallError::kRefused:
      return "iptables refused the rules";
    case FirewallError::kTimedOut:
      return "iptables did not answer in time: does another program hold its lock?";
    case FirewallError::kDisturbed:
      return "our firewall rules were removed, changed or displaced by another program";
  }
  return "unknown firewall error";
}

namespace higgs::tunnel {
namespace {

std::string join(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
  return text;
}

std::set<std::string> split(std::string_view text) {
  std::set<std::string> names;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find(',', start), text.size());
    if (end > start) names.emplace(text.substr(start, end - start));
    start = end + 1;
  }
  return names;
}

std::set<std::string> missing_tables(const FirewallRules& rules, const StandingRules& standing) {
  std::set<std::string> names;
  for (const FirewallChain& chain : rules.chains) {
    if (!standing.tables.contains(chain.table)) names.insert(chain.table);
  }
  return names;
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

Firewall::Firewall(CommandRunner runner) : runner_(std::move(runner)) {
  if (!runner_) {
    runner_ = [](const std::vector<std::string>& arguments, std::string_view input) {
      return run_command(arguments, input);
    };
  }
}

Result<std::string> Firewall::run(Family family, const char* suffix, const std::string& input) {
  const std::string program = std::string(family == Family::kV4 ? "iptables" : "ip6tables") + suffix;
  std::vector<std::string> arguments{program};
  // The legacy back end has one lock for the machine: wait for it rather than fail. Saving takes none.
  if (!input.empty()) arguments.insert(arguments.end(), {"--noflush", "--wait", "10"});
  CommandResult result = runner_(arguments, input);
  if (!result.found) {
    detail_ = program + " was not found";
    return FirewallError::kMissing;
  }
  if (result.ok()) return std::move(result.out);
  detail_ = program + ": " + result.err.substr(0, result.err.find_last_not_of('\n') + 1);
  if (result.timed_out) return FirewallError::kTimedOut;
  const bool forbidden = contains(result.err, "Permission denied") || contains(result.err, "you must be root") ||
                         contains(result.err, "Operation not permitted");
  return forbidden ? FirewallError::kNotPermitted : FirewallError::kRefused;
}

Result<StandingRules> Firewall::standing(Family family, std::string_view prefix) {
  if (family == Family::kV6 && !kernel_has_ipv6()) return StandingRules{};
  const auto saved = run(family, "-save", {});
  if (!saved) return saved.error();
  return parse_standing(*saved, prefix);
}

Result<void> Firewall::restore(Family family, const std::string& input) {
  if (input.empty() || (family == Family::kV6 && !kernel_has_ipv6())) return {};
  const auto restored = run(family, "-restore", input);
  return restored ? Result<void>() : Result<void>(restored.error());
}

Result<void> Firewall::apply(const FirewallPlan& plan, UndoJournal& journal) {
  if (auto fault = find_fault(plan)) {
    detail_ = *fault;
    return FirewallError::kBadPlan;
  }
  const auto before_v4 = standing(Family::kV4, plan.prefix);
  if (!before_v4) return before_v4.error();
  const auto before_v6 = standing(Family::kV6, plan.prefix);
  if (!before_v6) return before_v6.error();
  const auto made_v4 = missing_tables(plan.v4, *before_v4), made_v6 = missing_tables(plan.v6, *before_v6);
  const UndoStep step{std::string(kUndoKind), {{"prefix", plan.prefix}, {"v4", join(made_v4)}, {"v6", join(made_v6)}}};
  // A plan that replaces another one makes no table: the first step says it all already.
  const auto steps = journal.steps();
  const bool known =
      made_v4.empty() && made_v6.empty() && std::any_of(steps.begin(), steps.end(), [&](const UndoStep& other) {
        const auto prefix = other.fields.find("prefix");
        return other.kind == kUndoKind && prefix != other.fields.end() && prefix->second == plan.prefix;
      });
  if (!known) {
    if (const auto recorded = journal.record(step); !recorded) return recorded;
  }
  if (const auto restored = restore(Family::kV4, render_apply(plan.v4, *before_v4)); !restored) return restored;
  if (const auto restored = restore(Family::kV6, render_apply(plan.v6, *before_v6)); !restored) {
    const std::string reason = detail_;
    if (const auto now = standing(Family::kV4, plan.prefix); now) {
      (void)restore(Family::kV4, render_apply(before_v4->own, *now));
      if (before_v4->own.empty()) (void)remove(Family::kV4, plan.prefix, made_v4);
    }
    detail_ = reason;
    return restored;
  }
  prefix_ = plan.prefix;
  for (const Family family : {Family::kV4, Family::kV6}) {
    const auto now = standing(family, plan.prefix);
    if (!now) return now.error();
    applied_[family] = now->own;
  }
  return {};
}

Result<void> Firewall::remove(Family family, std::string_view prefix, const std::set<std::string>& made) {
  const auto before = standing(family, prefix);
  if (!before) return before.error();
  if (!before->own.empty()) {
    if (const auto restored = restore(family, render_removal(*before)); !restored) return restored;
  }
  if (made.empty()) return {};
  const auto after = standing(family, prefix);
  if (!after) return after.error();
  for (const std::string& name : made) {
    const auto table = after->tables.find(name);
    if (table == after->tables.end() || table->second.foreign_content || !table->second.changed_policies.empty()) {
      continue;
    }
    (void)delete_empty_nft_table(family == Family::kV6, name);
  }
  return {};
}

Result<void> Firewall::remove(std::string_view prefix, const std::set<std::string>& made_v4,
                              const std::set<std::string>& made_v6) {
  // A family that fails must not keep the other from being cleaned.
  const auto v4 = remove(Family::kV4, prefix, made_v4);
  const auto v6 = remove(Family::kV6, prefix, made_v6);
  if (prefix_ == prefix) applied_.clear();
  return v4 ? v6 : v4;
}

Result<void> Firewall::verify() {
  if (applied_.empty()) return FirewallError::kDisturbed;
  for (const auto& [family, rules] : applied_) {
    const auto now = standing(family, prefix_);
    if (!now) return now.error();
    if (now->own != rules || !now->displaced.empty()) return FirewallError::kDisturbed;
  }
  return {};
}

Result<bool> Firewall::stands(std::string_view prefix) {
  for (const Family family : {Family::kV4, Family::kV6}) {
    const auto now = standing(family, prefix);
    if (!now) return Result<bool>(boost::system::in_place_error, now.error());
    if (!now->own.empty()) return true;
  }
  return false;
}

UndoHandler Firewall::undo_handler(CommandRunner runner) {
  return [runner = std::move(runner)](const UndoStep& step) -> Result<void> {
    const auto field = [&](const char* name) -> std::string {
      const auto found = step.fields.find(name);
      return found == step.fields.end() ? std::string() : found->second;
    };
    const std::string prefix = field("prefix");
    if (prefix.size() < 4 || prefix.back() != '-') return JournalError::kDamaged;
    return Firewall(runner).remove(prefix, split(field("v4")), split(field("v6")));
  };
}

}  // namespace higgs::tunnel

// Packet filter rules of our own as data: chains of our own in the tables of iptables, and the jumps into them at the
// head of built-in chains. Rendering a plan to the input of `iptables-restore --noflush`, and finding what stands in
// the output of `iptables-save`, are pure functions. Nothing here names a chain or rule that is not ours.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace higgs::tunnel {

/// `rules`: what follows "-A CHAIN " in iptables-save, such as "-o lo -j RETURN".
struct FirewallChain {
  std::string table;  ///< filter, nat, mangle, raw or security
  std::string name;
  std::vector<std::string> rules;
  friend bool operator==(const FirewallChain&, const FirewallChain&) = default;
};

/// A rule in somebody else's chain that leads into ours: "-j CHAIN", with matches before it if wanted.
struct FirewallJump {
  std::string table;
  std::string from;  ///< built-in chain, as "OUTPUT"
  std::string rule;
  friend bool operator==(const FirewallJump&, const FirewallJump&) = default;
};

struct FirewallRules {
  std::vector<FirewallChain> chains;
  std::vector<FirewallJump> jumps;  ///< put at the head of their chains, in this order
  bool empty() const noexcept { return chains.empty() && jumps.empty(); }
  friend bool operator==(const FirewallRules&, const FirewallRules&) = default;
};

struct FirewallPlan {
  /// Every chain's name begins with it; it ends in '-' and belongs to this plan alone: whatever bears it is ours to
  /// replace and to remove.
  std::string prefix;
  FirewallRules v4, v6;
};

/// The kernel's limit for a chain's name (XT_EXTENSION_MAXNAMELEN - 1).
inline constexpr std::size_t kMaxChainName = 28;

/// What is wrong with a plan; nullopt if nothing. A plan may hold text from configuration, so it is checked, not
/// trusted.
std::optional<std::string> find_fault(const FirewallPlan& plan);

/// What iptables-save says, as far as it concerns `prefix`.
struct StandingRules {
  struct Table {
    std::set<std::string> changed_policies;  ///< built-in chains whose policy is not ACCEPT
    bool foreign_content = false;            ///< a user chain or rule that is not ours
  };
  std::map<std::string, Table> tables;  ///< all that exist
  FirewallRules own;                    ///< chains of our prefix, and rules elsewhere that lead into them
  /// Jumps of ours that a foreign rule stands before.
  std::vector<FirewallJump> displaced;
};
StandingRules parse_standing(std::string_view iptables_save, std::string_view prefix);

/// Input for iptables-restore --noflush that replaces what stands by `rules` in one transaction a table.
std::string render_apply(const FirewallRules& rules, const StandingRules& standing);
/// The same for taking all of it away; empty if nothing of ours stands.
std::string render_removal(const StandingRules& standing);

}  // namespace higgs::tunnel

// Puts a firewall plan in place and takes it away again, with iptables and ip6tables: atomically, in chains of our own,
// without touching a foreign rule, and so that `iptables-save` is afterwards as it was before.
//
// Blocking (two to four short commands a call). Threads: one at a time. The chains survive the process; what a crash
// left is found by the plan's prefix, or undone by the journal.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tunnel/command.h"
#include "tunnel/firewall_plan.h"
#include "tunnel/undo_journal.h"

namespace higgs::tunnel {

enum class FirewallError {
  kMissing = 1,   ///< no iptables on this machine
  kNotPermitted,  ///< CAP_NET_ADMIN is missing
  kBadPlan,
  kRefused,  ///< the kernel or iptables does not take a rule; see detail()
  kTimedOut,
  kDisturbed,  ///< somebody removed or changed our rules, or put one before them
};

class Firewall {
 public:
  explicit Firewall(CommandRunner runner = nullptr);

  /// Replaces whatever bears the plan's prefix by the plan, each table in one transaction, so that there is no moment
  /// between old and new. If IPv6 fails, IPv4 goes back to what stood before. The journal gets its step first.
  Result<void> apply(const FirewallPlan& plan, UndoJournal& journal);
  /// Takes away all chains of `prefix` and the jumps into them. Nothing there: success. `made_v4`, `made_v6`: tables
  /// that did not exist before us, which go too if they are empty.
  Result<void> remove(std::string_view prefix, const std::set<std::string>& made_v4 = {},
                      const std::set<std::string>& made_v6 = {});
  /// Success if all that the last apply() put in place stands, unchanged, its jumps still before every foreign rule;
  /// else kDisturbed.
  Result<void> verify();
  /// Cheap enough for every second: true if nobody has changed any rule on this host since verify() last succeeded.
  /// False also where that cannot be told (the legacy back end of iptables).
  bool untouched() const;
  /// Whether anything bears this prefix.
  Result<bool> stands(std::string_view prefix);

  /// What iptables said to the last failure, for people.
  const std::string& detail() const noexcept { return detail_; }

  /// Undoes the journal steps that apply() wrote. Has a Firewall of its own.
  static UndoHandler undo_handler(CommandRunner runner = nullptr);
  static constexpr std::string_view kUndoKind = "firewall";

 private:
  enum class Family { kV4, kV6 };
  Result<StandingRules> standing(Family family, std::string_view prefix);
  Result<void> restore(Family family, const std::string& input);
  Result<void> remove(Family family, std::string_view prefix, const std::set<std::string>& made);
  Result<std::string> run(Family family, const char* suffix, const std::string& input);

  CommandRunner runner_;
  std::string detail_;
  std::string prefix_;
  std::map<Family, FirewallRules> applied_;
  bool by_nftables_ = false;  ///< all that was saved last
  std::optional<std::uint32_t> verified_;
};

}  // namespace higgs::tunnel

HIGGS_ERROR_ENUM(higgs::tunnel, FirewallError)

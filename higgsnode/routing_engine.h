// Forwarding and address translation for the tunnel, and the egress policy, on this host: put in place, kept in place,
// and taken away without a trace. What is changed is in the undo journal before it is changed.
//
// Blocking (iptables); control thread. Fails closed: while `in_force()` is false no client may be served.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "higgsnode/egress_policy.h"
#include "higgsnode/egress_routes.h"
#include "tunnel/firewall.h"
#include "tunnel/undo_journal.h"

namespace higgs::node {

class RoutingEngine {
 public:
  /// `journal`: of the state directory; what a crash left in it is undone first (recover()). `table`: for routes, this
  /// node's alone.
  RoutingEngine(tunnel::UndoJournal& journal, std::string chain_prefix, std::uint32_t table,
                tunnel::CommandRunner runner = nullptr);

  /// Undoes what stands in the journal. The messages of what could not be undone.
  static std::vector<std::string> recover(tunnel::UndoJournal& journal, const tunnel::CommandRunner& runner = nullptr);

  /// Puts the policy in place, then opens forwarding; or, when it stands already, replaces the policy atomically.
  /// `policy.close_*`, `limit_connections` and `ipv6` are found out here.
  Result<void> apply(EgressPolicy policy);
  /// Whether all stands as applied; if not, it is put back. An error: it could not be.
  Result<void> check();
  /// Cheap enough for every second: true if check() need not look at rules and forwarding.
  bool untouched() const;
  /// Whether the policy's routes stand. To be asked when routes or their rules change, which happens rarely.
  bool routes_stand() const { return routes_.stand(); }
  /// Takes everything away. The messages of what could not be undone.
  std::vector<std::string> remove();

  bool in_force() const noexcept { return in_force_; }
  const EgressPolicy& policy() const noexcept { return policy_; }
  std::uint64_t repairs() const noexcept { return repairs_; }
  /// What iptables said to the last failure.
  const std::string& detail() const noexcept { return detail_; }

 private:
  Result<void> put_in_place();
  Result<void> open_forwarding();
  bool forwarding_open() const;

  tunnel::UndoJournal& journal_;
  std::string prefix_;
  tunnel::CommandRunner runner_;
  tunnel::Firewall firewall_;
  EgressRoutes routes_;
  EgressPolicy policy_;
  std::string detail_;
  bool probed_ = false;
  bool in_force_ = false;
  std::uint64_t repairs_ = 0;
};

}  // namespace higgs::node

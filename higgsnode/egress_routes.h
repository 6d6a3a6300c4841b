// The egress policy's addresses a second time, as routes: what comes from the tunnel looks into a table of its own
// first, in which denied networks are unreachable. Whoever flushes or reloads the firewall does not touch these, so
// that the volunteer's network stays closed until the rules are back.
//
// Blocking (rtnetlink); control thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "higgsnode/egress_policy.h"
#include "tunnel/netlink.h"
#include "tunnel/undo_journal.h"

namespace higgs::node {

class EgressRoutes {
 public:
  static constexpr const char* kUndoKind = "egress-routes";

  /// `table`: this node's alone.
  explicit EgressRoutes(std::uint32_t table) : table_(table) {}

  /// Puts them in place, or brings what stands up to date: new ones are there before old ones go.
  Result<void> apply(const EgressPolicy& policy, tunnel::UndoJournal& journal);
  /// Whether all of it stands as applied; reads the host's rules and routes.
  bool stand() const;

  static tunnel::UndoHandler undo_handler();

 private:
  std::uint32_t table_;
  std::string interface_;
  std::vector<IpPrefix> v4_, v6_;  ///< sorted
};

}  // namespace higgs::node

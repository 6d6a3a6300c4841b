// The sysctls that let a host forward, journaled so that each of them returns to what it was: switching the global one
// changes others along with it (Documentation/networking/ip-sysctl.rst).
#pragma once

#include "base/result.h"
#include "tunnel/undo_journal.h"

namespace higgs::node {

struct ForwardingState {
  bool v4 = false, v6 = false;
  bool has_v6 = false;  ///< the kernel has IPv6, and no sysctl (disable_ipv6) keeps the tunnel's interface from it
};
ForwardingState read_forwarding();

/// Turns IPv4 forwarding on, if it is off.
Result<void> enable_forwarding_v4(tunnel::UndoJournal& journal);
/// Turns IPv6 forwarding on, if it is off; interfaces that take their routes from router advertisements go on doing so
/// (accept_ra 2).
Result<void> enable_forwarding_v6(tunnel::UndoJournal& journal);

}  // namespace higgs::node

// Leads everything into the tunnel but the client's own sockets, as wg-quick(8) does: a table of our own with the
// default routes, chosen by policy rules for packets without our mark, after the main table was asked for anything more
// specific than a default route. IPv4 and IPv6; where a sysctl keeps IPv6 off the tunnel's interface, it leads nowhere
// rather than past the tunnel. Recorded in the journal first; undone by table and priority, so that no
// rule of others is touched.
#pragma once

#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "tunnel/netlink.h"
#include "tunnel/undo_journal.h"

namespace higgs::vpn {

enum class RoutesError {
  kTableInUse = 1,  ///< somebody else keeps routes in our table
  kDisturbed,       ///< somebody removed some of ours, or put others beside them
};

struct RoutesPlan {
  std::vector<tunnel::Route> routes;
  std::vector<tunnel::Rule> rules;
};
/// Of one family. `usable`: whether the interface takes routes of it.
RoutesPlan make_routes_plan(tunnel::IpFamily family, const std::string& ifname, bool usable);

class Routes {
 public:
  Routes(tunnel::Netlink& netlink, tunnel::UndoJournal& journal) : netlink_(netlink), journal_(journal) {}

  /// Puts routes and rules in place; what of them stands already (an earlier tunnel's) is replaced where it differs.
  Result<void> apply(const std::string& ifname);
  /// Success if exactly that stands which apply() would put in place; else kDisturbed.
  Result<void> verify(const std::string& ifname);
  static tunnel::UndoHandlers undo_handlers();

 private:
  Result<void> apply(tunnel::IpFamily family, const std::string& ifname);
  Result<void> verify(tunnel::IpFamily family, const std::string& ifname);
  Result<std::vector<tunnel::Route>> routes_in_table(tunnel::IpFamily family);

  tunnel::Netlink& netlink_;
  tunnel::UndoJournal& journal_;
};

}  // namespace higgs::vpn

HIGGS_ERROR_ENUM(higgs::vpn, RoutesError)

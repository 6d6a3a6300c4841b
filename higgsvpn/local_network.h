// Everything that `connect` changes on this machine, in one place: kill switch, routes, DNS; each change in the journal
// before it is made. The tunnel's interface is not here: it goes with the process that made it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "higgsvpn/dns.h"
#include "higgsvpn/failure.h"
#include "higgsvpn/kill_switch.h"
#include "higgsvpn/routes.h"
#include "higgsvpn/state_directory.h"
#include "tunnel/firewall.h"
#include "tunnel/netlink.h"
#include "tunnel/undo_journal.h"

namespace higgs::vpn {

struct TunnelAddresses {
  std::string ifname;
  std::vector<IpAddress> addresses;
  std::vector<IpAddress> dns;  ///< empty: resolv.conf is left alone
};

class LocalNetwork {
 public:
  /// The state directory's connect lock must be held.
  static Outcome<LocalNetwork> open(const StateDirectory& state, DnsEnvironment dns = {});

  /// Whether a run before this one ended without cleaning up, and whether it left the kill switch closed.
  bool has_leftovers() const { return !journal_->empty(); }
  bool kill_switch_left() const { return kill_switch_left_; }
  /// Undoes what a crash left, but for the firewall: it stays closed until it is replaced or restore() is called.
  Outcome<void> recover();

  /// Closed to all but our own sockets. Not enabled: prepares only what marked packets need.
  Outcome<void> close(bool kill_switch, bool allow_lan);
  /// Lets traffic into the tunnel: kill switch, routes, DNS. Again with another interface: moves it there.
  Outcome<void> lead_into(const TunnelAddresses& tunnel);
  /// Mends what other programs have undone since close() and lead_into(); what it mended, for the log.
  std::optional<std::string> mend();
  /// Puts everything back as it was.
  Outcome<void> restore();

 private:
  LocalNetwork(tunnel::UndoJournal journal, tunnel::Netlink netlink, DnsEnvironment dns);
  Outcome<void> apply_firewall();
  Outcome<void> undo(bool keep_firewall);

  // Behind pointers, since routes and DNS refer to them and this object moves.
  std::unique_ptr<tunnel::UndoJournal> journal_;
  std::unique_ptr<tunnel::Netlink> netlink_;
  tunnel::Firewall firewall_;
  Routes routes_;
  Dns dns_;
  KillSwitchOptions kill_switch_;
  std::optional<TunnelAddresses> tunnel_;
  bool kill_switch_left_ = false, firewall_applied_ = false;
};

}  // namespace higgs::vpn

// diagnose nat
#include "higgsvpn/cli/commands.h"
#include "higgsvpn/cli/output.h"
#include "higgsvpn/cli/privileges.h"
#include "higgsvpn/marks.h"
#include "net/nat_diagnosis.h"

namespace higgs::vpn {

int diagnose_nat(const Settings& settings, const std::optional<std::string>& stun, bool json) {
  const StateDirectory state(settings.state_dir);
  std::optional<net::StunServerName> server;
  if (stun) {
    server = net::StunServerName::parse(*stun);
    if (!server) return fail({ExitCode::kUsage, "not a server: " + *stun, "give --stun host:port", false, {}}, json);
  } else {
    server = net::remembered_stun_server(state.nat());
    if (!server) {
      const auto account = load_account(state);
      if (account && *account) server = net::StunServerName::beside((*account)->server);
    }
  }
  if (!server) {
    return fail({ExitCode::kUsage, "no STUN server is known", "log in, or give one with --stun host:port", false, {}},
                json);
  }
  // Marked where that is permitted: past a tunnel that is up, through a kill switch that is closed.
  return net::diagnose_nat({"higgsvpn", *server, can_administer_network() ? kFirewallMark : 0, json});
}

}  // namespace higgs::vpn

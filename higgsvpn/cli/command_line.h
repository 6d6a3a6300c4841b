// The command line of higgsvpn.
#pragma once

namespace higgs::vpn {

/// Returns the exit status.
int run_command_line(int argc, char** argv);

}  // namespace higgs::vpn

// The command line: `higgsnode run | status | diagnose | cleanup | check-config`.
#pragma once

namespace higgs::node {

/// The program's exit code: 0 well, 1 failure, 2 usage or configuration, 6 missing privileges.
int run_command_line(int argc, char** argv);

}  // namespace higgs::node

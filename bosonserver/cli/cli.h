// The command line of bosonserver.
#pragma once

namespace higgs::boson {

/// Exit status: 0 done, 1 failed, 2 used wrongly.
int run_command_line(int argc, char** argv);

}  // namespace higgs::boson

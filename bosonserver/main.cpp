#include "bosonserver/cli/cli.h"

int main(int argc, char** argv) { return higgs::boson::run_command_line(argc, argv); }

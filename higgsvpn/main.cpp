#include "higgsvpn/cli/command_line.h"

int main(int argc, char** argv) { return higgs::vpn::run_command_line(argc, argv); }

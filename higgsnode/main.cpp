#include "higgsnode/commands.h"

int main(int argc, char** argv) { return higgs::node::run_command_line(argc, argv); }

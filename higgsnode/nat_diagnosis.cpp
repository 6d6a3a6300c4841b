#include "higgsnode/nat_diagnosis.h"

#include <iostream>

#include "higgsnode/state_directory.h"
#include "net/nat_diagnosis.h"

namespace higgs::node {

namespace {

constexpr const char* kNatExamples = R"(
Examples:
  higgsnode diagnose nat                          # asks the STUN server that the node uses
  higgsnode diagnose nat --stun stun.example.org:3478
  higgsnode diagnose nat --json | jq -r .natType
Exit codes: 0 the type is known, 1 it is not or UDP is blocked, 2 nobody to ask.)";

}  // namespace

CLI::App* add_nat_command(CLI::App& diagnose, NatCommand& command) {
  auto* nat = diagnose.add_subcommand("nat", "find out what the NAT before this host does");
  nat->footer(kNatExamples);
  nat->add_option("--stun", command.stun, "host:port of a STUN server with two addresses");
  nat->add_option("--config", command.config, "configuration file (TOML), for the server's name");
  nat->add_option("--state-dir", command.state_dir, "where the node keeps its state")->envname("HIGGS_STATE_DIR");
  nat->add_flag("--json", command.json, "for scripts");
  return nat;
}

int diagnose_nat(const NatCommand& command, const Settings& settings) {
  std::optional<net::StunServerName> server;
  if (command.stun) {
    server = net::StunServerName::parse(*command.stun);
  } else {
    server = net::remembered_stun_server(nat_memory(command.state_dir));
    if (!server) server = net::StunServerName::beside(settings.server);
  }
  if (!server) {
    std::cerr << "higgsnode: " << (command.stun ? "not a server: " + *command.stun : "no STUN server is known")
              << "; give one with --stun host:port\n";
    return kExitUsage;
  }
  return net::diagnose_nat({"higgsnode", *server, 0, command.json});
}

}  // namespace higgs::node

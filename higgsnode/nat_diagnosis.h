// `higgsnode diagnose nat`: what the NAT before this host does.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "higgsnode/settings.h"

namespace higgs::node {

/// Where the running node keeps what it found of the NAT.
inline std::filesystem::path nat_memory(const std::filesystem::path& state_dir) { return state_dir / "nat.json"; }

struct NatCommand {
  std::optional<std::string> stun;
  std::optional<std::filesystem::path> config;
  std::filesystem::path state_dir = "/var/lib/higgsnode";
  bool json = false;
};
CLI::App* add_nat_command(CLI::App& diagnose, NatCommand& command);

/// Asks --stun, else the server that the node was last told of, else the one beside the configured server. The exit
/// code: 0 if the type is known and UDP passes, 1 if not, 2 if there is nobody to ask.
int diagnose_nat(const NatCommand& command, const Settings& settings);

}  // namespace higgs::node

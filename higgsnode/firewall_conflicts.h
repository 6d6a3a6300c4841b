// Other firewalls on this host that also decide on forwarded packets (firewalld, nftables.service, …): what they drop
// our rules cannot let through. They are not touched, only told of.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tunnel/command.h"

namespace higgs::node {

/// Pure: tables of `nft list chains` with a base chain in the forward hook, as "inet firewalld", but for those that
/// iptables itself keeps.
std::vector<std::string> forward_tables(std::string_view nft_list_chains);

/// Empty also where there is no nft: then there is nothing but iptables either.
std::vector<std::string> find_firewall_conflicts(const tunnel::CommandRunner& runner);

}  // namespace higgs::node

// The number of the ruleset of nftables in this network namespace: the kernel counts it up with every change by
// anybody. Whoever has looked at the rules need not look again until it is another one.
#pragma once

#include <cstdint>
#include <optional>

namespace higgs::tunnel {

/// nullopt: it cannot be asked for. Asking loads the kernel's nf_tables where that is a module.
std::optional<std::uint32_t> nft_generation();

}  // namespace higgs::tunnel

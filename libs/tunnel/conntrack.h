// The kernel's table of connections (nf_conntrack, by netlink): what outlives the client that made it.
#pragma once

#include <cstddef>

#include "base/ip.h"
#include "base/result.h"

namespace higgs::tunnel {

/// Of our choosing: as many as a usual table holds.
inline constexpr std::size_t kMaxFlowsForgotten = 65536;

/// Makes the kernel forget every flow that `inside` began: answers to it would otherwise reach whoever gets the address
/// next. Returns how many; at most kMaxFlowsForgotten a call. Errors: the kernel's errno. Blocks for one look through
/// the table.
Result<std::size_t> forget_flows_of(const IpAddress& inside);

}  // namespace higgs::tunnel

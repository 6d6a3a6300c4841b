// Addresses that are not to be sent to on a stranger's word: private, loopback, link-local and other special ranges
// (IANA special-purpose registries). Documentation ranges count as ordinary: nobody lives there. Pure.
#pragma once

#include "base/ip.h"

namespace higgs::ice {

/// Multicast, broadcast, "this host": never anyone's address.
bool is_unusable(const IpAddress& address) noexcept;
/// Reaches only this host or its neighbourhood, or hides another address inside (mapped, NAT64, 6to4, Teredo).
bool is_special(const IpAddress& address) noexcept;

}  // namespace higgs::ice

// Settings that only the userspace driver has, next to those of every driver in tunnel_driver.h.
#pragma once

#include <cstdint>
#include <string>

namespace higgs::tunnel {

class Netlink;

/// How many packets of that MTU, sealed, fit one train: the limit for the kernel's super-packets.
std::uint32_t train_segments(std::uint32_t mtu) noexcept;
/// Queue and super-packet limits of a TUN interface, so that one read fits one send. A kernel that refuses costs speed
/// only, and is warned of.
void shape_interface(Netlink& netlink, const std::string& ifname, std::uint32_t mtu);

}  // namespace higgs::tunnel

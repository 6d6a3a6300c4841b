// What both halves of Netlink need of it.
#pragma once

#include <map>

#include "tunnel/netlink.h"
#include "tunnel/netlink_socket.h"

namespace higgs::tunnel {

class Netlink::Impl {
 public:
  explicit Impl(NetlinkSocket s) : socket(std::move(s)) {}
  Result<std::vector<Link>> links();
  Result<std::uint32_t> index_of(const std::string& ifname);
  Result<std::map<std::uint32_t, std::string>> names();
  NetlinkSocket socket;
};

inline unsigned char address_family(bool v4) noexcept { return v4 ? 2 : 10; }  // AF_INET, AF_INET6

}  // namespace higgs::tunnel

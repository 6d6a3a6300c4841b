#include "tunnel/nft_generation.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>

#include "tunnel/netlink_socket.h"

namespace higgs::tunnel {

std::optional<std::uint32_t> nft_generation() {
  auto socket = NetlinkSocket::open(NETLINK_NETFILTER);
  if (!socket) return std::nullopt;
  NetlinkRequest request((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN, 0);
  request.fixed<nfgenmsg>().version = NFNETLINK_V0;
  std::optional<std::uint32_t> generation;
  const auto answered = socket->query(request, [&](const nlmsghdr* message) {
    each_attribute(message, sizeof(nfgenmsg), [&](std::uint16_t type, const nlattr* attribute) {
      if (type == NFTA_GEN_ID) generation = ntohl(attribute_u32(attribute));
    });
  });
  return answered ? generation : std::nullopt;
}

}  // namespace higgs::tunnel

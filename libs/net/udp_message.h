// Addresses and control messages (ip(7), ipv6(7), udp(7)) of one UDP datagram or train.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/ip.h"
#include "net/udp_remotes.h"

namespace higgs::net {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
};
SocketAddress socket_address(const Endpoint& endpoint);
std::optional<Endpoint> endpoint_of(const sockaddr_storage& storage);

/// Room for a pktinfo of either family and a segment size.
using ControlBuffer = std::array<char, CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(int))>;

/// Fills in msg_control; `segment_bytes` 0: no train.
void put_control(msghdr& message, ControlBuffer& buffer, const std::optional<UdpSource>& source,
                 std::uint16_t segment_bytes);
struct ReceivedControl {
  std::optional<UdpSource> source;
  std::size_t segment_bytes = 0;
};
ReceivedControl read_control(const msghdr& message);

}  // namespace higgs::net

#include "net/udp_message.h"

#include <cstring>

#include <netinet/udp.h>

namespace higgs::net {

namespace {

template <class T>
T read_as(const cmsghdr* control) {
  T value{};
  std::memcpy(&value, CMSG_DATA(control), sizeof(value));
  return value;
}

template <class T>
std::size_t append(char* at, int level, int type, const T& value) {
  auto* control = static_cast<cmsghdr*>(static_cast<void*>(at));
  control->cmsg_level = level;
  control->cmsg_type = type;
  control->cmsg_len = CMSG_LEN(sizeof(value));
  std::memcpy(CMSG_DATA(control), &value, sizeof(value));
  return CMSG_SPACE(sizeof(value));
}

template <class T>
IpAddress address_from(const T& raw) {
  ByteArray<sizeof(T)> bytes;
  std::memcpy(bytes.data(), &raw, sizeof(raw));
  if constexpr (sizeof(T) == 4)
    return IpAddress::v4(bytes);
  else
    return IpAddress::v6(bytes);
}

}  // namespace

SocketAddress socket_address(const Endpoint& endpoint) {
  SocketAddress result;
  const ByteView bytes = endpoint.address.bytes();
  if (endpoint.address.is_v4()) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    std::memcpy(&address.sin_addr, bytes.data(), bytes.size());
    std::memcpy(&result.storage, &address, sizeof(address));
    result.length = sizeof(address);
  } else {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(endpoint.port);
    address.sin6_scope_id = endpoint.zone;
    std::memcpy(&address.sin6_addr, bytes.data(), bytes.size());
    std::memcpy(&result.storage, &address, sizeof(address));
    result.length = sizeof(address);
  }
  return result;
}

std::optional<Endpoint> endpoint_of(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) {
    sockaddr_in address{};
    std::memcpy(&address, &storage, sizeof(address));
    return Endpoint{address_from(address.sin_addr), ntohs(address.sin_port)};
  }
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 address{};
    std::memcpy(&address, &storage, sizeof(address));
    return Endpoint{address_from(address.sin6_addr), ntohs(address.sin6_port), address.sin6_scope_id};
  }
  return std::nullopt;
}

void put_control(msghdr& message, ControlBuffer& buffer, const std::optional<UdpSource>& source,
                 std::uint16_t segment_bytes) {
  std::size_t used = 0;
  if (source && source->address.is_v4()) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, source->address.bytes().data(), sizeof(info.ipi_spec_dst));
    used += append(buffer.data(), IPPROTO_IP, IP_PKTINFO, info);
  } else if (source) {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, source->address.bytes().data(), sizeof(info.ipi6_addr));
    if (source->address.is_link_local_v6()) info.ipi6_ifindex = source->interface;
    used += append(buffer.data(), IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
  if (segment_bytes != 0) used += append(buffer.data() + used, IPPROTO_UDP, UDP_SEGMENT, segment_bytes);
  message.msg_control = used == 0 ? nullptr : buffer.data();
  message.msg_controllen = used;
}

ReceivedControl read_control(const msghdr& message) {
  ReceivedControl result;
  msghdr& walkable = const_cast<msghdr&>(message);
  for (cmsghdr* control = CMSG_FIRSTHDR(&walkable); control != nullptr; control = CMSG_NXTHDR(&walkable, control)) {
    if (control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_GRO) {
      const int segment = read_as<int>(control);
      if (segment > 0) result.segment_bytes = static_cast<std::size_t>(segment);
    } else if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
      const auto info = read_as<in_pktinfo>(control);
      result.source = UdpSource{address_from(info.ipi_spec_dst), static_cast<unsigned>(info.ipi_ifindex)};
    } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
      const auto info = read_as<in6_pktinfo>(control);
      result.source = UdpSource{address_from(info.ipi6_addr), info.ipi6_ifindex};
    }
  }
  return result;
}

}  // namespace higgs::net

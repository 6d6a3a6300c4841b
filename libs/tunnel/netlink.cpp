#include "tunnel/netlink.h"

#include <cerrno>

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "tunnel/netlink_impl.h"

namespace higgs::tunnel {

Netlink::Netlink(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Netlink::Netlink(Netlink&&) noexcept = default;
Netlink& Netlink::operator=(Netlink&&) noexcept = default;
Netlink::~Netlink() = default;

Result<Netlink> Netlink::open() {
  auto socket = NetlinkSocket::open();
  if (!socket) return socket.error();
  return Netlink(std::make_unique<Impl>(std::move(*socket)));
}

Result<std::vector<Link>> Netlink::Impl::links() {
  NetlinkRequest request(RTM_GETLINK, NLM_F_DUMP);
  request.fixed<ifinfomsg>().ifi_family = AF_UNSPEC;
  std::vector<Link> found;
  const auto done = socket.query(request, [&](const nlmsghdr* message) {
    if (message->nlmsg_type != RTM_NEWLINK) return;
    const auto* info = static_cast<const ifinfomsg*>(static_cast<const void*>(message + 1));
    Link link{.index = static_cast<std::uint32_t>(info->ifi_index),
              .name = {},
              .mtu = 0,
              .up = (info->ifi_flags & IFF_UP) != 0};
    each_attribute(message, sizeof(ifinfomsg), [&](std::uint16_t type, const nlattr* attribute) {
      if (type == IFLA_IFNAME) link.name = attribute_text(attribute);
      if (type == IFLA_MTU) link.mtu = attribute_u32(attribute);
    });
    found.push_back(std::move(link));
  });
  if (!done) return done.error();
  return found;
}

Result<std::map<std::uint32_t, std::string>> Netlink::Impl::names() {
  const auto all = links();
  if (!all) return all.error();
  std::map<std::uint32_t, std::string> found;
  for (const Link& link : *all) found.emplace(link.index, link.name);
  return found;
}

Result<std::uint32_t> Netlink::Impl::index_of(const std::string& ifname) {
  const auto all = links();
  if (!all) return all.error();
  for (const Link& link : *all) {
    if (link.name == ifname) return link.index;
  }
  return errno_code(ENODEV);
}

Result<std::vector<Link>> Netlink::links() { return impl_->links(); }

Result<Link> Netlink::link(const std::string& ifname) {
  const auto all = impl_->links();
  if (!all) return all.error();
  for (const Link& link : *all) {
    if (link.name == ifname) return link;
  }
  return errno_code(ENODEV);
}

namespace {

/// A request about one existing link, for whoever fills in what is to change.
template <class Fill>
Result<void> change_link(NetlinkSocket& socket, Result<std::uint32_t> index, std::uint16_t type, Fill fill) {
  if (!index) return index.error();
  NetlinkRequest request(type, 0);
  auto& info = request.fixed<ifinfomsg>();
  info.ifi_index = static_cast<int>(*index);
  fill(request, info);
  return socket.execute(request);
}

Result<void> change_address(NetlinkSocket& socket, Result<std::uint32_t> index, std::uint16_t type, std::uint16_t flags,
                            const IpAddress& address, unsigned prefix_length) {
  if (!index) return index.error();
  if (prefix_length > address.bit_length()) return errno_code(EINVAL);
  NetlinkRequest request(type, flags);
  auto& info = request.fixed<ifaddrmsg>();
  info.ifa_family = address_family(address.is_v4());
  info.ifa_prefixlen = static_cast<unsigned char>(prefix_length);
  info.ifa_index = *index;
  if (address.is_v6()) info.ifa_flags = IFA_F_NODAD;
  request.put(IFA_LOCAL, address);
  request.put(IFA_ADDRESS, address);
  return socket.execute(request);
}

}  // namespace

Result<void> Netlink::set_up(const std::string& ifname, bool up) {
  return change_link(impl_->socket, impl_->index_of(ifname), RTM_NEWLINK, [&](NetlinkRequest&, ifinfomsg& info) {
    info.ifi_flags = up ? IFF_UP : 0;
    info.ifi_change = IFF_UP;
  });
}

Result<void> Netlink::set_mtu(const std::string& ifname, std::uint32_t mtu) {
  return change_link(impl_->socket, impl_->index_of(ifname), RTM_NEWLINK,
                     [&](NetlinkRequest& request, ifinfomsg&) { request.put(IFLA_MTU, mtu); });
}

Result<void> Netlink::set_gso_limits(const std::string& ifname, std::uint32_t max_segments, std::uint32_t max_bytes) {
  return change_link(impl_->socket, impl_->index_of(ifname), RTM_NEWLINK, [&](NetlinkRequest& request, ifinfomsg&) {
    request.put(IFLA_GSO_MAX_SEGS, max_segments);
    request.put(IFLA_GSO_MAX_SIZE, max_bytes);
  });
}

Result<void> Netlink::set_tx_queue_length(const std::string& ifname, std::uint32_t packets) {
  return change_link(impl_->socket, impl_->index_of(ifname), RTM_NEWLINK,
                     [&](NetlinkRequest& request, ifinfomsg&) { request.put(IFLA_TXQLEN, packets); });
}

Result<void> Netlink::remove_link(const std::string& ifname) {
  return change_link(impl_->socket, impl_->index_of(ifname), RTM_DELLINK, [](NetlinkRequest&, ifinfomsg&) {});
}

Result<std::vector<InterfaceAddress>> Netlink::addresses() {
  const auto names = impl_->names();
  if (!names) return names.error();
  NetlinkRequest request(RTM_GETADDR, NLM_F_DUMP);
  request.fixed<ifaddrmsg>().ifa_family = AF_UNSPEC;
  std::vector<InterfaceAddress> found;
  const auto done = impl_->socket.query(request, [&](const nlmsghdr* message) {
    if (message->nlmsg_type != RTM_NEWADDR) return;
    const auto* info = static_cast<const ifaddrmsg*>(static_cast<const void*>(message + 1));
    std::optional<IpAddress> local, address;
    each_attribute(message, sizeof(ifaddrmsg), [&](std::uint16_t type, const nlattr* attribute) {
      if (type == IFA_LOCAL) local = attribute_address(attribute);
      if (type == IFA_ADDRESS) address = attribute_address(attribute);
    });
    if (!local) local = address;  // IPv6 sends IFA_LOCAL only for point-to-point addresses
    const auto name = names->find(info->ifa_index);
    if (local && name != names->end()) found.push_back({name->second, *local, info->ifa_prefixlen});
  });
  if (!done) return done.error();
  return found;
}

Result<void> Netlink::add_address(const std::string& ifname, const IpAddress& address, unsigned prefix_length) {
  return change_address(impl_->socket, impl_->index_of(ifname), RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, address,
                        prefix_length);
}

Result<void> Netlink::remove_address(const std::string& ifname, const IpAddress& address, unsigned prefix_length) {
  return change_address(impl_->socket, impl_->index_of(ifname), RTM_DELADDR, 0, address, prefix_length);
}

}  // namespace higgs::tunnel

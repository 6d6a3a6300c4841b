#include "tunnel/link_monitor.h"

#include <array>
#include <cerrno>

#include <linux/rtnetlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/netlink.h"
#include "tunnel/netlink_socket.h"

namespace higgs::tunnel {

Result<std::unique_ptr<LinkMonitor>> LinkMonitor::open(net::EventLoop& loop, std::string ifname,
                                                       std::function<void(const LinkState&)> changed) {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  if (fd < 0) return errno_code(errno);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  if (::bind(fd, static_cast<sockaddr*>(static_cast<void*>(&address)), sizeof(address)) != 0) {
    const int error = errno;
    ::close(fd);
    return errno_code(error);
  }
  return std::unique_ptr<LinkMonitor>(new LinkMonitor(loop, fd, std::move(ifname), std::move(changed)));
}

LinkMonitor::LinkMonitor(net::EventLoop& loop, int fd, std::string ifname,
                         std::function<void(const LinkState&)> changed)
    : loop_(loop), fd_(fd), ifname_(std::move(ifname)), changed_(std::move(changed)) {
  loop_.add(fd_, EPOLLIN, *this);
  first_look_ = loop_.after(std::chrono::nanoseconds(0), [this] { look(); });
}

LinkMonitor::~LinkMonitor() {
  loop_.cancel(first_look_);
  loop_.remove(fd_);
  ::close(fd_);
}

void LinkMonitor::on_events(std::uint32_t) {
  // What exactly happened does not matter, and messages may have been lost (ENOBUFS): the present state is asked for.
  std::array<char, 8192> buffer;
  while (::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT) > 0 || errno == ENOBUFS) {
  }
  look();
}

void LinkMonitor::look() {
  auto netlink = Netlink::open();
  if (!netlink) return;
  const auto link = netlink->link(ifname_);
  if (!link && link.error() != boost::system::errc::no_such_device) return;
  const LinkState state = link ? LinkState{true, link->up, link->mtu} : LinkState{};
  if (told_ && state == last_) return;
  told_ = true;
  last_ = state;
  changed_(state);
}

}  // namespace higgs::tunnel

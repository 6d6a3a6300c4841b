#include "tunnel/rules_monitor.h"

#include <array>
#include <cerrno>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/result.h"
#include "runtime/clock.h"
#include "runtime/deadline.h"

namespace higgs::tunnel {

namespace asio = boost::asio;

namespace {

using Descriptor = asio::posix::stream_descriptor;

constexpr std::uint32_t group(unsigned number) { return 1u << (number - 1); }

std::optional<Descriptor> listen_to(const asio::any_io_executor& executor, int protocol, std::uint32_t groups) {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
  if (fd < 0) return std::nullopt;
  Descriptor descriptor(executor, fd);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (::bind(fd, static_cast<sockaddr*>(static_cast<void*>(&address)), sizeof(address)) != 0) return std::nullopt;
  return descriptor;
}

// What exactly happened does not matter, and messages may have been lost (ENOBUFS).
void drain(std::optional<Descriptor>& descriptor) {
  if (!descriptor) return;
  std::array<char, 16384> buffer;
  while (::recv(descriptor->native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT) > 0 || errno == ENOBUFS) {
  }
}

/// Or cancelled.
asio::awaitable<void> readable(std::optional<Descriptor>& descriptor) {
  ErrorCode cancelled;
  if (descriptor) {
    co_await descriptor->async_wait(Descriptor::wait_read, asio::redirect_error(asio::use_awaitable, cancelled));
    co_return;
  }
  asio::steady_timer never(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
  co_await never.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
}

}  // namespace

RulesMonitor::RulesMonitor(const asio::any_io_executor& executor, Limits limits)
    : filter_(listen_to(executor, NETLINK_NETFILTER, group(NFNLGRP_NFTABLES))),
      routing_(listen_to(
          executor, NETLINK_ROUTE,
          group(RTNLGRP_IPV4_RULE) | group(RTNLGRP_IPV6_RULE) | group(RTNLGRP_IPV4_ROUTE) | group(RTNLGRP_IPV6_ROUTE))),
      limits_(limits) {}

asio::awaitable<void> RulesMonitor::change() {
  using namespace asio::experimental::awaitable_operators;
  auto filter = readable(filter_);
  auto routing = readable(routing_);
  co_await (std::move(filter) || std::move(routing));
}

asio::awaitable<void> RulesMonitor::run(std::function<void()> look) {
  for (;;) {
    const Instant looked = runtime::now().monotonic;
    auto changing = change();
    co_await runtime::with_deadline(std::move(changing), limits_.patience);
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none) co_return;
    const auto rest = limits_.between_looks - (runtime::now().monotonic - looked);
    if (rest > std::chrono::nanoseconds::zero()) co_await runtime::sleep_for(rest);
    // Before the look: a change from here on makes another one.
    drain(filter_);
    drain(routing_);
    look();
  }
}

}  // namespace higgs::tunnel

#include "net/nat_discovery.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "net/udp_message.h"
#include "runtime/clock.h"

namespace higgs::net {

namespace asio = boost::asio;
using asio::ip::udp;

namespace {

constexpr std::size_t kDiscoveryAnswerBytes = 1500;
/// A flood does not keep the machine from its timers.
constexpr int kDatagramsPerTurn = 64;

Result<udp::socket> open_socket(const asio::any_io_executor& executor, bool v6, std::uint32_t mark) {
  udp::socket socket(executor);
  const udp::endpoint any(v6 ? udp::v6() : udp::v4(), 0);
  ErrorCode error;
  socket.open(any.protocol(), error);
  if (error) return error;
  if (mark != 0 && ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) != 0)
    return errno_code();
  socket.bind(any, error);
  if (error) return error;
  socket.non_blocking(true, error);
  if (error) return error;
  return socket;
}

/// The machine, its two sockets, and the one coroutine that serves them.
class Run {
 public:
  Run(std::array<udp::socket, 2> sockets, const NatDiscoveryOptions& options, RandomSource& random)
      : sockets_(std::move(sockets)),
        timer_(sockets_[0].get_executor()),
        discovery_(runtime::now().monotonic, machine_options(options), random) {}

  asio::awaitable<stun::BehaviourReport> operator()() {
    for (;;) {
      send_all();
      if (discovery_.report()) break;
      auto waiting = wait();
      co_await std::move(waiting);
      for (unsigned i = 0; i < sockets_.size(); ++i) receive_all(i);
      discovery_.handle_timeout(runtime::now().monotonic);
    }
    co_return *discovery_.report();
  }

 private:
  stun::BehaviourDiscovery::Options machine_options(const NatDiscoveryOptions& options) const {
    stun::BehaviourDiscovery::Options result;
    result.server = options.server;
    for (const auto& local : local_addresses({})) result.local.push_back(local.address);
    ErrorCode ignored;
    result.local_port = sockets_[0].local_endpoint(ignored).port();
    return result;
  }

  /// Until something has come or something is due.
  asio::awaitable<void> wait() {
    using namespace asio::experimental::awaitable_operators;
    timer_.expires_at(discovery_.poll_timeout().value_or(runtime::now().monotonic));
    auto first = readable(0), second = readable(1);
    auto timer = due();
    auto any = std::move(first) || std::move(second) || std::move(timer);
    co_await std::move(any);
  }
  asio::awaitable<void> readable(std::size_t index) {
    ErrorCode ignored;
    co_await sockets_[index].async_wait(udp::socket::wait_read, asio::redirect_error(asio::use_awaitable, ignored));
  }
  asio::awaitable<void> due() {
    ErrorCode ignored;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }

  void send_all() {
    while (const auto transmit = discovery_.poll_transmit()) {
      const auto address = socket_address(transmit->to);
      // What cannot be sent is as good as lost: it is sent again.
      (void)::sendto(sockets_[transmit->socket].native_handle(), transmit->bytes.data(), transmit->bytes.size(),
                     MSG_DONTWAIT | MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address.storage), address.length);
    }
  }

  void receive_all(unsigned index) {
    ByteArray<kDiscoveryAnswerBytes> buffer;
    for (int i = 0; i < kDatagramsPerTurn; ++i) {
      sockaddr_storage storage{};
      socklen_t length = sizeof(storage);
      const auto size = ::recvfrom(sockets_[index].native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                   reinterpret_cast<sockaddr*>(&storage), &length);
      if (size < 0) return;
      const auto from = endpoint_of(storage);
      if (!from) continue;
      discovery_.handle_packet(runtime::now().monotonic, index, *from,
                               ByteView(buffer).first(static_cast<std::size_t>(size)));
    }
  }

  std::array<udp::socket, 2> sockets_;
  asio::steady_timer timer_;
  stun::BehaviourDiscovery discovery_;
};

unsigned prefix_length(const sockaddr* mask, bool v6) {
  if (mask == nullptr) return v6 ? 128 : 32;
  const auto* bytes = reinterpret_cast<const unsigned char*>(mask) +
                      (v6 ? offsetof(sockaddr_in6, sin6_addr) : offsetof(sockaddr_in, sin_addr));
  unsigned bits = 0;
  for (unsigned i = 0; i < (v6 ? 16u : 4u); ++i) bits += static_cast<unsigned>(__builtin_popcount(bytes[i]));
  return bits;
}

bool is_link_local(const IpAddress& address) {
  static const std::array kPrefixes = {*IpPrefix::parse("169.254.0.0/16"), *IpPrefix::parse("fe80::/10")};
  return std::ranges::any_of(kPrefixes, [&](const IpPrefix& prefix) { return prefix.contains(address); });
}

}  // namespace

asio::awaitable<Result<stun::BehaviourReport>> discover_nat(NatDiscoveryOptions options, RandomSource& random) {
  const auto executor = co_await asio::this_coro::executor;
  options.server.address = options.server.address.unmapped();
  const bool v6 = options.server.address.is_v6();
  auto first = open_socket(executor, v6, options.mark);
  if (!first) co_return first.error();
  auto second = open_socket(executor, v6, options.mark);
  if (!second) co_return second.error();
  Run run({std::move(*first), std::move(*second)}, options, random);
  auto running = run();
  co_return co_await std::move(running);
}

std::vector<LocalAddress> local_addresses(const std::vector<std::string>& without) {
  std::vector<LocalAddress> result;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return result;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0 || (entry->ifa_flags & IFF_LOOPBACK) != 0)
      continue;
    if (std::ranges::find(without, std::string(entry->ifa_name)) != without.end()) continue;
    const int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    sockaddr_storage storage{};
    std::memcpy(&storage, entry->ifa_addr, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    const auto endpoint = endpoint_of(storage);
    if (!endpoint || is_link_local(endpoint->address)) continue;
    const auto network = IpPrefix::make(endpoint->address, prefix_length(entry->ifa_netmask, family == AF_INET6));
    if (network) result.push_back({endpoint->address, *network, entry->ifa_name});
  }
  ::freeifaddrs(list);
  return result;
}

std::vector<IpPrefix> local_prefixes(const std::vector<std::string>& without) {
  std::vector<IpPrefix> result;
  for (const auto& local : local_addresses(without))
    if (std::ranges::find(result, local.network) == result.end()) result.push_back(local.network);
  return result;
}

}  // namespace higgs::net

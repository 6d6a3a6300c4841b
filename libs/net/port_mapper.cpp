#include "net/port_mapper.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <mutex>
#include <thread>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/default_gateway.h"
#include "net/nat_pmp_client.h"
#include "net/pcp_client.h"
#include "net/upnp_mapper.h"
#include "runtime/clock.h"
#include "runtime/descriptor.h"

namespace higgs::net {
namespace {

using runtime::Descriptor;

using namespace std::chrono_literals;

// Constants of our choosing.
/// What removing may take: of a gateway that is gone, and at the end.
constexpr std::chrono::milliseconds kRemovalAtChange{500}, kRemovalAtEnd{2000};
/// Announcements may be forged within the LAN: no more than one is acted upon in this time.
constexpr std::chrono::seconds kAnnouncementPause{2};

sockaddr_in socket_address(const IpAddress& address, std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = htonl(load_be<std::uint32_t>(address.bytes().data()));
  return out;
}

const sockaddr* generic(const sockaddr_in& address) { return reinterpret_cast<const sockaddr*>(&address); }

/// Connected to the gateway's PCP port: the kernel drops what comes from anywhere else.
Descriptor connect_to(const IpAddress& gateway, std::uint32_t mark) {
  Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.get() < 0) return socket;
  if (mark != 0) ::setsockopt(socket.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark);
  const auto to = socket_address(gateway, pcp::kServerPort);
  return ::connect(socket.get(), generic(to), sizeof to) == 0 ? std::move(socket) : Descriptor();
}

std::optional<IpAddress> own_address(int fd) {
  sockaddr_in own{};
  socklen_t size = sizeof own;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) != 0) return std::nullopt;
  return IpAddress::v4(ntohl(own.sin_addr.s_addr));
}

/// RFC 6887, 14.1.1 and RFC 6886, 3.2.1: a router that has started says so to 224.0.0.1, port 5350.
Descriptor listen_to_announcements() {
  Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int yes = 1;
  const auto group = socket_address(*IpAddress::parse("224.0.0.1"), pcp::kClientPort);
  const bool well = socket.get() >= 0 && ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
                    ::bind(socket.get(), generic(group), sizeof group) == 0;
  return well ? std::move(socket) : Descriptor();
}

}  // namespace

std::string_view to_string(MappingProtocol protocol) noexcept {
  switch (protocol) {
    case MappingProtocol::kPcp:
      return "PCP";
    case MappingProtocol::kNatPmp:
      return "NAT-PMP";
    case MappingProtocol::kUpnp:
      return "UPnP";
  }
  return "";
}

/// What is asked of one gateway.
struct GatewayClients {
  DefaultGateway gateway;
  IpAddress own;
  Descriptor pcp_socket;
  std::optional<pcp::Client> pcp;
  std::optional<NatPmpClient> nat_pmp;
  std::optional<UpnpMapper> upnp;
  std::uint64_t restarts = 0;
};

class PortMapper::Impl {
 public:
  Impl(Options options, std::function<void(const PortMapperStatus&)> changed)
      : options_(std::move(options)),
        changed_(std::move(changed)),
        wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        announcements_(listen_to_announcements()) {
    // Signals are for the program's main thread.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  ~Impl() {
    stop_.store(true);
    notify();
    thread_.join();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void wake() {
    woken_.store(true);
    notify();
  }

  PortMapperStatus status() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }

 private:
  void notify() {
    const std::uint64_t one = 1;
    // A full counter wakes as well.
    [[maybe_unused]] const auto written = ::write(wakeup_.get(), &one, sizeof one);
  }

  void run() {
    Instant look_at{};
    while (!stop_.load()) {
      const auto now = runtime::now().monotonic;
      if (woken_.exchange(false) || now >= look_at) {
        follow_gateway(now);
        look_at = now + options_.check;
      }
      if (clients_) work(now);
      publish();
      wait_until(look_at);
    }
    leave(kRemovalAtEnd);
  }

  /// Until a socket is readable, somebody calls, or something is due.
  void wait_until(Instant next) {
    if (clients_) {
      for (const auto due :
           {clients_->pcp ? clients_->pcp->poll_timeout() : std::nullopt,
            clients_->nat_pmp ? clients_->nat_pmp->poll_timeout(runtime::now().monotonic) : std::nullopt}) {
        if (due) next = std::min(next, *due);
      }
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - runtime::now().monotonic);
    std::array<pollfd, 4> descriptors{{{wakeup_.get(), POLLIN, 0},
                                       {announcements_.get(), POLLIN, 0},
                                       {clients_ ? clients_->pcp_socket.get() : -1, POLLIN, 0},
                                       {clients_ && clients_->nat_pmp ? clients_->nat_pmp->fd() : -1, POLLIN, 0}}};
    ::poll(descriptors.data(), descriptors.size(), static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000)));
    std::uint64_t count = 0;
    [[maybe_unused]] const auto read = ::read(wakeup_.get(), &count, sizeof count);
  }

  void follow_gateway(Instant now) {
    const auto gateway = read_default_gateway();
    auto socket = gateway ? connect_to(gateway->address, options_.mark) : Descriptor();
    const auto own = socket.get() >= 0 ? own_address(socket.get()) : std::nullopt;
    if (clients_ && own && clients_->gateway == *gateway && clients_->own == *own) return;
    leave(kRemovalAtChange);
    if (!own) return;
    clients_.emplace();
    clients_->gateway = *gateway;
    clients_->own = *own;
    clients_->pcp_socket = std::move(socket);
    clients_->pcp.emplace(
        now,
        pcp::Client::Options{
            .address = *own, .port = options_.port, .lifetime = options_.lifetime, .check = options_.check},
        random_);
    clients_->nat_pmp.emplace(now, NatPmpClient::Options{.gateway = gateway->address,
                                                         .port = options_.port,
                                                         .lifetime = options_.lifetime,
                                                         .check = options_.check,
                                                         .mark = options_.mark});
    // The library's sockets cannot be marked: where marks keep packets out of a tunnel, it would send into it.
    if (options_.mark != 0) return;
    UpnpGateway::Options upnp{.gateway = gateway->address,
                              .address = *own,
                              .port = options_.port,
                              .lifetime = options_.lifetime,
                              .description = options_.description};
    clients_->upnp.emplace(std::move(upnp), options_.check, [this] { notify(); });
  }

  void work(Instant now) {
    auto& clients = *clients_;
    hear_announcements(now);
    receive(now);
    clients.pcp->handle_timeout(now);
    clients.nat_pmp->run(now);
    // What one protocol has noticed holds for all.
    const auto restarts = clients.pcp->restarts() + clients.nat_pmp->restarts();
    if (std::exchange(clients.restarts, restarts) != restarts) refresh(now);
    send();
  }

  void refresh(Instant now) {
    clients_->pcp->refresh(now);
    clients_->nat_pmp->refresh(now);
    if (clients_->upnp) clients_->upnp->refresh();
  }

  void send() {
    while (const auto datagram = clients_->pcp->poll_transmit()) {
      // What cannot be sent is asked for again when its time comes.
      [[maybe_unused]] const auto sent =
          ::send(clients_->pcp_socket.get(), datagram->data(), datagram->size(), MSG_NOSIGNAL);
    }
  }

  void receive(Instant now) {
    std::array<std::byte, pcp::kMaxBytes + 1> buffer;
    // Bounded, so that a flood does not keep the thread from its other work; errors (ICMP) are silence.
    for (int datagrams = 0; datagrams < 16; ++datagrams) {
      const auto size = ::recv(clients_->pcp_socket.get(), buffer.data(), buffer.size(), 0);
      if (size < 0) break;
      clients_->pcp->handle_packet(now, ByteView(buffer).first(static_cast<std::size_t>(size)));
    }
  }

  void hear_announcements(Instant now) {
    std::array<std::byte, pcp::kMaxBytes> buffer;
    bool heard = false;
    for (int datagrams = 0; datagrams < 16 && announcements_.get() >= 0; ++datagrams) {
      sockaddr_in from{};
      socklen_t size = sizeof from;
      if (::recvfrom(announcements_.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size) <
          0) {
        break;
      }
      heard = heard || IpAddress::v4(ntohl(from.sin_addr.s_addr)) == clients_->gateway.address;
    }
    // It says only that something happened; what the router knows is asked of itself.
    if (!heard || now < deaf_until_) return;
    deaf_until_ = now + kAnnouncementPause;
    refresh(now);
  }

  /// Removes what stands and forgets the gateway.
  void leave(std::chrono::milliseconds patience) {
    if (!clients_) return;
    auto& clients = *clients_;
    auto now = runtime::now().monotonic;
    const auto deadline = now + patience;
    const bool pcp = clients.pcp->mapping().has_value();
    if (clients.upnp) clients.upnp->release(deadline);
    clients.pcp->release(now);
    clients.nat_pmp->release(now);
    send();
    while (now < deadline && ((pcp && !clients.pcp->release_done()) || !clients.nat_pmp->release_done())) {
      wait_until(deadline);
      now = runtime::now().monotonic;
      receive(now);
      clients.pcp->handle_timeout(now);
      clients.nat_pmp->run(now);
      send();
    }
    clients_.reset();
  }

  void publish() {
    PortMapperStatus next;
    if (clients_) {
      next.gateway = clients_->gateway.address;
      next.double_nat = clients_->pcp->no_outside_address() || clients_->nat_pmp->no_outside_address();
      const auto add = [&](MappingProtocol protocol, const auto& external, auto lifetime, const std::string& failure) {
        if (external) {
          next.mappings.push_back({protocol, *external, lifetime, is_behind_nat(external->address)});
          next.double_nat = next.double_nat || next.mappings.back().double_nat;
        } else if (!failure.empty()) {
          next.failures.push_back(std::string(to_string(protocol)) + ": " + failure);
        }
      };
      const auto add_of = [&](MappingProtocol protocol, const auto& client) {
        const auto& mapping = client.mapping();
        add(protocol, mapping ? std::optional(mapping->external) : std::nullopt, mapping ? mapping->lifetime : 0s,
            client.failure());
      };
      add_of(MappingProtocol::kPcp, *clients_->pcp);
      add_of(MappingProtocol::kNatPmp, *clients_->nat_pmp);
      if (clients_->upnp) {
        const auto report = clients_->upnp->report();
        add(MappingProtocol::kUpnp, report.external, report.lifetime, report.failure);
      } else {
        next.failures.push_back("UPnP: cannot be kept out of a tunnel");
      }
    } else {
      next.failures.push_back("no IPv4 router");
    }
    {
      const std::lock_guard lock(mutex_);
      if (next == status_) return;
      status_ = next;
    }
    if (changed_) changed_(next);
  }

  Options options_;
  std::function<void(const PortMapperStatus&)> changed_;
  SystemRandom random_;
  Descriptor wakeup_, announcements_;
  std::optional<GatewayClients> clients_;
  Instant deaf_until_{};
  std::atomic<bool> stop_ = false, woken_ = false;
  mutable std::mutex mutex_;
  PortMapperStatus status_;
  std::thread thread_;
};

PortMapper::PortMapper(Options options, std::function<void(const PortMapperStatus&)> changed)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(changed))) {}
PortMapper::~PortMapper() = default;
void PortMapper::wake() { impl_->wake(); }
PortMapperStatus PortMapper::status() const { return impl_->status(); }

}  // namespace higgs::net

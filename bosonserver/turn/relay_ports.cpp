#include "bosonserver/turn/relay_ports.h"

#include <utility>

#include <netinet/in.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net/udp_message.h"

namespace higgs::boson {

namespace {
/// Random ports that are tried before the range counts as full.
constexpr int kTries = 64;
/// Batches a turn, so that one flooded port does not keep the loop from the others.
constexpr int kBatchesPerPort = 4;
}  // namespace

struct RelayPorts::Port final : net::FdHandler {
  Port(RelayPorts& owner, int descriptor, const Endpoint& relayed)
      : owner_(owner), fd(descriptor), announced(relayed) {}
  ~Port() override {
    if (listening) owner_.loop_.remove(fd);
    ::close(fd);
  }
  void listen() {
    owner_.loop_.add(fd, EPOLLIN, *this);
    listening = true;
  }
  void on_events(std::uint32_t) override {
    for (int i = 0; i < kBatchesPerPort && owner_.receive(*this); ++i) {
    }
  }
  /// RFC 8656, section 15: the DF bit as the client says; by default the network may cut a packet.
  void set_dont_fragment(bool wanted) {
    if (dont_fragment == wanted) return;
    dont_fragment = wanted;
    const bool v6 = announced.address.is_v6();
    const int v4_mode = wanted ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT;
    const int v6_mode = wanted ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT, cut = wanted ? 1 : 0;
    if (v6) {
      ::setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v6_mode, sizeof(v6_mode));
      ::setsockopt(fd, IPPROTO_IPV6, IPV6_DONTFRAG, &cut, sizeof(cut));
    } else {
      ::setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &v4_mode, sizeof(v4_mode));
    }
  }

  RelayPorts& owner_;
  const int fd;
  const Endpoint announced;
  turn::RelayId id = 0;
  bool listening = false;
  bool dont_fragment = true;  ///< not set yet: the system's default counts as neither
};

RelayPorts::RelayPorts(PortRange range, net::EventLoop& loop, RandomSource& random, Owner& owner)
    : range_(range), loop_(loop), random_(random), owner_(owner) {}
RelayPorts::~RelayPorts() = default;

std::unique_ptr<RelayPorts::Port> RelayPorts::bind_port(const IpAddress& bind, const IpAddress& announced,
                                                        std::uint16_t number) {
  const bool v6 = bind.is_v6();
  const int fd = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return nullptr;
  const int on = 1;
  if (v6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  const auto address = net::socket_address({bind, number});
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0) {
    ::close(fd);
    return nullptr;
  }
  auto port = std::make_unique<Port>(*this, fd, Endpoint{announced, number});
  port->set_dont_fragment(false);
  return port;
}

turn::RelayId RelayPorts::add(std::unique_ptr<Port> port) {
  const auto id = ++last_;
  port->id = id;
  ports_[id] = std::move(port);
  return id;
}

std::optional<turn::ServerOutput::Opened> RelayPorts::open(const IpAddress& bind, const IpAddress& announced, bool even,
                                                           bool reserve) {
  const std::uint32_t count = std::uint32_t{range_.last} - range_.first + 1;
  for (int i = 0; i < kTries; ++i) {
    auto number = range_.first + static_cast<std::uint32_t>(random_.below(count));
    if (even) number &= ~1u;
    if (number < range_.first || number + (reserve ? 1 : 0) > range_.last) continue;
    auto port = bind_port(bind, announced, static_cast<std::uint16_t>(number));
    if (!port) continue;
    std::unique_ptr<Port> next;
    if (reserve && !(next = bind_port(bind, announced, static_cast<std::uint16_t>(number + 1)))) continue;
    port->listen();
    turn::ServerOutput::Opened opened;
    opened.relayed = port->announced;
    opened.id = add(std::move(port));
    if (next) opened.next = add(std::move(next));
    return opened;
  }
  ++counters_.no_port;
  return std::nullopt;
}

std::optional<Endpoint> RelayPorts::claim(turn::RelayId id) {
  const auto found = ports_.find(id);
  if (found == ports_.end()) return std::nullopt;
  if (!found->second->listening) found->second->listen();
  return found->second->announced;
}

void RelayPorts::close(turn::RelayId id) { ports_.erase(id); }

void RelayPorts::send(turn::RelayId id, const Endpoint& peer, ByteView bytes, bool dont_fragment) {
  const auto found = ports_.find(id);
  if (found == ports_.end()) return;
  found->second->set_dont_fragment(dont_fragment);
  const auto to = net::socket_address(peer);
  const auto* address = reinterpret_cast<const sockaddr*>(&to.storage);
  if (::sendto(found->second->fd, bytes.data(), bytes.size(), MSG_DONTWAIT, address, to.length) < 0)
    ++counters_.send_failures;
}

bool RelayPorts::receive(Port& port) {
  std::array<mmsghdr, kBatch> headers{};
  std::array<iovec, kBatch> vectors;
  for (unsigned i = 0; i < kBatch; ++i) {
    vectors[i] = {buffers_[i].data(), buffers_[i].size()};
    headers[i].msg_hdr = {&sources_[i], sizeof(sources_[i]), &vectors[i], 1, nullptr, 0, 0};
  }
  const turn::RelayId id = port.id;
  const int count = ::recvmmsg(port.fd, headers.data(), kBatch, MSG_DONTWAIT, nullptr);
  for (int i = 0; i < count; ++i) {
    const auto index = static_cast<std::size_t>(i);
    const auto peer = net::endpoint_of(sources_[index]);
    if (!peer || (headers[index].msg_hdr.msg_flags & MSG_TRUNC) != 0) {
      ++counters_.truncated;
      continue;
    }
    owner_.on_peer_packet(id, {peer->address.unmapped(), peer->port},
                          ByteView(buffers_[index]).first(headers[index].msg_len));
  }
  return count == static_cast<int>(kBatch);
}

}  // namespace higgs::boson

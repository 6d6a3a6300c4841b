#include "net/udp_socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include <boost/system/error_code.hpp>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/udp_message.h"
#include "net/udp_remotes.h"
#include "runtime/descriptor.h"

namespace higgs::net {

namespace {

using runtime::Descriptor;

// Of Linux: UDP_MAX_SEGMENTS, and the longest UDP payload over IPv4.
constexpr std::size_t kTrainPackets = 64;
constexpr std::size_t kTrainBytes = 65507;
constexpr std::size_t kDatagramBytes = 65536;

// Of our choosing.
constexpr std::size_t kBatch = 64;
/// Buffers for one receive call: few where each may hold a train (they should stay in the cache), more where not.
constexpr std::size_t kGatheringBuffers = 8, kPlainBuffers = 32;
constexpr int kFullWaitMs = 5;
constexpr unsigned kSinglySends = 1024;  ///< to a destination that refused a train
constexpr int kPortAttempts = 16;

template <class T>
bool set_option(int fd, int level, int name, T value) {
  return ::setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/// Anonymous memory, of which only what is touched becomes resident.
class Pages {
 public:
  explicit Pages(std::size_t bytes) : size_(bytes) {
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<std::byte*>(at);
  }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages() { ::munmap(data_, size_); }
  std::byte* data() const noexcept { return data_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_;
};

}  // namespace

class UdpSocket::Impl {
 public:
  explicit Impl(const Options& o) : options(o), pages(kPlainBuffers * kDatagramBytes) {}

  Result<Descriptor> open_family(int family, std::uint16_t port, std::uint16_t& bound);
  Result<void> open();
  void send(const Endpoint& to, std::span<const ByteView> packets);
  void send_trains(const Endpoint& to, UdpRemote& remote, std::span<const ByteView> packets);
  std::size_t build(const SocketAddress& address, const UdpRemote& remote, std::span<const ByteView> packets);
  bool wait_until_writable(int fd) const;
  std::span<const Received> receive(int fd);
  void note(const Endpoint& from, const std::optional<UdpSource>& source);

  Options options;
  Descriptor v4, v6;
  std::uint16_t port = 0;
  Counters counters;
  UdpRemotes remotes;

  // Sending: one message a train, its packets in `pieces`.
  std::array<mmsghdr, kBatch> outgoing{};
  std::array<ControlBuffer, kBatch> controls{};
  std::array<iovec, kBatch> pieces{};
  std::array<std::size_t, kBatch> train_packets{};

  // Receiving.
  std::size_t buffers = kPlainBuffers;
  Pages pages;
  std::array<mmsghdr, kPlainBuffers> incoming{};
  std::array<iovec, kPlainBuffers> incoming_pieces{};
  std::array<sockaddr_storage, kPlainBuffers> sources{};
  std::array<ControlBuffer, kPlainBuffers> incoming_controls{};
  std::vector<Received> received;
};

Result<Descriptor> UdpSocket::Impl::open_family(int family, std::uint16_t wanted, std::uint16_t& bound) {
  Descriptor socket(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int fd = socket.get();
  if (fd < 0) return errno_code();
  if (family == AF_INET6) {
    if (!set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) return errno_code();
    set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  } else {
    set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
  }
  if (options.mark != 0 && !set_option(fd, SOL_SOCKET, SO_MARK, options.mark)) return errno_code();
  // Without privileges the plain ones go as far as net.core allows.
  const int send = static_cast<int>(options.send_buffer_bytes),
            receive = static_cast<int>(options.receive_buffer_bytes);
  if (!set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, send)) set_option(fd, SOL_SOCKET, SO_SNDBUF, send);
  if (!set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, receive)) set_option(fd, SOL_SOCKET, SO_RCVBUF, receive);
  if (options.segment) options.segment = set_option(fd, IPPROTO_UDP, UDP_SEGMENT, 0);
  if (options.gather) options.gather = set_option(fd, IPPROTO_UDP, UDP_GRO, 1);

  const IpAddress any = family == AF_INET6 ? IpAddress::v6(ByteArray<16>{}) : IpAddress();
  SocketAddress address = socket_address({any, wanted});
  if (::bind(fd, static_cast<sockaddr*>(static_cast<void*>(&address.storage)), address.length) != 0)
    return errno_code();
  socklen_t length = sizeof(address.storage);
  if (::getsockname(fd, static_cast<sockaddr*>(static_cast<void*>(&address.storage)), &length) != 0)
    return errno_code();
  bound = endpoint_of(address.storage)->port;
  return socket;
}

Result<void> UdpSocket::Impl::open() {
  for (int attempt = 1;; ++attempt) {
    auto first = open_family(AF_INET, options.port, port);
    if (!first) return first.error();
    v4 = std::move(*first);
    auto second = open_family(AF_INET6, port, port);
    if (second) {
      v6 = std::move(*second);
      break;
    }
    namespace errc = boost::system::errc;
    if (second.error() == errc::address_family_not_supported || second.error() == errc::address_not_available) break;
    // The free port of one family may be taken in the other.
    if (second.error() != errc::address_in_use || options.port != 0 || attempt == kPortAttempts) return second.error();
  }
  buffers = options.gather ? kGatheringBuffers : kPlainBuffers;
  received.reserve(buffers);
  return {};
}

std::size_t UdpSocket::Impl::build(const SocketAddress& address, const UdpRemote& remote,
                                   std::span<const ByteView> packets) {
  const bool trains = options.segment && remote.singly == 0;
  std::size_t messages = 0, piece = 0;
  while (piece < packets.size()) {
    const std::size_t segment = packets[piece].size();
    const std::size_t first = piece;
    std::size_t bytes = 0;
    do {
      pieces[piece] = {const_cast<std::byte*>(packets[piece].data()), packets[piece].size()};
      bytes += packets[piece].size();
      ++piece;
    } while (trains && piece < packets.size() && piece - first < kTrainPackets && segment > 0 &&
             packets[piece - 1].size() == segment && packets[piece].size() <= segment && !packets[piece].empty() &&
             bytes + packets[piece].size() <= kTrainBytes);
    msghdr& message = outgoing[messages].msg_hdr;
    message = {};
    message.msg_name = const_cast<sockaddr_storage*>(&address.storage);
    message.msg_namelen = address.length;
    message.msg_iov = &pieces[first];
    message.msg_iovlen = piece - first;
    put_control(message, controls[messages], remote.source,
                piece - first > 1 ? static_cast<std::uint16_t>(segment) : std::uint16_t{0});
    train_packets[messages++] = piece - first;
  }
  return messages;
}

bool UdpSocket::Impl::wait_until_writable(int fd) const {
  pollfd wait{fd, POLLOUT, 0};
  return ::poll(&wait, 1, kFullWaitMs) > 0;
}

void UdpSocket::Impl::send_trains(const Endpoint& to, UdpRemote& remote, std::span<const ByteView> packets) {
  const int fd = to.address.is_v4() ? v4.get() : v6.get();
  const SocketAddress address = socket_address(to);
  std::size_t messages = build(address, remote, packets);
  for (std::size_t done = 0, waited = 0; done < messages;) {
    const int sent = ::sendmmsg(fd, &outgoing[done], static_cast<unsigned>(messages - done), MSG_DONTWAIT);
    ++counters.sent_calls;
    if (sent > 0) {
      for (const std::size_t end = done + static_cast<std::size_t>(sent); done < end; ++done) {
        counters.sent_packets += train_packets[done];
        packets = packets.subspan(train_packets[done]);
      }
      continue;
    }
    const int error = errno;
    if (error == EINTR) continue;
    if ((error == EAGAIN || error == ENOBUFS) && waited++ == 0 && wait_until_writable(fd)) continue;
    if (error == EAGAIN || error == ENOBUFS) {
      counters.dropped_full += packets.size();
      return;
    }
    const bool source_may_be_gone =
        error == EINVAL || error == EADDRNOTAVAIL || error == ENETUNREACH || error == EHOSTUNREACH || error == ENODEV;
    if (remote.source && source_may_be_gone) {
      remote.source.reset();
      ++counters.source_lost;
    } else if (train_packets[done] > 1 && (error == EIO || error == EMSGSIZE || error == EINVAL)) {
      remote.singly = kSinglySends;
      ++counters.segment_refused;
    } else {
      counters.dropped_error += train_packets[done];
      packets = packets.subspan(train_packets[done++]);
      continue;
    }
    messages = build(address, remote, packets);  // the rest, by what was learnt
    done = 0;
  }
}

void UdpSocket::Impl::send(const Endpoint& to, std::span<const ByteView> packets) {
  if (to.address.is_v6() && v6.get() < 0) {
    counters.dropped_error += packets.size();
    return;
  }
  UdpRemote& remote = remotes[to];
  while (!packets.empty()) {
    const std::size_t count = std::min(packets.size(), kBatch);
    send_trains(to, remote, packets.first(count));
    packets = packets.subspan(count);
  }
  if (remote.singly > 0) --remote.singly;
}

void UdpSocket::Impl::note(const Endpoint& from, const std::optional<UdpSource>& source) {
  if (!source) return;
  UdpRemote& remote = remotes[from];
  remote.heard = true;
  if (remote.source != source) remote.source = source;
}

std::span<const UdpSocket::Received> UdpSocket::Impl::receive(int fd) {
  received.clear();
  for (std::size_t i = 0; i < buffers; ++i) {
    incoming_pieces[i] = {pages.data() + i * kDatagramBytes, kDatagramBytes};
    msghdr& message = incoming[i].msg_hdr;
    message.msg_name = &sources[i];
    message.msg_namelen = sizeof(sources[i]);
    message.msg_iov = &incoming_pieces[i];
    message.msg_iovlen = 1;
    message.msg_control = incoming_controls[i].data();
    message.msg_controllen = incoming_controls[i].size();
    message.msg_flags = 0;
  }
  const int count = ::recvmmsg(fd, incoming.data(), static_cast<unsigned>(buffers), MSG_DONTWAIT, nullptr);
  if (count <= 0) return {};
  ++counters.received_calls;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const std::size_t length = incoming[i].msg_len;
    const auto from = endpoint_of(sources[i]);
    if ((incoming[i].msg_hdr.msg_flags & MSG_TRUNC) != 0) {
      ++counters.truncated;
      continue;
    }
    if (!from || length == 0) continue;
    const ReceivedControl control = read_control(incoming[i].msg_hdr);
    note(*from, control.source);
    const std::size_t segment = control.segment_bytes == 0 ? length : control.segment_bytes;
    counters.received_packets += (length + segment - 1) / segment;
    received.push_back({*from, MutableBytes(pages.data() + i * kDatagramBytes, length), segment});
  }
  return received;
}

UdpSocket::UdpSocket(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
UdpSocket::UdpSocket(UdpSocket&&) noexcept = default;
UdpSocket& UdpSocket::operator=(UdpSocket&&) noexcept = default;
UdpSocket::~UdpSocket() = default;

Result<UdpSocket> UdpSocket::open(const Options& options) {
  auto impl = std::make_unique<Impl>(options);
  const auto opened = impl->open();
  if (!opened) return opened.error();
  return UdpSocket(std::move(impl));
}

std::uint16_t UdpSocket::port() const noexcept { return impl_->port; }
int UdpSocket::fd_v4() const noexcept { return impl_->v4.get(); }
int UdpSocket::fd_v6() const noexcept { return impl_->v6.get(); }

Result<void> UdpSocket::set_mark(std::uint32_t mark) {
  for (const int fd : {fd_v4(), fd_v6()}) {
    if (fd >= 0 && !set_option(fd, SOL_SOCKET, SO_MARK, mark)) return errno_code();
  }
  impl_->options.mark = mark;
  return {};
}

void UdpSocket::expect_answer(const Endpoint& from) {
  UdpRemote& remote = impl_->remotes[from];
  if (!std::exchange(remote.heard, false)) remote.source.reset();
}

void UdpSocket::forget_sources() { impl_->remotes.forget_sources(); }
void UdpSocket::send(const Endpoint& to, std::span<const ByteView> packets) { impl_->send(to, packets); }
std::span<const UdpSocket::Received> UdpSocket::receive(int fd) { return impl_->receive(fd); }
const UdpSocket::Counters& UdpSocket::counters() const noexcept { return impl_->counters; }

}  // namespace higgs::net

#include "bosonserver/stun/stun_socket.h"

#include <algorithm>
#include <cerrno>

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace higgs::boson {

namespace {

/// Batches a turn, so that a flood does not keep the loop from its mailbox.
constexpr int kBatchesPerTurn = 8;
/// Asked for; the system may give less.
constexpr int kSocketBufferBytes = 4 << 20;

Result<int> open_socket(const Endpoint& listen) {
  const bool v6 = listen.address.is_v6();
  const int fd = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno_code();
  const int on = 1, off = 0;
  if (v6) {
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
  } else {
    ::setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
  }
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kSocketBufferBytes, sizeof(kSocketBufferBytes));
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSocketBufferBytes, sizeof(kSocketBufferBytes));
  const auto address = net::socket_address(listen);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0) {
    const auto error = errno_code();
    ::close(fd);
    return error;
  }
  return fd;
}

/// ::ffff:a.b.c.d, as a socket of both families has it.
IpAddress mapped(const IpAddress& address) {
  if (address.is_v6()) return address;
  ByteArray<16> bytes{};
  bytes[10] = bytes[11] = std::byte{0xff};
  std::copy_n(address.bytes().begin(), 4, bytes.begin() + 12);
  return IpAddress::v6(bytes);
}

Endpoint bound_endpoint(int fd, const Endpoint& asked) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return asked;
  return net::endpoint_of(storage).value_or(asked);
}

}  // namespace

Result<std::unique_ptr<StunSocket>> StunSocket::open(const Endpoint& listen, net::EventLoop& loop, Owner& owner,
                                                     StunSocketCounters& counters) {
  const auto fd = open_socket(listen);
  if (!fd) return fd.error();
  return std::unique_ptr<StunSocket>(new StunSocket(*fd, bound_endpoint(*fd, listen), loop, owner, counters));
}

StunSocket::StunSocket(int fd, const Endpoint& local, net::EventLoop& loop, Owner& owner, StunSocketCounters& counters)
    : fd_(fd), local_(local), loop_(loop), owner_(owner), counters_(counters) {
  loop_.add(fd_, EPOLLIN, *this);
  end_of_turn_ = loop_.add_end_of_turn([this] { flush(); });
}

StunSocket::~StunSocket() {
  loop_.remove_end_of_turn(end_of_turn_);
  loop_.remove(fd_);
  ::close(fd_);
}

void StunSocket::on_events(std::uint32_t) {
  for (int i = 0; i < kBatchesPerTurn && receive_batch(); ++i) {
  }
}

bool StunSocket::receive_batch() {
  std::array<mmsghdr, kBatch> headers{};
  std::array<iovec, kBatch> vectors;
  for (unsigned i = 0; i < kBatch; ++i) {
    vectors[i] = {received_[i].data(), received_[i].size()};
    headers[i].msg_hdr = {
        &sources_[i], sizeof(sources_[i]), &vectors[i], 1, controls_[i].data(), controls_[i].size(), 0};
  }
  const int count = ::recvmmsg(fd_, headers.data(), kBatch, MSG_DONTWAIT, nullptr);
  if (count <= 0) return false;
  for (unsigned i = 0; i < static_cast<unsigned>(count); ++i) {
    ++counters_.received;
    const auto source = net::endpoint_of(sources_[i]);
    if (!source || (headers[i].msg_hdr.msg_flags & MSG_TRUNC) != 0) {
      ++counters_.truncated;
      continue;
    }
    // Answered from the address that was asked: a host may have several.
    const auto asked = net::read_control(headers[i].msg_hdr).source;
    const Endpoint local{asked ? asked->address.unmapped() : local_.address, local_.port};
    const Endpoint plain{source->address.unmapped(), source->port};
    owner_.on_datagram(*this, plain, local, MutableBytes(received_[i]).first(headers[i].msg_len));
  }
  return count == static_cast<int>(kBatch);
}

void StunSocket::send(const IpAddress& from, const Endpoint& to, ByteView bytes) {
  if (bytes.empty() || bytes.size() > kDatagramBytes) {
    ++counters_.send_failures;
    return;
  }
  if (queued_ == outgoing_.size()) flush();
  Outgoing& out = outgoing_[queued_++];
  std::copy(bytes.begin(), bytes.end(), out.bytes.begin());
  out.size = bytes.size();
  const bool v6 = local_.address.is_v6();
  out.to = net::socket_address({v6 ? mapped(to.address) : to.address, to.port, to.zone});
  out.source.reset();
  if (!from.is_unspecified()) out.source = net::UdpSource{v6 ? mapped(from) : from, 0};
}

void StunSocket::flush() {
  std::array<mmsghdr, kBatch> headers{};
  std::array<iovec, kBatch> vectors;
  for (unsigned i = 0; i < queued_; ++i) {
    Outgoing& out = outgoing_[i];
    vectors[i] = {out.bytes.data(), out.size};
    headers[i].msg_hdr = {&out.to.storage, out.to.length, &vectors[i], 1, nullptr, 0, 0};
    net::put_control(headers[i].msg_hdr, out.control, out.source, 0);
  }
  for (unsigned sent = 0; sent < queued_;) {
    const int done = ::sendmmsg(fd_, headers.data() + sent, queued_ - sent, MSG_DONTWAIT);
    if (done > 0) {
      sent += static_cast<unsigned>(done);
    } else {
      // One that cannot be sent does not keep the others back; the client asks again.
      ++counters_.send_failures;
      ++sent;
    }
  }
  queued_ = 0;
}

}  // namespace higgs::boson

#include "tunnel/device.h"

#include <algorithm>

#include <sys/epoll.h>

#include "tunnel/demultiplex.h"
#include "tunnel/segmenter.h"

namespace higgs::tunnel {

namespace {

// Limits of our choosing.
constexpr std::size_t kSlots = 128;
/// A read may bring a super-packet; once this many packets wait they are sealed and sent, while the cache has them.
constexpr std::size_t kSealBatch = 64;
constexpr int kTunReads = 64;    ///< a turn
constexpr int kUdpReceives = 8;  ///< a turn and family
/// What a datagram carries at most, less the header and the tag.
constexpr std::size_t kMaxInnerBytes = 65507 - wireguard::kTransportHeaderBytes - 16;

std::size_t slot_bytes(std::uint32_t mtu) { return std::clamp<std::size_t>(mtu, 1500, kMaxInnerBytes); }

/// Type 1 (paper 5.4.2): the message that only an answer makes sense of.
bool is_initiation(ByteView message) {
  constexpr std::size_t kBytes = 148;
  return message.size() == kBytes && message[0] == std::byte{1};
}

}  // namespace

Result<std::unique_ptr<Device>> Device::open(net::EventLoop& loop, RandomSource& random, const Options& options) {
  auto tun = TunDevice::open({options.name, options.offloads.tun, options.offloads.tun_udp});
  if (!tun) return tun.error();
  return std::unique_ptr<Device>(new Device(loop, random, std::move(*tun), options));
}

Device::Device(net::EventLoop& loop, RandomSource& random, TunDevice tun, const Options& options)
    : loop_(loop),
      tun_(std::move(tun)),
      offloads_(options.offloads),
      mtu_(options.mtu),
      engine_(random),
      slots_(kSlots, slot_bytes(options.mtu)),
      read_buffer_(TunDevice::kMaxPacketBytes),
      coalescer_({.tcp = tun_.features().virtio, .udp = tun_.features().udp}),
      tun_ready_(*this, &Device::on_tun),
      udp4_ready_(*this, &Device::on_udp4),
      udp6_ready_(*this, &Device::on_udp6),
      end_of_turn_(loop.add_end_of_turn([this] { arm_timer(); })),
      paths_(loop, random, *this),
      reflexive_(random),
      reflexive_timer_(loop, [this] { service_reflexive(); }) {
  loop_.add(tun_.fd(), EPOLLIN, tun_ready_);
}

Device::~Device() {
  paths_.stop_all();  // while there is a port to say goodbye from
  links_.clear();
  close_udp();
  if (timer_) loop_.cancel(*timer_);
  loop_.remove_end_of_turn(end_of_turn_);
  loop_.remove(tun_.fd());
}

void Device::set_mtu(std::uint32_t mtu) {
  if (mtu == mtu_) return;
  mtu_ = mtu;
  if (slot_bytes(mtu) != slots_.packet_bytes()) slots_.resize(kSlots, slot_bytes(mtu));
}

// --- the UDP port ------------------------------------------------------------------------------------------------

Result<net::UdpSocket> Device::open_udp(std::uint16_t port) const {
  net::UdpSocket::Options options;
  options.port = port;
  options.mark = mark_;
  options.segment = offloads_.udp_segment;
  options.gather = offloads_.udp_gather;
  return net::UdpSocket::open(options);
}

void Device::watch_udp() {
  loop_.add(udp_->fd_v4(), EPOLLIN, udp4_ready_);
  if (udp_->fd_v6() >= 0) loop_.add(udp_->fd_v6(), EPOLLIN, udp6_ready_);
}

void Device::close_udp() {
  if (!udp_) return;
  loop_.remove(udp_->fd_v4());
  loop_.remove(udp_->fd_v6());
  udp_.reset();
}

Result<void> Device::set_up(bool up) {
  if (up == up_) return {};
  if (up) {
    auto socket = open_udp(port_);
    if (!socket) return socket.error();
    udp_ = std::move(*socket);
    port_ = udp_->port();
    watch_udp();
  }
  up_ = up;
  update_local(false);
  with_engine([up](wireguard::Engine& engine, Now now, wireguard::TransmitList& out) {
    engine.set_up(now, up, out);
    return true;
  });
  if (!up) close_udp();
  return {};
}

Result<void> Device::set_listen_port(std::uint16_t port) {
  if (udp_ && (port == 0 || port != port_)) {
    auto socket = open_udp(port);
    if (!socket) return socket.error();
    close_udp();
    udp_ = std::move(*socket);
    port = udp_->port();
    watch_udp();
  }
  port_ = port;
  update_local(false);
  return {};
}

Result<void> Device::set_mark(std::uint32_t mark) {
  if (udp_) {
    const auto done = udp_->set_mark(mark);
    if (!done) return done.error();
  }
  paths_.set_mark(mark);
  mark_ = mark;
  return {};
}

// --- out: TUN to peers -------------------------------------------------------------------------------------------

void Device::on_tun(std::uint32_t events) {
  if ((events & EPOLLIN) != 0) read_tun();
  if ((events & (EPOLLERR | EPOLLHUP)) != 0 && (events & EPOLLIN) == 0) gone();
}

void Device::read_tun() {
  for (int i = 0; i < kTunReads; ++i) {
    const auto read = tun_.read(read_buffer_);
    if (read.status == TunDevice::ReadStatus::kGone) return gone();
    if (read.status == TunDevice::ReadStatus::kNothing) break;
    split(read);
    if (slots_.count() >= kSealBatch) seal_batch();
  }
  seal_batch();
}

void Device::split(const TunDevice::ReadResult& read) {
  auto segmenter = Segmenter::make(read.header, ByteView(read_buffer_).first(read.length));
  if (!segmenter) {
    ++counters_.malformed;
    return;
  }
  if (segmenter->segment_bytes() > slots_.packet_bytes()) {
    ++counters_.oversized;
    return;
  }
  while (!segmenter->done()) {
    if (slots_.full()) seal_batch();
    slots_.commit(segmenter->next(slots_.next()));
  }
}

void Device::seal_batch() {
  if (slots_.empty()) return;
  transmits_.clear();
  engine_.encapsulate(loop_.now(), slots_.batch(), mtu_, transmits_);
  send_transmits();
  slots_.clear();
}

void Device::send_transmits() {
  for (std::size_t first = 0; first < transmits_.size();) {
    const wireguard::PeerAddress& to = transmits_[first].to;
    views_.clear();
    std::size_t end = first;
    for (; end < transmits_.size() && transmits_[end].to == to; ++end) views_.push_back(transmits_[end].bytes);
    if (PeerPaths::is_managed(to))
      paths_.send(to, views_);
    else if (to.path == 0)
      send_from_port(to.endpoint, views_, is_initiation(views_.back()));
    else
      send_to_link(to, views_);
    first = end;
  }
  transmits_.clear();
}

// --- in: peers to TUN --------------------------------------------------------------------------------------------

void Device::on_udp4(std::uint32_t) { receive_udp(udp_->fd_v4()); }
void Device::on_udp6(std::uint32_t) { receive_udp(udp_->fd_v6()); }

void Device::receive_udp(int fd) {
  for (int i = 0; i < kUdpReceives; ++i) {
    const auto batch = udp_->receive(fd);
    if (batch.empty()) return;
    for (const auto& received : batch) {
      datagrams_.clear();
      // Each is confined to its own bytes of the train, so that nothing done to one can reach another.
      for (std::size_t at = 0; at < received.bytes.size(); at += received.segment_bytes)
        sort_in(received.from,
                received.bytes.subspan(at, std::min(received.segment_bytes, received.bytes.size() - at)));
      if (datagrams_.empty()) continue;
      open_batch({0, received.from});
    }
    write_tun();
  }
}

/// A train is of one sender, and STUN may be among what it carries: it is told apart one by one.
void Device::sort_in(const Endpoint& from, MutableBytes datagram) {
  switch (classify(datagram)) {
    case DatagramKind::kWireguard: {
      const auto size = static_cast<std::uint32_t>(datagram.size());
      datagrams_.push_back({datagram.data(), size, 0, size});
      return;
    }
    case DatagramKind::kStun:
      if (reflexive_.handle_packet(loop_.now().monotonic, from, datagram)) return service_reflexive();
      return paths_.handle_stun(from, datagram);
    case DatagramKind::kOther:
      ++counters_.stray;
  }
}

void Device::open_batch(const wireguard::PeerAddress& from) {
  delivered_.clear();
  transmits_.clear();
  engine_.decapsulate(loop_.now(), from, datagrams_, delivered_, transmits_);
  send_transmits();
  for (const auto& delivered : delivered_) coalescer_.add(datagrams_[delivered.index].bytes());
  if (!paths_.empty()) note_delivered(from);
}

void Device::write_tun() {
  coalescer_.flush([this](const VirtioHeader& header, std::span<const iovec> parts) {
    if (!tun_.write(header, parts)) counters_.not_taken += parts.size();
  });
}

// --- time --------------------------------------------------------------------------------------------------------

/// Traffic moves the engine's deadlines later all the time: the timer, once set, is set anew only for an earlier one.
void Device::arm_timer() {
  const auto due = engine_.poll_timeout();
  if (!due) return;
  if (timer_) {
    if (timer_due_ <= *due) return;
    loop_.cancel(*timer_);
  }
  timer_due_ = *due;
  timer_ = loop_.at(*due, [this] {
    timer_.reset();
    with_engine([](wireguard::Engine& engine, Now now, wireguard::TransmitList& out) {
      engine.handle_timeout(now, out);
      return true;
    });
  });
}

void Device::gone() {
  if (std::exchange(gone_, true)) return;
  loop_.remove(tun_.fd());
  if (on_gone_) on_gone_();
}

}  // namespace higgs::tunnel
